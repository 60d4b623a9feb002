"""Reads and verifies a `key-endorsement+jws`: an active key of a partner says that another key is that partner's too.

docs/decisions/0020: partners may not import the readers of signals, so this statement has its own small one.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NoReturn

from joserfc.jwk import ECKey, OKPKey
from joserfc.jws import JWSRegistry

from hub.jose import from_base64url, thumbprint
from partners.core.keys import read_public_jwk
from partners.core.refusals import EndorsementRefused, InvalidKey, PrivateKeySent

TYPE = "key-endorsement+jws"
MAX_BYTES = 16 * 1024
CLAIMS = frozenset({"v", "iss", "jti", "iat", "aud", "jwk"})
HEADER = frozenset({"alg", "kid", "typ"})
JTI = re.compile(r"[A-Za-z0-9._:-]{1,128}")
KID = re.compile(r"[A-Za-z0-9_-]{43}")
ALGORITHMS: Mapping[str, tuple[str, ...]] = {"OKP": ("Ed25519", "EdDSA"), "EC": ("ES256",)}  # by the key's own type
MAX_AGE = timedelta(days=7)
MAX_AHEAD = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class Endorsement:
    """What the statement says, not yet believed: call `verify` with the key its header names."""

    kid: str  # the key that signed
    alg: str
    iss: str
    jti: str
    iat: int  # Unix seconds
    aud: str
    jwk: dict[str, str]  # the endorsed key: exactly its public members
    endorsed_kid: str
    verbatim: bytes  # the compact JWS
    digest: bytes  # SHA-256 of the payload


def read(line: bytes) -> Endorsement:
    """Parse a compact JWS (RFC 7515 §7.1). Raises EndorsementRefused with a `reason`."""
    if len(line) > MAX_BYTES:
        _refuse("too-large", "An endorsement is at most 16 KiB.")
    line = line.strip()
    segments = line.split(b".")
    if len(segments) != 3:
        _refuse("malformed-jws", "An endorsement is one compact JWS: three parts with dots between.")
    header = _object(segments[0], "header")
    payload_bytes = _bytes(segments[1], "payload")
    claims = _json(payload_bytes, "payload")
    _check_members(header, HEADER, reason="malformed-jws", where="header")
    _check_members(claims, CLAIMS, reason="schema", where="payload")
    if header["typ"] != TYPE:
        _refuse("schema", f"The typ of an endorsement is {TYPE}.")
    kid, alg, iss, jti, aud = header["kid"], header["alg"], claims["iss"], claims["jti"], claims["aud"]
    iat = claims["iat"]
    if not (isinstance(kid, str) and isinstance(alg, str)):
        _refuse("malformed-jws", "The header's kid and alg are strings.")
    _check_kid(kid)
    if claims["v"] != 1 or isinstance(claims["v"], bool):
        _refuse("schema", "The version v is 1.", pointer="/v")
    if not (isinstance(iss, str) and isinstance(aud, str)):
        _refuse("schema", "iss and aud are strings.")
    if not (isinstance(jti, str) and JTI.fullmatch(jti)):
        _refuse("schema", "jti is 1 to 128 of A-Z a-z 0-9 . _ : -", pointer="/jti")
    if not isinstance(iat, int) or isinstance(iat, bool):
        _refuse("schema", "iat is in whole Unix seconds.", pointer="/iat")
    try:
        jwk = read_public_jwk(claims["jwk"])
    except (InvalidKey, PrivateKeySent) as refusal:
        _refuse("schema", refusal.detail, pointer="/jwk" + (refusal.pointer or ""))
    return Endorsement(
        kid=kid,
        alg=alg,
        iss=iss,
        jti=jti,
        iat=iat,
        aud=aud,
        jwk=jwk,
        endorsed_kid=thumbprint(jwk),
        verbatim=line,
        digest=hashlib.sha256(payload_bytes).digest(),
    )


def verify(endorsement: Endorsement, jwk: Mapping[str, str]) -> None:
    """Check the signature with the named key. Raises EndorsementRefused: algorithm-not-allowed or bad-signature."""
    names = ALGORITHMS[jwk["kty"]]
    if endorsement.alg not in names:
        _refuse("algorithm-not-allowed", f"This key signs with {' or '.join(names)}.")
    key = OKPKey.import_key(dict(jwk)) if jwk["kty"] == "OKP" else ECKey.import_key(dict(jwk))
    signed, _, signature = endorsement.verbatim.rpartition(b".")
    algorithm = JWSRegistry.algorithms[names[0]]  # EdDSA on Ed25519 is Ed25519 under its older name
    if not algorithm.verify(signed, _bytes(signature, "signature"), key):
        _refuse("bad-signature", "The signature does not fit this key and these bytes.")


def check_claims(endorsement: Endorsement, *, issuer: str, audience: str, at: datetime) -> None:
    """Check who says it, to whom, and when. Raises EndorsementRefused: wrong-issuer, wrong-audience or stale."""
    if endorsement.iss != issuer:
        _refuse("wrong-issuer", "iss is the slug of the partner whose API key was used.", pointer="/iss")
    if endorsement.aud != audience:
        _refuse("wrong-audience", f"aud is this hub's id, {audience}.", pointer="/aud")
    now = at.timestamp()
    if not now - MAX_AGE.total_seconds() <= endorsement.iat <= now + MAX_AHEAD.total_seconds():
        _refuse("stale", "iat lies at most seven days back and five minutes ahead.", pointer="/iat")


def _refuse(reason: str, detail: str, *, pointer: str | None = None) -> NoReturn:
    raise EndorsementRefused(detail, pointer=pointer, reason=reason)


def _check_members(found: Mapping[str, object], wanted: frozenset[str], *, reason: str, where: str) -> None:
    if found.keys() != wanted:
        _refuse(reason, f"The {where} of an endorsement has exactly the members {', '.join(sorted(wanted))}.")


def _check_kid(kid: str) -> None:
    if not KID.fullmatch(kid):  # a NUL or half a surrogate pair is nothing that a database can be asked for
        _refuse("unknown-key", "The header's kid is not an RFC 7638 thumbprint (43 characters of base64url).")


def _bytes(segment: bytes, where: str) -> bytes:
    try:
        return from_base64url(segment)
    except ValueError:
        _refuse("malformed-jws", f"The {where} is not base64url without padding.")


def _object(segment: bytes, where: str) -> dict[str, object]:
    return _json(_bytes(segment, where), where)


def _json(raw: bytes, where: str) -> dict[str, object]:
    try:
        parsed = json.loads(raw.decode("utf-8"), object_pairs_hook=_no_duplicates, parse_constant=_no_constants)
    except (ValueError, RecursionError):
        _refuse("malformed-jws", f"The {where} is not JSON in UTF-8 with every name once.")
    if not isinstance(parsed, dict):
        _refuse("malformed-jws", f"The {where} is not a JSON object.")
    return parsed


def _no_duplicates(pairs: list[tuple[str, object]]) -> dict[str, object]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("a name occurs twice")
    return members


def _no_constants(name: str) -> NoReturn:
    raise ValueError(name)
