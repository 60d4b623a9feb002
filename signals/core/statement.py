"""A statement's envelope: reading one JWS line strictly, and checking its signature under the key the hub holds."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Final

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ec import (
    ECDSA,
    SECP256R1,
    EllipticCurvePublicKey,
    EllipticCurvePublicNumbers,
)
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256

from hub.jose import from_base64url, is_of_small_order, thumbprint
from signals.core import claims, strict_json
from signals.core.refusals import (
    AlgorithmNotAllowed,
    BadSignature,
    MalformedJws,
    TooLarge,
    UnknownKey,
    UnsupportedType,
)

SIGNAL: Final = "signal+jws"
ROUTING: Final = "routing+jws"
WITHDRAWAL: Final = "withdrawal+jws"
RECEIPT: Final = "receipt+jws"
ERASURE: Final = "erasure+jws"
KEY_ENDORSEMENT: Final = "key-endorsement+jws"
OPINION: Final = "opinion+jws"
OUTCOME: Final = "outcome+jws"
RETRACTION: Final = "retraction+jws"
TYPES: Final = frozenset({SIGNAL, ROUTING, WITHDRAWAL, RECEIPT, OPINION, OUTCOME, RETRACTION, ERASURE, KEY_ENDORSEMENT})

ALGORITHMS: Final = frozenset({"Ed25519", "EdDSA", "ES256"})
MAX_LINE: Final = 16 * 1024  # bytes

_KID = re.compile(r"[A-Za-z0-9_-]{43}")
_P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


class Jws(msgspec.Struct, frozen=True):
    """One statement as it came: nothing about it is verified until `verify` has returned."""

    alg: str
    kid: str  # RFC 7638 thumbprint, as the header claims it
    typ: str
    payload: bytes  # exactly as signed
    signing_input: bytes
    signature: bytes
    verbatim: bytes  # the line without surrounding white space; forwarded unchanged
    digest: bytes  # SHA-256 of `payload`
    document: dict[str, object]  # `payload`, read strictly


def parse(line: bytes) -> Jws:
    """Read one line: a compact JWS (RFC 7515 §7.1) or a flattened JSON JWS (§7.2.2), at most 16 KiB.

    Only `alg`, `kid`, `typ` and `crit` of the header are looked at; `jwk`, `jku`, `x5u`, `x5c` are ignored, for the
    hub finds keys by itself. Raises `TooLarge`, `MalformedJws`, `AlgorithmNotAllowed`, `UnsupportedType`,
    `UnknownKey`.
    """
    if len(line) > MAX_LINE:
        raise TooLarge(f"The line has {len(line)} bytes; {MAX_LINE} are allowed.")
    verbatim = line.strip(b" \t\r\n")
    protected, body, seal = _flattened(verbatim) if verbatim.startswith(b"{") else _compact(verbatim)
    alg, kid, typ = _read_header(_unbase64(protected, "header"))
    payload = _unbase64(body, "payload")
    return Jws(
        alg=alg,
        kid=kid,
        typ=typ,
        payload=payload,
        signing_input=protected + b"." + body,
        signature=_unbase64(seal, "signature"),
        verbatim=verbatim,
        digest=hashlib.sha256(payload).digest(),
        document=_read_object(payload, "payload"),
    )


def verify(jws: Jws, jwk: Mapping[str, str]) -> None:
    """Check the signature under the public key held for `jws.kid`, or raise `BadSignature` or `AlgorithmNotAllowed`.

    Ed25519 per RFC 8037, ES256 per RFC 7518 §3.4. Around 130 µs, nearly all of it the curve arithmetic.
    """
    kty, crv = jwk.get("kty", ""), jwk.get("crv", "")
    key, kid = _load(kty, crv, jwk.get("x", ""), jwk.get("y", ""))
    if kid != jws.kid:
        raise BadSignature("The key is not the one the header names.")
    if (jws.alg == "ES256") != isinstance(key, EllipticCurvePublicKey):
        raise AlgorithmNotAllowed(f"The key is of kind {kty} {crv} and cannot make {jws.alg} signatures.")
    try:
        if isinstance(key, EllipticCurvePublicKey):
            key.verify(_der(jws.signature), jws.signing_input, _ES256)
        else:
            key.verify(jws.signature, jws.signing_input)
    except InvalidSignature:
        raise BadSignature("The signature does not fit the bytes under this key.") from None


def read_claims(jws: Jws) -> claims.Claims:
    """Read the payload as its type says. Raises `Schema` with a pointer, or `VictimIdentifier`."""
    return claims.read(_STRUCTS[jws.typ], jws.document, has_null=b"null" in jws.payload)


# --- the envelope -----------------------------------------------------------------------------------------------------

_STRUCTS: dict[str, type[claims.Claims]] = {
    SIGNAL: claims.SignalClaims,
    ROUTING: claims.RoutingClaims,
    WITHDRAWAL: claims.WithdrawalClaims,
    RECEIPT: claims.ReceiptClaims,
    OPINION: claims.OpinionClaims,
    OUTCOME: claims.OutcomeClaims,
    RETRACTION: claims.RetractionClaims,
    ERASURE: claims.ErasureClaims,
    KEY_ENDORSEMENT: claims.EndorsementClaims,
}


def _compact(line: bytes) -> tuple[bytes, bytes, bytes]:
    parts = line.split(b".")
    if len(parts) != 3:
        raise MalformedJws("The line is neither three base64url parts with dots between them nor a JSON object.")
    return parts[0], parts[1], parts[2]


def _flattened(line: bytes) -> tuple[bytes, bytes, bytes]:
    wrapper = _read_object(line, "line")
    if wrapper.keys() != {"protected", "payload", "signature"}:
        # Any other member would be unsigned, yet forwarded with the rest as if the author had said it.
        detail = "A JSON JWS has exactly the members protected, payload and signature; everything else must be signed."
        raise MalformedJws(detail)
    parts = []
    for name in ("protected", "payload", "signature"):
        value = wrapper[name]
        if not isinstance(value, str) or not value.isascii():
            raise MalformedJws(f"The member {name} is not base64url.")
        parts.append(value.encode("ascii"))
    return parts[0], parts[1], parts[2]


def _unbase64(part: bytes, name: str) -> bytes:
    try:
        raw = from_base64url(part)  # strictly: two texts for one signature are one too many
    except ValueError:
        raise MalformedJws(f"The {name} is not strict base64url without padding.") from None
    if not raw:
        raise MalformedJws(f"The {name} is empty.")
    return raw


def _read_object(raw: bytes, name: str) -> dict[str, object]:
    try:
        document = strict_json.loads(raw)
    except strict_json.NotStrict as why:
        raise MalformedJws(f"The {name} {why}.") from None
    if not isinstance(document, dict):
        raise MalformedJws(f"The {name} is not a JSON object.")
    return document


@lru_cache(maxsize=1024)  # a partner sends the same few header bytes again and again
def _read_header(raw: bytes) -> tuple[str, str, str]:
    header = _read_object(raw, "header")
    if "crit" in header:
        raise MalformedJws("The header has `crit`; the hub knows no critical extension.")
    if "b64" in header:
        raise MalformedJws("The header has `b64` (RFC 7797); the payload must be base64url.")
    alg, kid, typ = (header.get(name) for name in ("alg", "kid", "typ"))
    if not (isinstance(alg, str) and isinstance(kid, str) and isinstance(typ, str)):
        raise MalformedJws("The header must have alg, kid and typ as strings.")
    if alg not in ALGORITHMS:
        raise AlgorithmNotAllowed("The header's alg is none of Ed25519, EdDSA and ES256.")
    if typ not in TYPES:
        raise UnsupportedType(f"The header's typ is none of {', '.join(sorted(TYPES))}.")
    if not _KID.fullmatch(kid):
        raise UnknownKey("The header's kid is not an RFC 7638 thumbprint (43 characters of base64url).")
    return alg, kid, typ


# --- keys and signatures ----------------------------------------------------------------------------------------------

_ES256 = ECDSA(SHA256())


@lru_cache(maxsize=4096)
def _load(kty: str, crv: str, x: str, y: str) -> tuple[Ed25519PublicKey | EllipticCurvePublicKey, str]:
    """Make the key object and its thumbprint. Cached by the key itself, so that no name can stand for another key."""
    kid = thumbprint({"kty": kty, "crv": crv, "x": x, "y": y})
    try:
        if (kty, crv) == ("OKP", "Ed25519"):
            return _ed25519(from_base64url(x)), kid
        if (kty, crv) == ("EC", "P-256"):
            return _p256(from_base64url(x), from_base64url(y)), kid
    except ValueError:
        raise BadSignature("The key the header names is not a usable public key.") from None
    raise AlgorithmNotAllowed("The key is neither Ed25519 (kty OKP) nor P-256 (kty EC).")


def _ed25519(point: bytes) -> Ed25519PublicKey:
    if len(point) == 32 and is_of_small_order(point):
        raise ValueError("a point of small order")
    return Ed25519PublicKey.from_public_bytes(point)


def _p256(x: bytes, y: bytes) -> EllipticCurvePublicKey:
    if len(x) != 32 or len(y) != 32:
        raise ValueError("coordinates have 32 bytes")
    numbers = EllipticCurvePublicNumbers(int.from_bytes(x, "big"), int.from_bytes(y, "big"), SECP256R1())
    return numbers.public_key()  # raises ValueError off the curve


def _der(signature: bytes) -> bytes:
    """Turn r || s (RFC 7518 §3.4) into the DER that `cryptography` reads."""
    r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big")
    if len(signature) != 64 or not (0 < r < _P256_ORDER and 0 < s < _P256_ORDER):
        raise BadSignature("An ES256 signature is 64 bytes: r and s, both within the order of the curve.")
    return encode_dss_signature(r, s)
