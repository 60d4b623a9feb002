"""A `.tlog-proof` file (C2SP tlog-proof): an entry's way to a checkpoint, checked without the hub."""

from __future__ import annotations

import base64
from dataclasses import dataclass

from hub.ledger.tlog.checkpoint import from_base64, from_decimal
from hub.ledger.tlog.merkle import HASH_BYTES
from hub.ledger.tlog.proofs import LONGEST

_FIRST = "c2sp.org/tlog-proof@v1"


class NotAProofFile(ValueError):
    """The bytes are no proof file; the message says which line is at fault."""


@dataclass(frozen=True, slots=True)
class ProofFile:
    """An entry's index, the hashes from its sibling upwards, the checkpoint's note verbatim, and what goes with them.

    Nothing vouches for `extra` itself. Ours holds the leaf's exact bytes, which the proof then vouches for.
    """

    index: int
    hashes: tuple[bytes, ...]
    checkpoint: bytes
    extra: bytes | None = None

    def encode(self) -> bytes:
        """The file's bytes."""
        lines = [_FIRST]
        if self.extra is not None:
            lines.append(f"extra {base64.b64encode(self.extra).decode()}")
        lines.append(f"index {self.index}")
        lines += [base64.b64encode(digest).decode() for digest in self.hashes]
        return "\n".join(lines).encode() + b"\n\n" + self.checkpoint

    @classmethod
    def parse(cls, encoded: bytes) -> ProofFile:
        """The proof file that these bytes are; raises NotAProofFile. Neither proof nor checkpoint is checked yet."""
        head, blank, checkpoint = encoded.partition(b"\n\n")
        try:
            lines = head.decode("ascii").split("\n")
            if not blank or lines.pop(0) != _FIRST:
                raise ValueError(f"Its first line is {_FIRST}.")
            extra = from_base64(lines.pop(0)[6:]) if lines and lines[0].startswith("extra ") else None
            if not lines or not lines[0].startswith("index "):
                raise ValueError("It says index and a number before its hashes.")
            index = from_decimal(lines.pop(0)[6:])
            found = tuple(map(from_base64, lines))
            if len(found) > LONGEST or any(len(digest) != HASH_BYTES for digest in found):
                raise ValueError(f"Its hashes have {HASH_BYTES} bytes and are no more than {LONGEST}.")
        except ValueError as error:
            raise NotAProofFile(f"This is no tlog-proof file. {error}") from None
        return cls(index, found, checkpoint, extra)
