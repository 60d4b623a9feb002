"""Signing keys: which JWKs the hub takes, what a key is called, and when what it signed counts."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from datetime import datetime

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePublicNumbers

from hub.jose import from_base64url, is_of_small_order, thumbprint
from partners.core.refusals import InvalidKey, PrivateKeySent
from partners.core.states import KeyState

PRIVATE_MEMBERS = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k"})  # RFC 7518 §6.2.2, §6.3.2, §6.4
ALGORITHMS = {"OKP": ("Ed25519", "EdDSA"), "EC": ("ES256",)}  # what a JWK's own `alg` may say


def read_public_jwk(jwk: object) -> dict[str, str]:
    """Exactly the required public members of an Ed25519 or P-256 JWK, values checked to be a point on the curve.

    Unknown members are dropped (RFC 7517 §4). Raises PrivateKeySent if private members came along, InvalidKey
    (with a JSON Pointer) for anything else that is not such a key, also for a `kid`, `use` or `alg` that disagrees.
    """
    if not isinstance(jwk, Mapping):
        raise InvalidKey("A JWK is a JSON object.", pointer="")
    if PRIVATE_MEMBERS & jwk.keys():
        raise PrivateKeySent(
            "This JWK holds its private part. The hub kept nothing of it, but it has left your hands: make a new key."
        )
    kty, crv = jwk.get("kty"), jwk.get("crv")
    if (kty, crv) not in (("OKP", "Ed25519"), ("EC", "P-256")):
        raise InvalidKey("The hub takes kty OKP with crv Ed25519, and kty EC with crv P-256.", pointer="/kty")
    if kty == "OKP":
        public = {"crv": "Ed25519", "kty": "OKP", "x": _coordinate(jwk, "x")}
        _check_ed25519(_raw(public["x"]))
    else:
        public = {"crv": "P-256", "kty": "EC", "x": _coordinate(jwk, "x"), "y": _coordinate(jwk, "y")}
        _check_p256(_raw(public["x"]), _raw(public["y"]))
    _check_hints(jwk, public)
    return public


def fingerprint(kid: str) -> str:
    """The thumbprint in groups of four hexadecimal digits, for two people to compare over the telephone."""
    digits = base64.urlsafe_b64decode(kid + "=").hex()
    return " ".join(digits[start : start + 4] for start in range(0, len(digits), 4))


def why_not_good(
    *,
    state: KeyState,
    activated_at: datetime | None,
    retired_at: datetime | None,
    compromised_at: datetime | None,
    received_at: datetime,
) -> str | None:
    """None if what the hub received at that moment under this key counts, else the reason it does not.

    The reason is "compromised" from `compromised_at` on (at any time for a revoked key without one), "proposed"
    before the activation, "retired" from the retirement on. The moment is the hub's clock, never the author's.
    """
    if state == KeyState.REVOKED and (compromised_at is None or received_at >= compromised_at):
        return "compromised"
    if activated_at is None or received_at < activated_at:
        return "proposed"
    if retired_at is not None and received_at >= retired_at:
        return "retired"
    return None


def _coordinate(jwk: Mapping[object, object], name: str) -> str:
    value = jwk.get(name)
    if not isinstance(value, str):
        raise InvalidKey(f"The member {name} must be a string.", pointer=f"/{name}")
    try:
        raw = from_base64url(value)  # one key, one spelling: else one key could have two thumbprints
    except ValueError:
        raise InvalidKey(f"The member {name} is not base64url without padding.", pointer=f"/{name}") from None
    if len(raw) != 32:
        raise InvalidKey(f"The member {name} must be 32 bytes.", pointer=f"/{name}")
    return value


def _check_ed25519(x: bytes) -> None:
    if is_of_small_order(x):
        raise InvalidKey("This point is of small order: one signature would fit many messages.", pointer="/x")
    y_only = x[:31] + bytes([x[31] & 0x7F])
    if int.from_bytes(y_only, "little") >= 2**255 - 19 or not _is_on_edwards25519(y_only):
        raise InvalidKey("The member x is not a point on Ed25519's curve.", pointer="/x")


def _is_on_edwards25519(y_only: bytes) -> bool:
    """RFC 8032 §5.1.3: there is an x with x² = (y² - 1) / (d y² + 1). OpenSSL takes any 32 bytes."""
    p = 2**255 - 19
    d = -121665 * pow(121666, -1, p) % p
    y2 = pow(int.from_bytes(y_only, "little"), 2, p)
    x2 = (y2 - 1) * pow(d * y2 + 1, -1, p) % p
    return x2 == 0 or pow(x2, (p - 1) // 2, p) == 1


def _check_p256(x: bytes, y: bytes) -> None:
    numbers = EllipticCurvePublicNumbers(int.from_bytes(x, "big"), int.from_bytes(y, "big"), SECP256R1())
    try:
        numbers.public_key()
    except (ValueError, UnsupportedAlgorithm):
        raise InvalidKey("The members x and y are not a point on P-256.", pointer="/x") from None


def _check_hints(jwk: Mapping[object, object], public: Mapping[str, str]) -> None:
    if "kid" in jwk and jwk["kid"] != thumbprint(public):
        raise InvalidKey("The kid must be the RFC 7638 thumbprint of the key, or be left out.", pointer="/kid")
    if "use" in jwk and jwk["use"] != "sig":
        raise InvalidKey("The key is not meant for signatures.", pointer="/use")
    if "alg" in jwk and jwk["alg"] not in ALGORITHMS[public["kty"]]:
        raise InvalidKey("The alg does not belong to this kind of key.", pointer="/alg")


def _raw(coordinate: str) -> bytes:
    return from_base64url(coordinate)
