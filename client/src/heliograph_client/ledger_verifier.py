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

import argparse
import base64
import binascii
import hashlib
import io
import json
import re
import sys
import textwrap
import zipfile
import zlib
from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from itertools import zip_longest
from pathlib import Path
from typing import IO, Any, NoReturn

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


# ================================================================ export bundles
# docs/export-bundle.md describes the format; `main` is the command.

BUNDLE_FORMAT = "heliograph-ledger-export/1"
_COMPLETE, _FILTERED = "complete range", "filtered"
_TILE_WIDTH = 256
_BLOCK = 1 << 20
_NUMBERED = 4_000_000  # subjects whose running numbers are held in memory
_LOCATED = 5_000_000  # entries among which a difference is looked for one by one
_SAID = 40  # findings of one kind that are told one by one
_EVIDENCE = {"entries.jsonl", "indexes.txt", "tiles.bin"}
_DOCUMENTS = {"manifest.json", "run.json", "checkpoint.txt", "vkeys.txt", "policy.txt", "verify.py", "VERIFY.md"}
_VIEWS = {"views/entries.csv", "views/ocsf.jsonl", "views/report.html"}
_OPTIONAL = {"opened.jsonl", "start-checkpoint.txt", "consistency.txt"}
_SUMS = "SHA256SUMS"


class NotABundle(NotVerified):
    """The path holds no export bundle that could be checked at all."""


class Source:
    """The files of a bundle, in a folder or in a zip."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._zip: zipfile.ZipFile | None = None
        self._sums: dict[str, str] = {}
        if path.is_dir():
            return
        try:
            self._zip = zipfile.ZipFile(path)
        except (OSError, zipfile.BadZipFile) as error:
            raise NotABundle(f"{path} is neither a folder nor a zip that can be read: {error}") from error

    def names(self) -> list[str]:
        """Every file, sorted; one that a zip holds twice is there twice."""
        if self._zip is not None:
            return sorted(entry.filename for entry in self._zip.infolist() if not entry.is_dir())
        found = (path for path in self.path.rglob("*") if not path.is_dir())
        return sorted(path.relative_to(self.path).as_posix() for path in found)

    def open(self, name: str) -> IO[bytes]:
        """A stream of one file's bytes."""
        if self._zip is not None:  # whose own way of reading lines takes four times as long
            return io.BufferedReader(self._zip.open(name), _BLOCK)  # type: ignore[type-var]
        return (self.path / name).open("rb")

    def lines(self, name: str) -> Iterator[bytes]:
        """The lines of one file; a longer one than any such file has comes in pieces."""
        with self.open(name) as file:
            while line := file.readline(_BLOCK):
                yield line

    def read(self, name: str, most: int = 64 * _BLOCK) -> bytes:
        """The bytes of a small file; raises NotABundle for one larger than `most`."""
        with self.open(name) as file:
            content = file.read(most + 1)
        if len(content) > most:
            raise NotABundle(f"{name} is larger than any such file can be.")
        return content

    def sha256(self, name: str) -> str:
        """In hex; each file is read for it once."""
        if name not in self._sums:
            digest = hashlib.sha256()
            with self.open(name) as file:
                while block := file.read(_BLOCK):
                    digest.update(block)
            self._sums[name] = digest.hexdigest()
        return self._sums[name]


@dataclass
class BundleVerdict:
    """What was checked and what was found; `is_good` only if nothing was wrong."""

    checks: list[tuple[bool, str, str]] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    facts: dict[str, str] = field(default_factory=dict)
    untold: int = 0

    @property
    def is_good(self) -> bool:
        """Whether everything held."""
        return not self.problems and not self.untold and bool(self.checks)

    def problem(self, sentence: str) -> None:
        """Something is wrong."""
        if len(self.problems) < _SAID:
            self.problems.append(sentence)
        else:
            self.untold += 1

    def check(self, name: str, run: Callable[[], str]) -> None:
        """Run one check: what it returns is said beside its name; problems that it adds make it fail."""
        before = len(self.problems) + self.untold
        try:
            said = run()
        except _UNREADABLE as error:
            self.problem(str(error) if isinstance(error, NotVerified) else f"{name}: {type(error).__name__}: {error}")
            said = ""
        found = len(self.problems) + self.untold - before
        self.checks.append((not found, name, said if not found else f"{found} wrong"))

    def page(self) -> str:
        """One page for a person."""
        width = 100
        lines = [f"LEDGER EXPORT: {'VERIFIED' if self.is_good else 'NOT VERIFIED'}", ""]
        lines += [f"{name:<12} {value}" for name, value in self.facts.items()]
        lines.append("")
        lines += [f"[{'ok' if good else 'NO'}] {name:<18} {said}".rstrip() for good, name, said in self.checks]
        for title, sentences in (("WHAT IS WRONG", self.problems), ("HOW TO READ IT", self.remarks)):
            if sentences:
                lines += ["", title]
                for sentence in sentences:
                    lines += textwrap.wrap(sentence, width, initial_indent="- ", subsequent_indent="  ")
        if self.untold:
            lines.append(f"- and {self.untold:,} more.")
        return "\n".join(lines) + "\n"

    def document(self) -> dict[str, Any]:
        """The same for a machine."""
        return {
            "verified": self.is_good,
            "facts": self.facts,
            "checks": [{"ok": good, "check": name, "said": said} for good, name, said in self.checks],
            "problems": self.problems,
            "problems_untold": self.untold,
            "remarks": self.remarks,
        }


