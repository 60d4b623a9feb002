"""Signed notes (C2SP signed-note): text with signature lines, and the keys that made them (vkeys)."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Protocol

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PublicKey

from hub.ledger.tlog.checkpoint import from_base64
from hub.ledger.tlog.kinds import ED25519, KINDS

LARGEST = 1_000_000  # bytes: more than a hundred post-quantum signatures
MOST_SIGNATURES = 100
_ID_BYTES = 4
_TIME_BYTES = 8
_LATEST = 2**63 - 1  # tlog-cosignature: a time must not exceed it
_ID = re.compile(r"[0-9a-f]{8}")


class NotANote(ValueError):
    """The bytes are no signed note, or the text no vkey; the message says why."""


class BadSignature(ValueError):
    """A note carries a line of a known key that this key did not make, or none; the message names the key."""


@dataclass(frozen=True, slots=True)
class Signature:
    """One signature line. `value` is what stands after the four bytes of the key's id."""

    name: str
    key_id: bytes
    value: bytes

    def line(self) -> str:
        """The line, with its newline."""
        return f"— {self.name} {base64.b64encode(self.key_id + self.value).decode()}\n"


@dataclass(frozen=True, slots=True)
class Note:
    """A note as it was read: nothing in it may be believed before a key that one knows has been asked."""

    text: str
    signatures: tuple[Signature, ...]

    def encode(self) -> bytes:
        """The note's bytes."""
        return (self.text + "\n" + "".join(signature.line() for signature in self.signatures)).encode()

    def with_signatures(self, more: Iterable[Signature]) -> Note:
        """The note with further lines after its own, none of them twice."""
        return Note(self.text, tuple(dict.fromkeys((*self.signatures, *more))))


@dataclass(frozen=True, slots=True)
class NoteKey:
    """A public key under a name, for one kind of signature."""

    name: str
    kind: int
    public: bytes = field(repr=False)

    def __post_init__(self) -> None:
        check_name(self.name)
        if self.kind not in KINDS:
            raise NotANote(f"Signatures of type {self.kind:#04x} are unknown here.")
        if len(self.public) != KINDS[self.kind].key_bytes:
            raise NotANote(f"The public key of {self.name} has a wrong length.")

    @property
    def id(self) -> bytes:
        """SHA-256(name || newline || type || public key), the first four bytes."""
        return hashlib.sha256(self.name.encode() + b"\n" + bytes([self.kind]) + self.public).digest()[:_ID_BYTES]

    def vkey(self) -> str:
        """`<name>+<id in hex>+<base64 of type and public key>`."""
        return f"{self.name}+{self.id.hex()}+{base64.b64encode(bytes([self.kind]) + self.public).decode()}"

    @classmethod
    def parse(cls, vkey: str) -> NoteKey:
        """The key of a vkey; raises NotANote, also when the id does not belong to name and key."""
        name, _, rest = vkey.partition("+")
        key_id, _, encoded = rest.partition("+")
        try:
            material = from_base64(encoded)
        except ValueError:
            raise NotANote("A vkey ends with base64.") from None
        if not (material and _ID.fullmatch(key_id)):
            raise NotANote("A vkey is a name, an id of eight hex digits, and a key, with + between them.")
        key = cls(name, material[0], material[1:])
        if key.id.hex() != key_id:
            raise NotANote(f"The id in this vkey is not that of {name} with this key.")
        return key

    def check(self, note: Note) -> int | None:
        """When this key signed the note (POSIX seconds; None for a plain signature).

        Raises BadSignature when it has not, or when any line that bears its name and id is not of its making.
        """
        times = [self._check(note.text, line) for line in note.signatures if self.made(line)]
        if not times:
            raise BadSignature(f"{self.name} has not signed this note.")
        return max(times) if KINDS[self.kind].is_timestamped else None

    def made(self, signature: Signature) -> bool:
        """Whether the line says that this key made it."""
        return signature.name == self.name and signature.key_id == self.id

    def _check(self, text: str, signature: Signature) -> int:
        kind, value, at = KINDS[self.kind], signature.value, 0
        if kind.is_timestamped:
            at, value = int.from_bytes(value[:_TIME_BYTES], "big"), value[_TIME_BYTES:]
        try:
            if len(value) != kind.signature_bytes or at > _LATEST:
                raise InvalidSignature
            kind.verify(self.public, value, kind.message(self.name, text, at))
        except (InvalidSignature, ValueError):
            raise BadSignature(f"A signature in the name of {self.name} is not of its making.") from None
        return at


