"""A witness's cosignatures (C2SP tlog-cosignature): that it saw this checkpoint, at this time, and no other tree."""

from __future__ import annotations

from collections.abc import Iterable

from hub.ledger.tlog.kinds import COSIGNATURE_ED25519, KINDS
from hub.ledger.tlog.note import Note, NoteKey, Private, Signature, Signer, read_signatures


def cosigner(name: str, private: Private) -> Signer:
    """A signer of cosignatures by Ed25519."""
    return Signer(name, private, COSIGNATURE_ED25519)


def cosign(note_text: str, signer: Signer, at_unix: int) -> Signature:
    """The signer's cosignature of a checkpoint; raises ValueError for a kind that carries no time, or no checkpoint."""
    if not KINDS[signer.kind].is_timestamped:
        raise ValueError("A cosignature carries its time; this key's kind of signature does not.")
    return signer.signature(note_text, at_unix)


def check(note: Note, key: NoteKey) -> int:
    """When this witness cosigned the checkpoint, in POSIX seconds; raises BadSignature when it has not.

    A time may lie in the future: who has a clock decides what to make of that.
    """
    at = key.check(note)
    if at is None:
        raise ValueError("A cosignature carries its time; this key's kind of signature does not.")
    return at


def answered(body: str, keys: Iterable[NoteKey]) -> list[Signature]:
    """The lines of a witness's answer (C2SP tlog-witness) that say they are of these keys; raises NotANote."""
    known = list(keys)
    return [line for line in read_signatures(body) if any(key.made(line) for key in known)]