def verify_bundle(path: Path, *, vkeys: Sequence[str] = (), policy: bytes | None = None) -> BundleVerdict:
    """Check everything in a bundle; `vkeys` are keys known from elsewhere, `policy` is the reader's own.

    Raises NotABundle where there is nothing to check, NotVerified for a vkey that is none.
    """
    return _Bundle(Source(path), vkeys, policy).verify()


class _Bundle:
    """One bundle being checked."""

    def __init__(self, source: Source, pinned: Sequence[str], policy: bytes | None) -> None:
        self.source = source
        self.pinned = list(pinned)
        self.trusted = [Key.parse(vkey) for vkey in pinned]
        self.own_policy = policy
        self.verdict = BundleVerdict()
        self.names = source.names()
        self.manifest: dict[str, Any] = {}
        self.filter: _Filter | None = None
        self.vkeys: list[str] = []
        self.changed: dict[str, str] = {}  # files that are not as listed → their sum
        self.signer = ""  # who signed the list of sums
        self.commitments: dict[tuple[int, str], str] = {}
        self.is_opened = "opened.jsonl" in self.names
        self.size = 0
        self.root = b""
        self.matching = array("q")

    def verify(self) -> BundleVerdict:
        """All checks, in order; each stands alone as far as it can."""
        if not {"manifest.json", _SUMS} & set(self.names):
            raise NotABundle(f"{self.source.path} holds no export bundle: it has neither manifest.json nor {_SUMS}.")
        verdict = self.verdict
        verdict.check("keys", self._read_keys)
        verdict.check("files", self._check_files)
        verdict.check("manifest", self._read_manifest)
        if self.manifest:
            verdict.check("checkpoint", self._check_checkpoint)
            if self.root:
                verdict.check("start", self._check_start)
                self._check_contents()
        self._remark()
        return verdict

    def _check_contents(self) -> None:
        """The entries, and what can only be judged once they are known to be whole."""
        entries = _Entries(self)
        self.verdict.check("entries", entries.check)
        if entries.are_whole:
            self.verdict.check("completeness", entries.check_completeness)
            self.verdict.check("opened values", self._check_opened)
            self.verdict.check("views", self._check_views)

    # ------------------------------------------------------------ files and keys
    def _read_keys(self) -> str:
        self.vkeys = self.source.read("vkeys.txt").decode().splitlines()
        keys = [Key.parse(vkey) for vkey in self.vkeys]
        if not self.pinned:
            self.trusted = keys
            return f"{len(keys)}, taken from the bundle itself"
        known = sum(vkey in self.pinned for vkey in self.vkeys)
        return f"{known} of the bundle's {len(keys)} are among the {len(self.pinned)} that you gave; only yours count"

    def _check_files(self) -> str:
        listed: dict[str, str] = {}
        for number, line in enumerate(self._sums().splitlines(), 1):
            digest, gap, name = line.partition("  ")
            if not gap or not _HEX_DIGEST.fullmatch(digest) or name in listed:
                self.verdict.problem(f"{_SUMS}: line {number} is no sum of a file, or lists one twice.")
                continue
            listed[name] = digest
        self._compare(listed)
        return f"{len(listed)} are as {_SUMS} lists them, signed by {self.signer}"

    def _sums(self) -> str:
        """The list of sums. Where no known key signed it, that is one problem, and files are compared all the same."""
        raw = self.source.read(_SUMS)
        try:
            note = SignedNote.parse(raw)
            signers = [key.name for key in self.trusted if note.signed_by(key) is not None]
        except NotVerified as error:
            self.verdict.problem(f"{_SUMS}: it was changed. {error}")
            return raw.decode(errors="replace").partition("\n\n")[0]
        self.signer = next((name for name in signers if name.endswith("/exports")), "")
        if not self.signer:
            self.verdict.problem(f"{_SUMS}: no key that is known signed it.")
        return note.text

    def _compare(self, listed: dict[str, str]) -> None:
        there = Counter(self.names)
        for name, count in there.items():
            if count > 1:
                self.verdict.problem(f"{name}: the zip holds this file {count} times.")
        for name in sorted(set(there) - set(listed) - {_SUMS}):
            self.verdict.problem(f"{name}: this file was added; nothing lists it.")
        for name in sorted(set(listed) - set(there)):
            self.verdict.problem(f"{name}: this file is missing.")
        for name in sorted((_DOCUMENTS | _EVIDENCE | _VIEWS) - set(listed) - set(there)):
            self.verdict.problem(f"{name}: this file is missing, and nothing lists it.")
        for name in sorted(set(listed) - _DOCUMENTS - _EVIDENCE - _VIEWS - _OPTIONAL):
            self.verdict.problem(f"{name}: no bundle of this format has such a file.")
        self._compare_sums({name: listed[name] for name in sorted(set(listed) & set(there))})

    def _compare_sums(self, listed: dict[str, str]) -> None:
        wrong = self.changed
        for name, digest in listed.items():
            try:
                found = self.source.sha256(name)
            except _UNREADABLE as error:
                self.verdict.problem(f"{name}: it was changed and cannot be read: {error}")
                continue
            if found != digest:
                wrong[name] = found
        for name, found in wrong.items():
            other = next((n for n in wrong if listed[n] == found), None)
            as_other = f"; it is what {other} should be: the two were swapped" if other is not None else ""
            self.verdict.problem(f"{name}: this file was changed{as_other}.")

    # ------------------------------------------------------------ manifest and checkpoints
    def _read_manifest(self) -> str:
        raw = self.source.read("manifest.json")
        manifest = json.loads(raw)
        if raw != json.dumps(manifest, indent=1, sort_keys=True, ensure_ascii=False).encode() + b"\n":
            raise NotVerified("manifest.json is not laid out as such a file is.")
        if manifest["format"] != BUNDLE_FORMAT or manifest["leaf_format"] != 1:
            raise NotVerified(f"manifest.json: this verifier reads {BUNDLE_FORMAT} only.")
        if manifest["kind"] not in (_COMPLETE, _FILTERED):
            raise NotVerified("manifest.json: this kind of export is unknown.")
        for name, file in manifest["files"].items():
            if name in self.names and name not in self.changed and self.source.sha256(name) != file["sha256"]:
                self.verdict.problem(f"manifest.json: it describes another {name}.")
        for name in _EVIDENCE - set(manifest["files"]):
            self.verdict.problem(f"manifest.json: it does not describe {name}.")
        if self.signer and self.signer.rpartition("/")[0] != manifest["log"].rpartition("/")[0]:
            self.verdict.problem(f"{_SUMS}: it was signed by {self.signer}, not by the hub of {manifest['log']}.")
        self.filter = _Filter(manifest["kind"], manifest["filter"])
        self.manifest = manifest
        facts, counts = self.verdict.facts, manifest["counts"]
        facts["Ledger"] = manifest["log"]
        facts["Kind"] = manifest["kind"]
        asked = [f"{name} {value}" for name, value in manifest["filter"].items() if value]
        facts["Asked for"] = ", ".join(asked) or "everything"
        facts["Entries"] = f"{counts['entries']:,}, of them as asked for {counts['matching']:,}"
        return f"{BUNDLE_FORMAT}, {counts['entries']:,} entries"

    def _check_checkpoint(self) -> str:
        stated = self.manifest["checkpoint"]
        head, said = self._read_checkpoint("checkpoint.txt")
        if (head.size, head.root.hex()) != (stated["size"], stated["root"]):
            self.verdict.problem("checkpoint.txt: it is not the checkpoint that manifest.json names.")
        self.size, self.root = head.size, head.root
        self.verdict.facts["Checkpoint"] = f"{head.size:,} entries, root {head.root.hex()}"
        return said

    def _check_start(self) -> str:
        stated = self.manifest["start"]
        if stated is None:
            for name in ("start-checkpoint.txt", "consistency.txt"):
                if name in self.names:
                    self.verdict.problem(f"{name}: manifest.json names no start checkpoint.")
            return "the span begins before the first checkpoint that was kept"
        head, said = self._read_checkpoint("start-checkpoint.txt")
        if (head.size, head.root.hex()) != (stated["size"], stated["root"]):
            self.verdict.problem("start-checkpoint.txt: it is not the checkpoint that manifest.json names.")
        lines = self.source.read("consistency.txt").decode().split("\n")
        if lines.pop() or not all(map(_HEX_DIGEST.fullmatch, lines)):
            raise NotVerified("consistency.txt: a line of it is no hash.")
        check_consistency(head.size, self.size, [bytes.fromhex(line) for line in lines], head.root, self.root)
        return f"{said}; the ledger only grew from {head.size:,} to {self.size:,} entries"

    def _read_checkpoint(self, name: str) -> tuple[Checkpoint, str]:
        raw = self.source.read(name)
        try:
            judged = self._policy().judge(raw)
        except NotVerified as error:
            raise NotVerified(f"{name}: {error}") from None
        if judged.checkpoint.origin != self.manifest["log"]:
            raise NotVerified(f"{name}: it is of another log, {judged.checkpoint.origin}.")
        cosigned = "".join(f", cosigned by {who} at {_utc(at)}" for who, at in judged.cosigned)
        return judged.checkpoint, f"signed by {judged.log}{cosigned or ', cosigned by nobody'}"

    def _policy(self) -> Policy:
        """The reader's own policy, or the bundle's; the reader's own keys go before either's."""
        policy = Policy.parse(self.own_policy if self.own_policy is not None else self.source.read("policy.txt"))
        if self.pinned:
            return replace(policy, logs=tuple(key for key in self.trusted if not key.name.endswith("/exports")))
        known = {(key.name, key.public) for key in self.trusted}
        if self.own_policy is None and not all((key.name, key.public) in known for key in policy.logs):
            raise NotVerified("policy.txt: it names a log's key that is not in vkeys.txt.")
        return policy

    # ------------------------------------------------------------ what hangs on the entries
    def _check_opened(self) -> str:
        wanted = int(self.manifest["counts"]["opened"])
        if "opened.jsonl" not in self.names:
            if wanted:
                self.verdict.problem("opened.jsonl: this file is missing.")
            return "none"
        count = 0
        for number, line in enumerate(self.source.lines("opened.jsonl"), 1):
            count += 1
            opened = json.loads(line)
            commitment = self.commitments.get((opened["index"], opened["commitment"]))
            if commitment is None:
                self.verdict.problem(f"opened.jsonl: line {number} opens a commitment that no entry here holds.")
                continue
            self._check_opening(number, opened, commitment)
        if count != wanted:
            self.verdict.problem(f"opened.jsonl: it has {count:,} lines, manifest.json says {wanted:,}.")
        return f"{count:,} values are those that the entries commit to"

    def _check_opening(self, number: int, opened: dict[str, Any], commitment: str) -> None:
        name, salt, value = opened["commitment"].encode(), bytes.fromhex(opened["salt"]), bytes.fromhex(opened["value"])
        if hashlib.sha256(salt + len(name).to_bytes(2, "big") + name + value).hexdigest() != commitment:
            where = f"line {number} (entry {opened['index']})"
            self.verdict.problem(f"opened.jsonl: {where} is not what its entry commits to.")
        statement = opened["statement"]
        if statement is not None and hashlib.sha256(_jws_payload(statement)).digest() != value:
            self.verdict.problem(f"opened.jsonl: the statement in line {number} is not the one that was recorded.")

    def _check_views(self) -> str:
        matching = len(self.matching)
        rows = self.source.lines("views/entries.csv")
        next(rows, None)  # the columns' names
        for number, (index, row) in enumerate(zip_longest(self.matching, rows), 2):
            if index is None or row is None:
                few = "more" if index is None else "fewer"
                self.verdict.problem(f"views/entries.csv: it has {few} than the {matching:,} entries asked for.")
                break
            if row.partition(b",")[0] != b"%d" % index:
                self.verdict.problem(f"views/entries.csv: line {number} is not about entry {index}, as it should be.")
                break
        events = sum(1 for _ in self.source.lines("views/ocsf.jsonl"))
        if events != matching:
            self.verdict.problem(f"views/ocsf.jsonl: it has {events:,} events instead of {matching:,}.")
        return f"{matching:,} lines of CSV and OCSF; they are for people, and prove nothing by themselves"

    def _remark(self) -> None:
        remark = self.verdict.remarks.append
        if not self.pinned:
            remark(
                "The keys came with the bundle. Compare them with what the hub published or told you before (give them"
                " with --vkey): whoever forges a bundle forges its keys too. They are: " + " ".join(self.vkeys)
            )
        if self.source.path.is_file():
            digest = hashlib.sha256()
            with self.source.path.open("rb") as file:
                while block := file.read(_BLOCK):
                    digest.update(block)
            remark(f"SHA-256 of the archive: {digest.hexdigest()}. The ledger's entry about this export names it too.")
        remark(
            "Presence in the ledger is proven; that what was recorded is also true is the hub's and its members' word."
        )