class Private(Protocol):
    """What a private key of `cryptography` can do, as far as it is needed here."""

    def sign(self, data: bytes, /) -> bytes:
        """A signature over the bytes."""

    def public_key(self) -> Ed25519PublicKey | MLDSA44PublicKey:
        """The other half."""


@dataclass(frozen=True, slots=True)
class Signer:
    """A private key under a name, for one kind of signature."""

    name: str
    private: Private = field(repr=False)
    kind: int = ED25519

    @property
    def key(self) -> NoteKey:
        """The public half."""
        return NoteKey(self.name, self.kind, self.private.public_key().public_bytes_raw())

    def signature(self, text: str, at: int = 0) -> Signature:
        """A signature line for the text; `at` is a POSIX time, for the kinds that carry one."""
        kind = KINDS[self.kind]
        if not 0 <= at <= _LATEST:
            raise ValueError("A time is a number of seconds since 1970, below 2^63.")
        value = self.private.sign(kind.message(self.name, text, at))
        time = at.to_bytes(_TIME_BYTES, "big") if kind.is_timestamped else b""
        return Signature(self.name, self.key.id, time + value)


def sign(text: str, signers: Iterable[Signer], *, at: int = 0) -> bytes:
    """The text as a note with one line of each signer; `at` is for the kinds that carry a time.

    Raises NotANote for a text that no note may have.
    """
    _check_text(text)
    return Note(text, tuple(signer.signature(text, at) for signer in signers)).encode()


def open_note(encoded: bytes) -> Note:
    """The note that these bytes are, none of its signatures checked yet; raises NotANote."""
    if len(encoded) > LARGEST:
        raise NotANote(f"A note has at most {LARGEST:,} bytes here.")
    try:
        whole = encoded.decode()
    except UnicodeDecodeError:
        raise NotANote("A note is UTF-8.") from None
    before, blank, after = whole.rpartition("\n\n")
    if not blank or not after.endswith("\n"):
        raise NotANote("A note is text, an empty line, and signature lines.")
    _check_text(before + "\n")
    return Note(before + "\n", read_signatures(after))


def read_signatures(lines: str) -> tuple[Signature, ...]:
    """Signature lines, each with its newline; raises NotANote."""
    *found, rest = lines.split("\n")
    if rest or not 1 <= len(found) <= MOST_SIGNATURES:
        raise NotANote(f"A note has 1 to {MOST_SIGNATURES} signature lines, each with its newline.")
    return tuple(map(_read_line, found))


def check_name(name: str) -> None:
    """Raise NotANote unless this can be a key's name."""
    if not name or "+" in name or any(character.isspace() or character < " " for character in name):
        raise NotANote("A key's name is not empty and has neither spaces nor a plus sign.")


def _read_line(line: str) -> Signature:
    dash, _, rest = line.partition(" ")
    name, _, encoded = rest.partition(" ")
    if dash != "—":
        raise NotANote("A signature line begins with a dash (U+2014) and a space.")
    check_name(name)
    try:
        value = from_base64(encoded)
    except ValueError:
        raise NotANote("A signature line ends with base64.") from None
    if len(value) <= _ID_BYTES:
        raise NotANote("A signature line holds a key's id and a signature.")
    return Signature(name, value[:_ID_BYTES], value[_ID_BYTES:])


def _check_text(text: str) -> None:
    if not text.endswith("\n") or any(character < " " and character != "\n" for character in text):
        raise NotANote("A note's text ends with a newline and has no other control characters.")
