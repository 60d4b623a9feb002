"""Partners' side for the tests of the core: keys, payloads and signed lines, made without the code under test."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256

from hub.refusal import Refusal

NOON = 1_763_726_400  # 2025-11-21 12:00:00 UTC


def b64(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


@dataclass
class Author:
    """A partner's signing key."""

    alg: str = "Ed25519"
    ed: Ed25519PrivateKey = field(default_factory=Ed25519PrivateKey.generate)
    p256: ec.EllipticCurvePrivateKey = field(default_factory=lambda: ec.generate_private_key(ec.SECP256R1()))

    @property
    def jwk(self) -> dict[str, str]:
        if self.alg != "ES256":
            return {"kty": "OKP", "crv": "Ed25519", "x": b64(self.ed.public_key().public_bytes_raw())}
        point = self.p256.public_key().public_numbers()
        return {
            "kty": "EC",
            "crv": "P-256",
            "x": b64(point.x.to_bytes(32, "big")),
            "y": b64(point.y.to_bytes(32, "big")),
        }

    @property
    def kid(self) -> str:
        text = json.dumps({name: self.jwk[name] for name in sorted(self.jwk)}, separators=(",", ":"))
        return b64(hashlib.sha256(text.encode()).digest())

    def sign(self, signed: bytes) -> bytes:
        if self.alg != "ES256":
            return self.ed.sign(signed)
        r, s = decode_dss_signature(self.p256.sign(signed, ec.ECDSA(SHA256())))
        return r.to_bytes(32, "big") + s.to_bytes(32, "big")

    def parts(self, payload: Any, typ: Any = "signal+jws", **header: Any) -> tuple[str, str, str]:
        """Sign a payload (bytes as they are, anything else as JSON); a header member given as None is left out."""
        members = {"alg": self.alg, "kid": self.kid, "typ": typ, **header}
        protected = b64(json.dumps({name: value for name, value in members.items() if value is not None}).encode())
        body = b64(payload if isinstance(payload, bytes) else json.dumps(payload).encode())
        return protected, body, b64(self.sign(f"{protected}.{body}".encode()))

    def compact(self, payload: Any, typ: Any = "signal+jws", **header: Any) -> bytes:
        return ".".join(self.parts(payload, typ, **header)).encode()

    def flattened(self, payload: Any, typ: Any = "signal+jws", **header: Any) -> bytes:
        names = ("protected", "payload", "signature")
        return json.dumps(dict(zip(names, self.parts(payload, typ, **header), strict=True))).encode()


def _statement(**members: Any) -> dict[str, Any]:
    base = {"v": 1, "iss": "acme-social", "jti": "s-1", "iat": NOON, "aud": "hub.example"}
    return {name: value for name, value in (base | members).items() if value is not ...}


def signal(**members: Any) -> dict[str, Any]:
    """A signal's payload; `...` leaves a member out."""
    base = {
        "programme": "csea",
        "indicator": {"type": "username", "value": "night.owl", "service": "acme.example"},
        "role": "suspect",
        "violation": "sextortion",
        "evidence": "confirmed",
        "review": "human",
        "origin": "own",
        "confidence": 90,
        "severity": "high",
        "handling": {"tlp": "amber", "audience": "programme", "permitted": ["investigate", "restrict-content"]},
    }
    return _statement(**(base | members))


ABOUT = {"iss": "acme-social", "jti": "s-1", "digest": b64(hashlib.sha256(b"a payload").digest())}


def routing(**members: Any) -> dict[str, Any]:
    return _statement(**({"programme": "csea", "about": ABOUT, "only": ["beta-chat"]} | members))


def withdrawal(**members: Any) -> dict[str, Any]:
    return _statement(**({"programme": "csea", "about": ABOUT, "reason": "error"} | members))


def endorsement(**members: Any) -> dict[str, Any]:
    return _statement(**({"jwk": Author().jwk} | members))


def refusal_of(act: Callable[[], object]) -> Refusal | None:
    """Do it; return the refusal, or None if it went through. Any other exception is the test's failure."""
    try:
        act()
    except Refusal as refusal:
        return refusal
    return None