class _Entries:
    """The entries of a bundle, read once, each against its place in the tree."""

    def __init__(self, bundle: _Bundle) -> None:
        self.bundle = bundle
        self.source, self.manifest, self.verdict = bundle.source, bundle.manifest, bundle.verdict
        assert bundle.filter is not None
        self.filter = bundle.filter
        self.numbers: dict[int, int] = {}  # hash of a subject → its running number so far
        self.chain: list[
            tuple[int, int, str]
        ] = []  # first and last (index, n, sequenced_at) about the numbered subject
        self.first: tuple[int, str] | None = None
        self.last: tuple[int, str] | None = None
        self.is_numbering_cut = False
        self.are_whole = False

    def check(self) -> str:
        """Every line, its hash in the tree, its numbers, and whether it is what was asked for."""
        tiles = _Tiles(self.source, self.bundle.size, self.bundle.root)
        before = len(self.verdict.problems)
        count, differs = self._walk(tiles)
        if differs:
            self._locate()
            if len(self.verdict.problems) == before:
                self.verdict.problem(f"entries.jsonl: line {count + 1} is not the entry that belongs there.")
            return ""
        unused = list(tiles.finish())
        for sentence in unused:
            self.verdict.problem(sentence)
        self.are_whole = not unused  # whatever else is wrong with them, they can be judged further
        counts = self.manifest["counts"]
        for name, found in (("entries", count), ("matching", len(self.bundle.matching))):
            if found != counts[name]:
                self.verdict.problem(f"manifest.json: it counts {counts[name]:,} {name}; there are {found:,}.")
        return f"{count:,} entries are in the tree of the checkpoint, byte for byte"

    def _walk(self, tiles: _Tiles) -> tuple[int, bool]:
        """How many lines were as they should be, and whether one was not."""
        count, previous = 0, -1
        sha256 = hashlib.sha256
        lines = zip_longest(self.source.lines("entries.jsonl"), self.source.lines("indexes.txt"), fillvalue=b"")
        for line, place in lines:
            if not _INDEX_LINE.fullmatch(place) or line[-1:] != b"\n":
                return count, True
            index = int(place)
            if index <= previous:
                self.verdict.problem(f"indexes.txt: line {count + 1} is out of order.")
                return count, True
            expected = tiles.hash_of(index)
            if expected is None:
                self.verdict.problem(f"tiles.bin: {tiles.fault or f'it has no hash for entry {index}'}.")
                return count, True
            if sha256(b"\0" + line[:-1]).digest() != expected:
                return count, True
            self._read(index, json.loads(line), previous)
            previous = index
            count += 1
        return count, False

    def _read(self, index: int, leaf: dict[str, Any], previous: int) -> None:
        at = leaf["sequenced_at"]
        if self.first is None:
            self.first = (index, at)
        elif self.last is not None and at < self.last[1]:
            self.verdict.problem(f"entries.jsonl: entry {index} was sequenced before the one ahead of it.")
        if self.filter.is_complete and previous >= 0 and index != previous + 1:
            missing = f"{previous + 1}" if index == previous + 2 else f"{previous + 1} to {index - 1}"
            self.verdict.problem(f"entries.jsonl: of a complete range, entry {missing} is missing.")
        self.last = (index, at)
        self._number(index, leaf, at)
        if self.filter.is_met_by(leaf):
            self.bundle.matching.append(index)
            if self.bundle.is_opened:
                for name, commitment in leaf["commitments"].items():
                    self.bundle.commitments[index, name] = commitment

    def _number(self, index: int, leaf: dict[str, Any], at: str) -> None:
        subject = self.filter.numbered
        for mention in leaf["subjects"]:
            name, n = mention["id"], mention["n"]
            if subject is not None:
                if name == subject:
                    self._chain(index, n, at)
                continue
            if not self.filter.is_complete:
                continue
            key = hash(name)
            known = self.numbers.get(key)
            if known is None and len(self.numbers) >= _NUMBERED:
                self.is_numbering_cut = True
                continue
            if known is not None and n != known + 1:
                self.verdict.problem(f"entries.jsonl: entry {index} is number {n} about {name}, after number {known}.")
            self.numbers[key] = n

    def _chain(self, index: int, n: int, at: str) -> None:
        if self.chain and n != self.chain[-1][1] + 1:
            before = self.chain[-1][1]
            missing = f"number {before + 1}" if n == before + 2 else f"numbers {before + 1} to {n - 1}"
            self.verdict.problem(
                f"entries.jsonl: about {self.filter.numbered}, {missing} is missing before entry {index}."
                if n > before
                else f"entries.jsonl: entry {index} is number {n} about {self.filter.numbered}, after number {before}."
            )
        self.chain = [*self.chain[:1], (index, n, at)]

    # ------------------------------------------------------------ completeness
    def check_completeness(self) -> str:
        """Whether the bundle shows that nothing was left out, and of what."""
        if self.filter.numbered != self.manifest["numbered_subject"]:
            self.verdict.problem("manifest.json: its numbered subject does not follow from its filter.")
        if self.filter.is_complete:
            return self._check_range()
        if self.filter.numbered is None:
            self.verdict.remarks.append(
                "Presence only: nothing here shows that no other entry met the filter. Ask for a complete range, or for"
                " everything about one subject."
            )
            return "presence only"
        return self._check_chain(self.filter.numbered)

    def _check_range(self) -> str:
        size, since, until = self.bundle.size, self.filter.since, self.filter.until
        if self.first is None or self.last is None:
            if size:
                self.verdict.problem(
                    "entries.jsonl: a complete range cannot be empty: the entries beside it belong here."
                )
            return "the range is empty"
        (first, first_at), (last, last_at) = self.first, self.last
        if first > 0 and (since is None or first_at >= since):
            self.verdict.problem(f"entries.jsonl: entries before {first} are missing from the beginning of the range.")
        if last < size - 1 and (until is None or last_at < until):
            self.verdict.problem(f"entries.jsonl: entries after {last} are missing from the end of the range.")
        if self.is_numbering_cut:
            self.verdict.remarks.append(f"Running numbers were checked for the first {_NUMBERED:,} subjects only.")
        self.verdict.remarks.append(
            "Complete: every entry of the range is here, and the filter was applied again; no entry that meets it was"
            " left out."
        )
        return f"entries {first:,} to {last:,} without a gap"

    def _check_chain(self, subject: str) -> str:
        if not self.chain:
            self.verdict.remarks.append(f"No entry about {subject} is here; nothing shows that there is none.")
            return "presence only"
        (_, first_n, first_at), (_, last_n, last_at) = self.chain[0], self.chain[-1]
        since, until = self.filter.since, self.filter.until
        if first_n != 1 and (since is None or first_at >= since):
            self.verdict.problem(f"entries.jsonl: about {subject}, numbers 1 to {first_n - 1} are missing.")
        closed = until is not None and last_at >= until
        self.verdict.remarks.append(
            f"About {subject}, numbers {first_n} to {last_n} are here without a gap"
            + (
                ", up to one after the span: none of the span was left out."
                if closed
                else f". That number {last_n} was the newest at the checkpoint is the hub's word."
            )
        )
        return f"numbers {first_n:,} to {last_n:,} about {subject} without a gap"

    # ------------------------------------------------------------ which entry
    def _locate(self) -> None:
        """Say which entries are changed, missing, added or out of place."""
        tiles = _Tiles(self.source, self.bundle.size, self.bundle.root)
        wanted: list[tuple[int, bytes]] = []
        for number, line in enumerate(self.source.lines("indexes.txt"), 1):
            if not _INDEX_LINE.fullmatch(line) or (wanted and int(line) <= wanted[-1][0]):
                self.verdict.problem(f"indexes.txt: line {number} was changed.")
                return
            expected = tiles.hash_of(int(line))
            if expected is None:
                self.verdict.problem(f"indexes.txt, line {number}: no hash for entry {int(line)} can be had.")
                return
            wanted.append((int(line), expected))
            if len(wanted) > _LOCATED:
                return
        there = [
            hashlib.sha256(b"\0" + line[:-1] if line[-1:] == b"\n" else line).digest()
            for line in self.source.lines("entries.jsonl")
        ]
        for sentence in differences(wanted, there):
            self.verdict.problem(f"entries.jsonl: {sentence}")


