"""Check what a ledger says with nothing but this one file, Python and `cryptography`: the side that does not trust it.

It is written from the specifications (RFC 6962 §2.1 and C2SP signed-note, tlog-checkpoint, tlog-cosignature,
tlog-policy, tlog-proof) and shares no line with the hub that makes the proofs: a hub's own code would repeat the hub's
own mistakes. It imports nothing of this package, so that it can be copied anywhere and read in one sitting.

    policy = Policy.parse(Path("policy.txt").read_bytes())
    proven = verify_proof(Path("verdict.tlog-proof").read_bytes(), policy)
    print(proven.entry.decode(), proven.checkpoint.size, proven.cosigned)

Everything raises NotVerified, with a sentence, for whatever does not hold. What a checker of one's own would not find:
that a checkpoint is old (compare `cosigned` times and sizes with the clock), and that another was shown to somebody
else (which is what witnesses are for).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import NoReturn

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

try:
    from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PublicKey
except ImportError:  # an older `cryptography`: what is signed by ML-DSA-44 only is then not verified
    MLDSA44PublicKey = None  # type: ignore[assignment,misc]

LARGEST_NOTE = 1_000_000  # bytes
MOST_SIGNATURES = 100


class NotVerified(Exception):
    """It does not hold; the message says what, in a sentence."""


# ---------------------------------------------------------------- the tree: RFC 6962 §2.1


EMPTY_TREE = hashlib.sha256(b"").digest()


def leaf_hash(entry: bytes) -> bytes:
    """The hash under which an entry's exact bytes stand in the tree."""
    return hashlib.sha256(b"\x00" + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """The hash of two subtrees side by side."""
    return hashlib.sha256(b"\x01" + left + right).digest()


def check_inclusion(leaf: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes) -> None:
    """Raise NotVerified unless the leaf (its hash) stands at `index` in the tree of `size` leaves with that root."""
    if not 0 <= index < size < 2**63:
        raise NotVerified(f"A log of {size} entries has no entry {index}.")
    if _root_above(leaf, index, size, list(proof)) != root:
        raise NotVerified(f"The proof does not lead from entry {index} to the root of the log.")


def check_consistency(old: int, new: int, proof: Sequence[bytes], old_root: bytes, new_root: bytes) -> None:
    """Raise NotVerified unless the log of `old` entries is how the log of `new` entries begins."""
    if not 0 <= old <= new < 2**63:
        raise NotVerified(f"A log of {new} entries did not grow from one of {old}.")
    if old == 0:
        if proof or old_root != EMPTY_TREE:
            raise NotVerified("Nothing has to be proven of a log without entries, and its root is known.")
        if new == 0 and new_root != EMPTY_TREE:
            raise NotVerified("A log without entries has another root.")
        return
    if _roots_above(old, new, list(proof), old_root) != (old_root, new_root):
        raise NotVerified(f"The log of {new} entries does not begin with the {old} entries it had before.")


def _root_above(leaf: bytes, index: int, size: int, proof: list[bytes]) -> bytes:
    """§2.1.1 backwards: the last hash of PATH(m, D[n]) is the half that the leaf is not in."""
    if size == 1:
        if proof:
            raise NotVerified("The inclusion proof has too many hashes.")
        return leaf
    if not proof:
        raise NotVerified("The inclusion proof has too few hashes.")
    half, other = _larger_half(size), proof.pop()
    if index < half:
        return node_hash(_root_above(leaf, index, half, proof), other)
    return node_hash(other, _root_above(leaf, index - half, size - half, proof))


def _roots_above(old: int, new: int, proof: list[bytes], known: bytes | None) -> tuple[bytes, bytes]:
    """§2.1.2 backwards: the old and the new root out of SUBPROOF(m, D[n], b), where b means that `known` is given."""
    if old == new:
        if known is None:
            known = proof.pop() if proof else _fail("The consistency proof has too few hashes.")
        if proof:
            raise NotVerified("The consistency proof has too many hashes.")
        return known, known
    if not proof:
        raise NotVerified("The consistency proof has too few hashes.")
    half, other = _larger_half(new), proof.pop()
    if old <= half:
        before, after = _roots_above(old, half, proof, known)
        return before, node_hash(after, other)
    before, after = _roots_above(old - half, new - half, proof, None)
    return node_hash(other, before), node_hash(other, after)


def _larger_half(size: int) -> int:
    """The largest power of two that is smaller than `size`."""
    return int(2 ** ((size - 1).bit_length() - 1))


# ---------------------------------------------------------------- signed notes: C2SP signed-note, tlog-cosignature


PLAIN, COSIGNATURE, COSIGNATURE_ML_DSA_44 = 1, 4, 6
_SIZES = {PLAIN: (32, 64), COSIGNATURE: (32, 72), COSIGNATURE_ML_DSA_44: (1312, 2428)}  # public key, signature; bytes


@dataclass(frozen=True)
class Key:
    """Somebody's public key, as a vkey says it: `<name>+<id>+<base64 of type and key>`."""

    name: str
    kind: int
    public: bytes = field(repr=False)
    id: bytes = field(repr=False)

    @classmethod
    def parse(cls, vkey: str) -> Key:
        """The key of a vkey, whose id must fit."""
        parts = vkey.split("+", 2)
        if len(parts) != 3 or not _is_name(parts[0]):
            raise NotVerified("A vkey has a name, an id and a key, with + between them.")
        name, said, key = parts[0], parts[1], _base64(parts[2], "The key of a vkey")
        if not key or key[0] not in _SIZES or len(key) != 1 + _SIZES[key[0]][0]:
            raise NotVerified(f"The vkey of {name} holds no kind of key that is known here.")
        computed = hashlib.sha256(name.encode() + b"\n" + key).digest()[:4]
        if computed.hex() != said:
            raise NotVerified(f"The vkey of {name} bears the id of another key.")
        return cls(name, key[0], key[1:], computed)


@dataclass(frozen=True)
class Checkpoint:
    """The head of a log: which log, how many entries, which root. `note` is the text that is signed."""

    origin: str
    size: int
    root: bytes
    note: str = field(repr=False)


@dataclass(frozen=True)
class SignedNote:
    """A text and its signature lines as (name, key's id, signature); nothing of it is believed yet."""

    text: str
    lines: tuple[tuple[str, bytes, bytes], ...]

    @classmethod
    def parse(cls, encoded: bytes) -> SignedNote:
        """The note that these bytes are."""
        if len(encoded) > LARGEST_NOTE:
            raise NotVerified(f"A signed note has at most {LARGEST_NOTE:,} bytes.")
        try:
            whole = encoded.decode("utf-8")
        except UnicodeDecodeError:
            raise NotVerified("A signed note is UTF-8.") from None
        if re.search(r"[\x00-\x09\x0b-\x1f]", whole):
            raise NotVerified("A signed note has no control characters but newlines.")
        end = whole.rfind("\n\n")
        lines = whole[end + 2 :].split("\n")
        if end < 0 or len(lines) < 2 or lines.pop():
            raise NotVerified("A signed note is text, an empty line and signature lines, each ended by a newline.")
        if len(lines) > MOST_SIGNATURES:
            raise NotVerified(f"A signed note has at most {MOST_SIGNATURES} signatures.")
        return cls(whole[: end + 1], tuple(map(_signature_line, lines)))

    def signed_by(self, key: Key) -> int | None:
        """When the key signed this (seconds since 1970; 0 for a signature without a time), or None if it did not.

        Raises NotVerified when a line claims to be of this key and is not.
        """
        times = [
            _check_signature(self.text, key, signature)
            for name, key_id, signature in self.lines
            if (name, key_id) == (key.name, key.id)
        ]
        return max(times, default=None)

    def checkpoint(self) -> Checkpoint:
        """The checkpoint that the text is (C2SP tlog-checkpoint)."""
        lines = self.text.split("\n")[:-1]
        if len(lines) < 3 or not lines[0] or not all(lines[3:]):
            raise NotVerified("A checkpoint has three lines or more, none of them empty.")
        origin, size, root = lines[:3]
        digest = _base64(root, "A checkpoint's third line")
        if len(digest) != 32:
            raise NotVerified("A checkpoint's root has 32 bytes.")
        return Checkpoint(origin, _decimal(size, "A checkpoint's second line"), digest, self.text)


def _signature_line(line: str) -> tuple[str, bytes, bytes]:
    found = re.fullmatch("— ([^ ]+) ([^ ]+)", line)
    if found is None:
        raise NotVerified("A signature line is a dash (U+2014), a name and base64, with single spaces between them.")
    name, encoded = found[1], found[2]
    value = _base64(encoded, "A signature")
    if not _is_name(name) or len(value) < 5:
        raise NotVerified("A signature line has a key's name, and base64 of the key's id and the signature.")
    return name, value[:4], value[4:]


def _check_signature(text: str, key: Key, signature: bytes) -> int:
    """The time in the signature; raises NotVerified unless the key made it over this text."""
    at, value = 0, signature
    try:
        if len(signature) != _SIZES[key.kind][1]:
            raise InvalidSignature
        if key.kind != PLAIN:
            at, value = int.from_bytes(signature[:8], "big"), signature[8:]
        if at >= 2**63:
            raise InvalidSignature
        if key.kind == PLAIN:
            Ed25519PublicKey.from_public_bytes(key.public).verify(value, text.encode())
        elif key.kind == COSIGNATURE:
            message = f"cosignature/v1\ntime {at}\n{text}"
            Ed25519PublicKey.from_public_bytes(key.public).verify(value, message.encode())
        else:
            _check_ml_dsa_44(text, key, at, value)
    except (InvalidSignature, ValueError):
        raise NotVerified(f"A signature in the name of {key.name} is forged or damaged.") from None
    return at


def _check_ml_dsa_44(text: str, key: Key, at: int, value: bytes) -> None:
    head = SignedNote(text, ()).checkpoint()
    names = [name.encode() for name in (key.name, head.origin)]
    if not all(1 <= len(name) <= 255 for name in names):
        raise InvalidSignature
    cosigner, origin = (len(name).to_bytes(1, "big") + name for name in names)
    numbers = (0).to_bytes(8, "big") + head.size.to_bytes(8, "big")
    message = b"subtree/v1\n\x00" + cosigner + at.to_bytes(8, "big") + origin + numbers + head.root
    try:
        if MLDSA44PublicKey is None:
            raise UnsupportedAlgorithm("mldsa")
        MLDSA44PublicKey.from_public_bytes(key.public).verify(value, message)
    except UnsupportedAlgorithm:
        raise NotVerified(
            f"{key.name} signs by ML-DSA-44, which this version of `cryptography` cannot check."
        ) from None


# ---------------------------------------------------------------- whom to believe: C2SP tlog-policy


@dataclass(frozen=True)
class Judged:
    """A checkpoint that a policy accepts: which log signed it, and which witnesses, and when (seconds since 1970)."""

    checkpoint: Checkpoint
    log: str
    cosigned: tuple[tuple[str, int], ...]


@dataclass(frozen=True)
class Policy:
    """Logs and witnesses by their keys, and which witnesses are enough. `needs` is a tree of (how many, of whom)."""

    logs: tuple[Key, ...]
    witnesses: dict[str, Key]
    groups: dict[str, tuple[int, tuple[str, ...]]]
    quorum: str
    urls: dict[str, str] = field(default_factory=dict)
    """Witness's or log's name → where it answers, as far as the policy says."""

    @classmethod
    def of_log(cls, vkey: str) -> Policy:
        """The policy of one who knows only the log's key: no witness is asked for."""
        return cls.parse(f"log {vkey}\nquorum none\n".encode())

    @classmethod
    def parse(cls, encoded: bytes) -> Policy:
        """The policy that this file is; NotVerified names the line at fault."""
        reader = _PolicyReader()
        for number, line in enumerate(encoded.split(b"\n"), start=1):
            if re.search(rb"[\x00-\x08\x0b-\x1f\x7f]", line):
                raise NotVerified(f"Line {number} of the policy has control characters.")
            words = [word.decode("utf-8", "surrogateescape") for word in re.split(rb"[ \t]+", line.strip(b" \t"))]
            if words[0] and not words[0].startswith("#"):
                try:
                    reader.take(words[0], words[1:])
                except NotVerified as error:
                    raise NotVerified(f"Line {number} of the policy: {error}") from None
        if reader.quorum is None:
            raise NotVerified("The policy does not say its quorum.")
        return cls(tuple(reader.logs), reader.witnesses, reader.groups, reader.quorum, reader.urls)

    def judge(self, encoded: bytes) -> Judged:
        """The checkpoint, if one of the logs signed it under its own name and enough witnesses cosigned it."""
        note = SignedNote.parse(encoded)
        checkpoint = note.checkpoint()
        signers = [key.name for key in self.logs if note.signed_by(key) is not None]
        if checkpoint.origin not in signers:
            raise NotVerified(f"The checkpoint of {checkpoint.origin} bears no signature of a log that is known.")
        times = {name: note.signed_by(key) for name, key in self.witnesses.items()}
        cosigned = {name: at for name, at in times.items() if at is not None}
        if not self._is_satisfied(self.quorum, cosigned):
            raise NotVerified(f"{len(cosigned)} of {len(times)} witnesses cosigned the checkpoint, which is no quorum.")
        return Judged(checkpoint, checkpoint.origin, tuple(cosigned.items()))

    def _is_satisfied(self, name: str, present: Iterable[str]) -> bool:
        if name not in self.groups:
            return name == "none" or name in present
        needed, members = self.groups[name]
        return sum(self._is_satisfied(member, present) for member in members) >= needed


class _PolicyReader:
    """A policy as far as it is read."""

    def __init__(self) -> None:
        self.logs: list[Key] = []
        self.witnesses: dict[str, Key] = {}
        self.groups: dict[str, tuple[int, tuple[str, ...]]] = {}
        self.urls: dict[str, str] = {}
        self.quorum: str | None = None
        self.used: set[str] = set()

    def take(self, verb: str, words: list[str]) -> None:
        """Read one line."""
        if verb == "log" and 1 <= len(words) <= 2:
            key = _key_of(words[0], (PLAIN, COSIGNATURE_ML_DSA_44), self.logs)
            self.logs.append(key)
            self._keep_url(key.name, words[1:])
        elif verb == "witness" and 2 <= len(words) <= 3:
            key = _key_of(words[1], (COSIGNATURE, COSIGNATURE_ML_DSA_44), self.witnesses.values())
            self._new(words[0])
            self.witnesses[words[0]] = key
            self._keep_url(words[0], words[2:])
        elif verb == "group" and len(words) >= 3:
            name, how_many, *members = words
            self._new(name)
            for member in members:
                self._use(member)
            number = {"any": "1", "all": str(len(members))}.get(how_many, how_many)
            needed = _decimal(number, "A group's threshold")
            if not 1 <= needed <= len(members):
                raise NotVerified("A group needs from one of its members to all of them.")
            self.groups[name] = (needed, tuple(members))
        elif verb == "quorum" and len(words) == 1 and self.quorum is None:
            if words[0] != "none" and words[0] not in self.witnesses | self.groups:
                raise NotVerified("The quorum is not among the names before it.")
            self.quorum = words[0]
        else:
            raise NotVerified("It is none of: log, witness, group, quorum (once).")

    def _keep_url(self, name: str, words: list[str]) -> None:
        if words:
            self.urls[name] = words[0]

    def _new(self, name: str) -> None:
        if name == "none" or name in self.witnesses or name in self.groups:
            raise NotVerified("The name is taken.")

    def _use(self, member: str) -> None:
        if member in self.used or not (member in self.witnesses or member in self.groups):
            raise NotVerified("A group's members are named before it and belong to no other group.")
        self.used.add(member)


def _key_of(vkey: str, kinds: tuple[int, ...], known: Iterable[Key]) -> Key:
    key = Key.parse(vkey)
    if key.kind not in kinds:
        raise NotVerified("A key of this kind does not sign such things.")
    if any(key.public == other.public for other in known):
        raise NotVerified("The same key stands there already.")
    return key


# ---------------------------------------------------------------- one entry in one file: C2SP tlog-proof


@dataclass(frozen=True)
class Proven:
    """An entry's exact bytes, its place in the log, and the checkpoint that vouches for it."""

    entry: bytes
    index: int
    checkpoint: Checkpoint
    cosigned: tuple[tuple[str, int], ...]


def verify_proof(encoded: bytes, policy: Policy, entry: bytes | None = None) -> Proven:
    """What a `.tlog-proof` file proves: that its entry (or the one given) stands in a log that the policy accepts."""
    head, blank, checkpoint = encoded.partition(b"\n\n")
    try:
        lines = head.decode("ascii").split("\n")
    except UnicodeDecodeError:
        raise NotVerified("The proof is not ASCII.") from None
    if not blank or lines[0] != "c2sp.org/tlog-proof@v1":
        raise NotVerified("This is no tlog-proof file of version 1.")
    rest = lines[1:]
    held = _base64(rest.pop(0)[6:], "The extra line") if rest and rest[0].startswith("extra ") else None
    if not rest or not rest[0].startswith("index "):
        raise NotVerified("The proof does not say its index.")
    index = _decimal(rest[0][6:], "The index")
    proof = [_base64(line, "A hash of the proof") for line in rest[1:]]
    if any(len(digest) != 32 for digest in proof) or len(proof) > 63:
        raise NotVerified("A proof has at most 63 hashes, of 32 bytes each.")
    if held is None and entry is None:
        raise NotVerified("The file does not hold the entry, and none was given.")
    if held is not None and entry is not None and held != entry:
        raise NotVerified("The file is about another entry than the one that was given.")
    proven = held if held is not None else entry or b""
    judged = policy.judge(checkpoint)
    check_inclusion(leaf_hash(proven), index, judged.checkpoint.size, proof, judged.checkpoint.root)
    return Proven(proven, index, judged.checkpoint, judged.cosigned)


# ---------------------------------------------------------------- small print


def _base64(text: str, what: str) -> bytes:
    """Standard base64, padded, in the only way to write it."""
    try:
        value = base64.b64decode(text.encode("ascii"), validate=True)
    except (UnicodeEncodeError, binascii.Error):
        raise NotVerified(f"{what} is not base64.") from None
    return value if base64.b64encode(value) == text.encode() else _fail(f"{what} is base64 written in an odd way.")


def _decimal(text: str, what: str) -> int:
    """A number from 0 to 2^63 - 1 without leading zeros."""
    if not re.fullmatch(r"0|[1-9][0-9]{0,18}", text) or int(text) >= 2**63:
        raise NotVerified(f"{what} is not a number.")
    return int(text)


def _is_name(name: str) -> bool:
    """Whether a key may be called so."""
    return bool(name) and "+" not in name and not any(character.isspace() or character < "!" for character in name)


def _fail(sentence: str) -> NoReturn:
    raise NotVerified(sentence)
