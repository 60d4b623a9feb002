"""The kinds of signature a note may carry, in one table: what is signed, how long it is, who checks it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PublicKey

from hub.ledger.tlog.checkpoint import Checkpoint

ED25519 = 0x01
"""A plain signature over the note's text (C2SP signed-note)."""
COSIGNATURE_ED25519 = 0x04
"""A witness's word that it saw this checkpoint at a time (C2SP tlog-cosignature, cosignature/v1)."""
COSIGNATURE_ML_DSA_44 = 0x06
"""The same, safe against quantum computers; a log may sign with it too (C2SP tlog-cosignature, subtree/v1)."""


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind: its sizes in bytes, whether a time (u64) goes before the signature, and the bytes that are signed."""

    name: str
    key_bytes: int
    signature_bytes: int
    is_timestamped: bool
    message: Callable[[str, str, int], bytes]
    """(signer's name, note's text, POSIX seconds) → what is signed; raises NotACheckpoint where it must be one."""
    verify: Callable[[bytes, bytes, bytes], None]
    """(public key, signature, message); raises InvalidSignature."""


def _plain(name: str, text: str, at: int) -> bytes:
    del name, at
    return text.encode()


def _cosigned(name: str, text: str, at: int) -> bytes:
    del name
    Checkpoint.parse(text)
    return b"cosignature/v1\ntime %d\n" % at + text.encode()


def _subtree(name: str, text: str, at: int) -> bytes:
    head = Checkpoint.parse(text)
    span = (0).to_bytes(8, "big") + head.size.to_bytes(8, "big")
    return b"subtree/v1\n\0" + _counted(name) + at.to_bytes(8, "big") + _counted(head.origin) + span + head.root


def _counted(text: str) -> bytes:
    value = text.encode()
    if not 1 <= len(value) <= 255:
        raise ValueError("A cosigner's name and a log's origin have at most 255 bytes here.")
    return bytes([len(value)]) + value


def _verify_ed25519(public: bytes, signature: bytes, message: bytes) -> None:
    Ed25519PublicKey.from_public_bytes(public).verify(signature, message)


def _verify_ml_dsa_44(public: bytes, signature: bytes, message: bytes) -> None:
    try:
        MLDSA44PublicKey.from_public_bytes(public).verify(signature, message)
    except UnsupportedAlgorithm:
        raise InvalidSignature from None


KINDS: dict[int, Kind] = {
    ED25519: Kind("Ed25519", 32, 64, False, _plain, _verify_ed25519),
    COSIGNATURE_ED25519: Kind("Ed25519 cosignature", 32, 64, True, _cosigned, _verify_ed25519),
    COSIGNATURE_ML_DSA_44: Kind("ML-DSA-44 cosignature", 1312, 2420, True, _subtree, _verify_ml_dsa_44),
}