def differences(wanted: Sequence[tuple[int, bytes]], there: Sequence[bytes]) -> Iterator[str]:
    """What happened to a list of entries: `wanted` are index and hash in order, `there` the hashes of the lines."""
    places = {digest: place for place, (_, digest) in enumerate(wanted)}
    if len(wanted) == len(there):
        wrong = [place for place, (_, digest) in enumerate(wanted) if there[place] != digest]
        told: set[int] = set()
        for place in wrong:
            other = places.get(there[place])
            if other is not None and there[other] == wanted[place][1]:
                if other not in told:
                    both = f"entries {wanted[place][0]} and {wanted[other][0]}"
                    yield f"{both} were swapped (lines {place + 1}, {other + 1})."
                told.add(place)
        rest = [place for place in wrong if place not in told]
        if all(there[place] not in places for place in rest):
            for place in rest:
                yield f"entry {wanted[place][0]} (line {place + 1}) was changed."
            return
        if not rest:
            return
    yield from _moved(wanted, there, places)


def _moved(wanted: Sequence[tuple[int, bytes]], there: Sequence[bytes], places: dict[bytes, int]) -> Iterator[str]:
    """The same where lines came or went: whatever is not in its order is named."""
    present = set(there)
    missing = {place for place, (_, digest) in enumerate(wanted) if digest not in present}
    seen: set[int] = set()
    at = -1  # the place of the last entry that stood in order
    for number, digest in enumerate(there, 1):
        place = places.get(digest)
        if place is None:
            if at + 1 in missing:
                at += 1
                missing.discard(at)
                yield f"entry {wanted[at][0]} (line {number}) was changed."
            else:
                yield f"line {number} was added: no such entry belongs here."
        elif place in seen:
            yield f"entry {wanted[place][0]} stands there twice; line {number} was added."
        else:
            seen.add(place)
            if place < at:
                yield f"entry {wanted[place][0]} (line {number}) does not stand in its place."
            else:
                at = place
    for place in sorted(missing):
        yield f"entry {wanted[place][0]} is missing."


