"""A checkpoint's text (C2SP tlog-checkpoint): which log, how many leaves, which root."""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass

from hub.ledger.tlog.merkle import HASH_BYTES

_SIZE = re.compile(r"0|[1-9][0-9]{0,18}")
_LARGEST = 2**63 - 1


class NotACheckpoint(ValueError):
    """The text is no checkpoint; the message says which line is at fault."""


def from_base64(text: str) -> bytes:
    """The bytes of standard base64 (RFC 4648 §4), padded and in its one canonical form; raises ValueError."""
    try:
        value = base64.b64decode(text.encode("ascii"), validate=True)
    except (UnicodeEncodeError, binascii.Error):
        raise ValueError("This is not base64.") from None
    if base64.b64encode(value).decode() != text:
        raise ValueError("This base64 has another, canonical, form.")
    return value


def from_decimal(text: str) -> int:
    """A number without leading zeros, below 2^63; raises ValueError."""
    if not _SIZE.fullmatch(text) or int(text) > _LARGEST:
        raise ValueError("This is not a decimal number.")
    return int(text)


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The head of a log: the root over its first `size` leaves. Extension lines are carried and mean nothing here."""

    origin: str
    size: int
    root: bytes
    extensions: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not 0 <= self.size <= _LARGEST or len(self.root) != HASH_BYTES:
            raise NotACheckpoint(f"A checkpoint has a size and a root of {HASH_BYTES} bytes.")
        for line in (self.origin, *self.extensions):
            if not line or any(character < " " for character in line):
                raise NotACheckpoint("An origin or an extension is a line that is not empty.")

    def text(self) -> str:
        """The note's text, each line with its newline."""
        root = base64.b64encode(self.root).decode()
        return "".join(f"{line}\n" for line in (self.origin, str(self.size), root, *self.extensions))

    @classmethod
    def parse(cls, text: str) -> Checkpoint:
        """The checkpoint that a note's text is; raises NotACheckpoint."""
        lines = text.split("\n")
        if len(lines) < 4 or lines[-1]:
            raise NotACheckpoint("A checkpoint is three lines or more, each with its newline.")
        origin, size, root, *extensions = lines[:-1]
        try:
            return cls(origin, from_decimal(size), from_base64(root), tuple(extensions))
        except NotACheckpoint:
            raise
        except ValueError as error:
            raise NotACheckpoint(f"A checkpoint's second line is its size, the third its root: {error}") from None
