"""The little of JOSE that several rooms need: strict base64url, key thumbprints, and Ed25519 points no key may be."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from typing import Final

SMALL_ORDER: Final = frozenset(
    bytes.fromhex(y)
    for y in (
        "0000000000000000000000000000000000000000000000000000000000000000",
        "0100000000000000000000000000000000000000000000000000000000000000",
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    )
)
"""The points of small order, as y coordinates with the sign bit cleared."""
_MEMBERS = {"OKP": ("crv", "kty", "x"), "EC": ("crv", "kty", "x", "y")}  # RFC 8037 §2, RFC 7638 §3.2, in its order


def to_base64url(raw: bytes) -> str:
    """Write bytes as base64url without padding (RFC 7515 §2)."""
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode("ascii")


def from_base64url(text: str | bytes) -> bytes:
    """Read canonical base64url without padding; anything else, stray characters and bits included, is a ValueError."""
    encoded = text.encode("ascii") if isinstance(text, str) else text
    raw = base64.urlsafe_b64decode(encoded + b"=" * (-len(encoded) % 4))
    if base64.urlsafe_b64encode(raw).rstrip(b"=") != encoded:  # it skips what it does not know
        raise ValueError("not base64url without padding")
    return raw


def thumbprint(jwk: Mapping[str, str]) -> str:
    """The RFC 7638 thumbprint (SHA-256, base64url) of a public OKP or EC key. Other members do not count."""
    members = {name: jwk.get(name, "") for name in _MEMBERS.get(jwk.get("kty", ""), _MEMBERS["OKP"])}
    canonical = json.dumps(members, separators=(",", ":"), sort_keys=True)
    return to_base64url(hashlib.sha256(canonical.encode()).digest())


def is_of_small_order(point: bytes) -> bool:
    """Whether 32 bytes are an Ed25519 point of small order. RFC 8032 §5.1.7 leaves the check to us.

    Under such a key one signature fits many messages, so its owner could deny, or share, anything.
    """
    return point[:31] + bytes([point[31] & 0x7F]) in SMALL_ORDER