class _Filter:
    """The filter of a manifest, applied again."""

    def __init__(self, kind: str, asked: dict[str, Any]) -> None:
        if set(asked) != {"actions", "actor", "partner", "programme", "signal", "since", "until"}:
            raise NotVerified("manifest.json: its filter has other members than this format's.")
        self.is_complete = kind == _COMPLETE
        self.since, self.until, self.actor = asked["since"], asked["until"], asked["actor"]
        self.actions = frozenset(asked["actions"])
        named = [f"{name}:{asked[name]}" for name in ("signal", "partner", "programme") if asked[name] is not None]
        self.subjects = named
        is_alone = kind == _FILTERED and not self.actions and self.actor is None and len(named) == 1
        self.numbered: str | None = named[0] if is_alone else None

    def is_met_by(self, leaf: dict[str, Any]) -> bool:
        """Whether an entry is what was asked for."""
        at = leaf["sequenced_at"]
        if (self.since is not None and at < self.since) or (self.until is not None and at >= self.until):
            return False
        if (self.actions and leaf["action"] not in self.actions) or self.actor not in (None, leaf["actor"]):
            return False
        mentioned = {mention["id"] for mention in leaf["subjects"]}
        return all(subject in mentioned or subject == leaf["actor"] for subject in self.subjects)


class _Tiles:
    """The hashes of the tree, each tile checked against the one above it as it is read; the edge against the root."""

    def __init__(self, source: Source, size: int, root: bytes) -> None:
        self._stream = _tiles(source)
        self._size = size
        self._edge: dict[int, bytes] = {}
        self._above: dict[int, bytes] = {}  # full tiles of the level above the one that is read
        self._level: dict[int, bytes] = {}  # of the level that is read
        self._at = 64
        self.fault = ""
        self._waiting = self._read_edge()
        self._tile: tuple[int, bytes] = (-1, b"")
        self._last = (size // _TILE_WIDTH, self._edge.get(0, b""))
        if self._root() != root:
            raise NotVerified("tiles.bin: its tiles on the right edge do not lead to the checkpoint's root.")

    def hash_of(self, index: int) -> bytes | None:
        """The hash that the checkpoint commits to at this index; ask in rising order. None where there is no proof."""
        number, place = divmod(index, _TILE_WIDTH)
        if number != self._tile[0] and not self._go_to(number):
            return None
        return self._tile[1][32 * place : 32 * place + 32] or None

    def finish(self) -> Iterator[str]:
        """What is left over once every entry has been asked for."""
        if self._waiting is not None or next(self._stream, None) is not None:
            yield "tiles.bin: it holds tiles that prove no entry of this bundle."

    def _go_to(self, number: int) -> bool:
        if number == self._last[0]:
            self._tile = self._last
            return True
        while self._waiting is not None:
            level, n, hashes = self._waiting
            self._waiting = next(self._stream, None)
            if not self._place(level, n, hashes):
                return False
            if level == 0 and n == number:
                self._tile = (n, hashes)
                return True
            if level == 0:
                self.fault = f"{_tile_path(0, n)} proves no entry of this bundle"
                return False
        return False

    def _place(self, level: int, n: int, hashes: bytes) -> bool:
        """Check a full tile against the one above it; remember it for those below."""
        if level != self._at:
            self._above, self._level, self._at = self._level if level == self._at - 1 else {}, {}, level
        parent, place = divmod(n, _TILE_WIDTH)
        edge_number = (self._size >> (8 * (level + 1))) // _TILE_WIDTH
        above = self._edge.get(level + 1) if parent == edge_number else self._above.get(parent)
        if len(hashes) != 32 * _TILE_WIDTH or (above or b"")[32 * place : 32 * place + 32] != _perfect_root(hashes):
            self.fault = f"{_tile_path(level, n)} is not what the checkpoint commits to"
            return False
        if level:
            self._level[n] = hashes
        return True

    def _read_edge(self) -> tuple[int, int, bytes] | None:
        expected = [level for level in range(8) if (self._size >> (8 * level)) % _TILE_WIDTH]
        for level in reversed(expected):
            count = self._size >> (8 * level)
            tile = next(self._stream, None)
            if tile is None or tile[:2] != (level, count // _TILE_WIDTH) or len(tile[2]) != 32 * (count % _TILE_WIDTH):
                raise NotVerified(f"tiles.bin: it has no tile {level}/{count // _TILE_WIDTH} where it belongs.")
            self._edge[level] = tile[2]
        return next(self._stream, None)

    def _root(self) -> bytes:
        parts = []
        for level in sorted(self._edge, reverse=True):
            hashes, start = self._edge[level], 0
            width = len(hashes) // 32
            for bit in range(7, -1, -1):
                if width >> bit & 1:
                    parts.append(_perfect_root(hashes[start : start + (32 << bit)]))
                    start += 32 << bit
        if not parts:
            return hashlib.sha256(b"").digest()
        digest = parts.pop()
        while parts:
            digest = hashlib.sha256(b"\x01" + parts.pop() + digest).digest()
        return digest


def _tiles(source: Source) -> Iterator[tuple[int, int, bytes]]:
    """(level, number, hashes) of each tile in the order of the file."""
    with source.open("tiles.bin") as file:
        while line := file.readline(80):
            match = _TILE_PATH.fullmatch(line)
            if match is None:
                raise NotVerified(f"tiles.bin: {line[:60]!r} names no tile.")
            level, n = int(match[1]), int(match[2].replace(b"x", b"").replace(b"/", b""))
            width = int(match[3]) if match[3] else _TILE_WIDTH
            hashes = file.read(32 * width)
            if len(hashes) != 32 * width:
                raise NotVerified(f"tiles.bin: it ends within {_tile_path(level, n)}.")
            yield level, n, hashes


def _tile_path(level: int, n: int) -> str:
    return f"tile {level}/{n}"


def _perfect_root(hashes: bytes) -> bytes:
    """The root over a power of two of hashes."""
    sha256 = hashlib.sha256
    while len(hashes) > 32:
        hashes = b"".join([sha256(b"\x01" + hashes[at : at + 64]).digest() for at in range(0, len(hashes), 64)])
    return hashes


def _jws_payload(statement: str) -> bytes:
    encoded = statement.split(".")[1]
    return base64.urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4))


def _utc(at: int) -> str:
    return datetime.fromtimestamp(at, timezone.utc).strftime("%Y-%m-%d %H:%M:%S UTC")


_UNREADABLE = (
    *(NotVerified, ValueError, LookupError, TypeError, AttributeError, OSError, RecursionError),
    *(zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError),
)
_HEX_DIGEST = re.compile(r"[0-9a-f]{64}")
_INDEX_LINE = re.compile(rb"(0|[1-9][0-9]{0,18})\n")
_TILE_PATH = re.compile(
    rb"tile/([0-7])/((?:x[0-9]{3}/)*[0-9]{3})(?:\.p/([1-9][0-9]?|1[0-9]{2}|2[0-4][0-9]|25[0-5]))?\n"
)


# ---------------------------------------------------------------- the command


def main(words: Sequence[str] | None = None) -> int:
    """Check one bundle and print the verdict; 0 if everything holds, 1 if anything does not."""
    parser = argparse.ArgumentParser(
        description="Check an export bundle of a ledger offline: every hash, signature, count and number.",
        epilog="Exit status: 0 everything holds; 1 something does not, or there is nothing to check; 2 wrong options.",
    )
    parser.add_argument("path", nargs="?", type=Path, help="the bundle's folder or zip (default: where this file lies)")
    parser.add_argument("--vkey", action="append", default=[], help="a public key of the hub that you know already")
    parser.add_argument("--policy", type=Path, help="your own policy file (C2SP tlog-policy) instead of the bundle's")
    parser.add_argument("--json", action="store_true", help="the verdict as JSON, for machines")
    asked = parser.parse_args(words)
    path = asked.path if asked.path is not None else Path(__file__).resolve().parent
    try:
        policy = asked.policy.read_bytes() if asked.policy is not None else None
        verdict = verify_bundle(path, vkeys=asked.vkey, policy=policy)
    except (NotVerified, OSError) as error:
        sys.stdout.write(f"LEDGER EXPORT: NOT VERIFIED\n\n{error}\n")
        return 1
    sys.stdout.write(json.dumps(verdict.document(), indent=1) + "\n" if asked.json else verdict.page())
    return 0 if verdict.is_good else 1


if __name__ == "__main__":
    sys.exit(main())
