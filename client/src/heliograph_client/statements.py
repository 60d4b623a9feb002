"""What a partner says: built, signed as a JWS over exact bytes, and verified again with algorithms fixed in advance."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal

from heliograph_client.keys import Jwk, KeyProblem, SigningKey, check_signature, public_only, thumbprint
from heliograph_client.wire import Json, NotStrict, b64url, compact_json, from_b64url, strict_object

SIGNAL: Final = "signal+jws"
ROUTING: Final = "routing+jws"
WITHDRAWAL: Final = "withdrawal+jws"
RECEIPT: Final = "receipt+jws"
OPINION: Final = "opinion+jws"
OUTCOME: Final = "outcome+jws"
RETRACTION: Final = "retraction+jws"
ERASURE: Final = "erasure+jws"
KEY_ENDORSEMENT: Final = "key-endorsement+jws"
ALGORITHMS: Final = frozenset({"Ed25519", "EdDSA", "ES256"})
MAX_STATEMENT_BYTES: Final = 16 * 1024

Payload = dict[str, Json]
Tlp = Literal["clear", "green", "amber", "amber+strict", "red"]
DeletedFrom = Literal["systems", "backups", "derived", "recipients"]
Held = Literal["confirm", "false-positive", "outdated", "seen", "need-more"]
Did = Literal["account-actioned", "content-removed", "url-blocked", "referred", "no-action", "not-found"]
WithdrawalReason = Literal["error", "resolved", "legal", "duplicate", "narrowing", "other"]


class StatementProblem(Exception):
    """A statement cannot be believed.

    `code` is stable: malformed-jws, algorithm-not-allowed, unknown-key, bad-signature, wrong-type.
    """

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.code = code


@dataclass(frozen=True, slots=True)
class Jws:
    """A JWS taken apart and not yet verified."""

    alg: str
    kid: str
    typ: str
    payload: bytes
    signing_input: bytes
    signature: bytes

    @property
    def digest(self) -> str:
        """What other statements call this one by; see `digest`."""
        return b64url(hashlib.sha256(self.payload).digest())


# --- signing ------------------------------------------------------------


def sign(payload: Mapping[str, Json], key: SigningKey, typ: str) -> str:
    """Encode the payload once and sign those bytes: a compact JWS (RFC 7515 §7.1)."""
    return sign_bytes(compact_json(payload), key, typ)


def sign_bytes(payload: bytes, key: SigningKey, typ: str) -> str:
    """Sign bytes made elsewhere, unchanged: a compact JWS."""
    header = compact_json({"alg": key.alg, "kid": key.kid, "typ": typ})
    signing_input = f"{b64url(header)}.{b64url(payload)}"
    return f"{signing_input}.{b64url(key.sign(signing_input.encode('ascii')))}"


def digest(jws: str | bytes) -> str:
    """base64url SHA-256 of the payload's exact bytes: how one statement names another (`about.digest`)."""
    return read(jws).digest


def about(jws: str | bytes) -> dict[str, str]:
    """The `about` member that names this statement: issuer, jti, digest. `StatementProblem` when it has none."""
    parsed = read(jws)
    try:
        claims = strict_object(parsed.payload)
        return {"iss": str(claims["iss"]), "jti": str(claims["jti"]), "digest": parsed.digest}
    except (NotStrict, KeyError) as error:
        raise StatementProblem("malformed-jws", "this statement has no issuer and jti to name it by") from error


def _envelope(*, issuer: str, hub: str, programme: str | None, at: datetime, jti: str | None) -> Payload:
    envelope: Payload = {"v": 1, "iss": issuer, "jti": jti or str(uuid.uuid4()), "iat": int(at.timestamp()), "aud": hub}
    return envelope if programme is None else {**envelope, "programme": programme}


def signal(  # one keyword per member of the payload; all but seven have the usual value
    *,
    issuer: str,
    hub: str,
    programme: str,
    type: str,  # noqa: A002  # the payload's own word
    value: str,
    violation: str,
    at: datetime,
    jti: str | None = None,
    service: str | None = None,
    quality: int | None = None,
    role: Literal["suspect", "content", "venue"] = "suspect",
    evidence: Literal["confirmed", "suspected"] = "suspected",
    review: Literal["human", "automated"] = "human",
    origin: Literal["own", "derived"] = "own",
    confidence: int = 50,
    severity: Literal["low", "medium", "high", "critical"] = "medium",
    tlp: Tlp = "amber",
    audience: Literal["programme", "routed"] = "programme",
    permitted: Iterable[str] = ("investigate",),
    observed: tuple[datetime, datetime] | None = None,
    expires: datetime | None = None,
    supersedes: str | None = None,
    incident: str | None = None,
    note: str | None = None,
) -> Payload:
    """The payload of a signal: one indicator, said by `issuer` in `programme` at `at`. Checked by the hub, not here."""
    indicator: Payload = {"type": type, "value": value}
    if service is not None:
        indicator["service"] = service
    if quality is not None:
        indicator["quality"] = quality
    payload = _envelope(issuer=issuer, hub=hub, programme=programme, at=at, jti=jti)
    if supersedes is not None:
        payload["supersedes"] = supersedes
    payload |= {
        "indicator": indicator,
        "role": role,
        "violation": violation,
        "evidence": evidence,
        "review": review,
        "origin": origin,
        "confidence": confidence,
        "severity": severity,
    }
    if observed is not None:
        payload["observed"] = {"first": int(observed[0].timestamp()), "last": int(observed[1].timestamp())}
    if expires is not None:
        payload["expires"] = int(expires.timestamp())
    payload["handling"] = {"tlp": tlp, "audience": audience, "permitted": list(permitted)}
    return payload | {name: text for name, text in (("incident", incident), ("note", note)) if text is not None}


def anew(jws: str, *, at: datetime, audience: Literal["programme", "routed"], jti: str | None = None) -> Payload:
    """The payload of a signal said before, to be said again at `at`, to another audience, as a signal of its own."""
    try:
        before = strict_object(read(jws).payload)
        handling = {**before["handling"], "audience": audience}
    except (NotStrict, KeyError, TypeError) as error:
        raise StatementProblem("wrong-type", "this is not a signal") from error
    fresh = {"jti": jti or str(uuid.uuid4()), "iat": int(at.timestamp()), "handling": handling}
    return {name: fresh.get(name, value) for name, value in before.items() if name != "supersedes"}


def routing(
    *,
    issuer: str,
    hub: str,
    programme: str,
    about: Mapping[str, str],
    at: datetime,
    only: Sequence[str] | None = None,
    excluding: Sequence[str] | None = None,
    derived_from: Sequence[Mapping[str, str]] = (),
    jti: str | None = None,
) -> Payload:
    """Who may see the signal `about` names: `only` these partners, or all `excluding` these; exactly one of the two."""
    if (only is None) == (excluding is None):
        raise ValueError("a routing names either `only` or `excluding`")
    audience: Payload = {"only": list(only)} if only is not None else {"except": list(excluding or ())}
    payload = _envelope(issuer=issuer, hub=hub, programme=programme, at=at, jti=jti) | {"about": dict(about)} | audience
    return payload | {"derived_from": [dict(source) for source in derived_from]} if derived_from else payload


def withdrawal(
    *,
    issuer: str,
    hub: str,
    programme: str,
    about: Mapping[str, str],
    reason: WithdrawalReason,
    at: datetime,
    jti: str | None = None,
) -> Payload:
    """Take a signal back: everyone who was told is told to drop it."""
    envelope = _envelope(issuer=issuer, hub=hub, programme=programme, at=at, jti=jti)
    return envelope | {"about": dict(about), "reason": reason}


def receipt(
    *,
    issuer: str,
    hub: str,
    programme: str,
    about: Mapping[str, str],
    at: datetime,
    deleted_at: datetime | None = None,
    scope: Sequence[DeletedFrom] = (),
    jti: str | None = None,
) -> Payload:
    """Say that a removed signal, which `about` names as its author said it, is deleted; `scope` says from where."""
    payload = _envelope(issuer=issuer, hub=hub, programme=programme, at=at, jti=jti) | {"about": dict(about)}
    if deleted_at is not None:
        payload["deleted_at"] = int(deleted_at.timestamp())
    return payload | {"scope": list(scope)} if scope else payload


def erasure(
    *,
    issuer: str,
    hub: str,
    programme: str,
    departure: str,
    at: datetime,
    deleted_at: datetime | None = None,
    scope: Sequence[DeletedFrom] = (),
    jti: str | None = None,
) -> Payload:
    """Say, after leaving a programme, that all it ever brought is erased; `departure` is the reference one was told."""
    payload = _envelope(issuer=issuer, hub=hub, programme=programme, at=at, jti=jti) | {"departure": departure}
    if deleted_at is not None:
        payload["deleted_at"] = int(deleted_at.timestamp())
    return payload | {"scope": list(scope)} if scope else payload


def opinion(
    *,
    issuer: str,
    hub: str,
    programme: str,
    about: Mapping[str, str],
    opinion: Held,
    at: datetime,
    observation: Literal["own", "derived"] | None = None,
    reason: str | None = None,
    jti: str | None = None,
) -> Payload:
    """Say what we hold of another's signal. `confirm` needs an `observation`; all others but `seen` need a `reason`."""
    payload = _envelope(issuer=issuer, hub=hub, programme=programme, at=at, jti=jti)
    payload |= {"about": dict(about), "opinion": opinion}
    return payload | {
        name: word for name, word in (("observation", observation), ("reason", reason)) if word is not None
    }


def outcome(
    *,
    issuer: str,
    hub: str,
    programme: str,
    about: Mapping[str, str],
    did: Sequence[Did],
    review: Literal["human", "automated", "none"],
    at: datetime,
    basis: Literal["own-finding", "signal-alone"] | None = None,
    policy: str | None = None,
    jti: str | None = None,
) -> Payload:
    """Say what we did about another's signal; what touched somebody needs its `basis`."""
    payload = _envelope(issuer=issuer, hub=hub, programme=programme, at=at, jti=jti)
    payload |= {"about": dict(about), "did": list(did), "review": review}
    return payload | {name: word for name, word in (("basis", basis), ("policy", policy)) if word is not None}


def retraction(
    *, issuer: str, hub: str, programme: str, about: Mapping[str, str], at: datetime, jti: str | None = None
) -> Payload:
    """Take an opinion or outcome of our own back, which `about` names."""
    return _envelope(issuer=issuer, hub=hub, programme=programme, at=at, jti=jti) | {"about": dict(about)}


def key_endorsement(*, issuer: str, hub: str, jwk: Jwk, at: datetime, jti: str | None = None) -> Payload:
    """Vouch for a new key of one's own; sign it with a key that is already active."""
    return _envelope(issuer=issuer, hub=hub, programme=None, at=at, jti=jti) | {"jwk": public_only(jwk)}


# --- verifying ------------------------------------------------------------


def read(jws: str | bytes) -> Jws:
    """Take a compact or flattened JSON JWS apart, believing nothing yet; `malformed-jws` if it is not one."""
    try:
        raw = jws.encode("utf-8") if isinstance(jws, str) else jws
        if len(raw) > MAX_STATEMENT_BYTES:
            raise NotStrict("longer than 16 KiB")
        text = raw.decode("utf-8").strip()
        protected, payload, signature = _parts(text)
        header = strict_object(from_b64url(protected))
        names = {name: header.get(name) for name in ("alg", "kid", "typ")}
        if not all(isinstance(value, str) for value in names.values()):
            raise NotStrict("the header lacks alg, kid or typ")
        if "crit" in header or "b64" in header:  # RFC 7515 §4.1.11: what we do not understand, we refuse
            raise NotStrict("the header asks for an extension we do not know")
        body, seal = from_b64url(payload), from_b64url(signature)
    except (NotStrict, UnicodeError) as error:
        raise StatementProblem("malformed-jws", f"this is not a JWS we can read: {error}") from error
    return Jws(str(names["alg"]), str(names["kid"]), str(names["typ"]), body, f"{protected}.{payload}".encode(), seal)


def _parts(text: str) -> tuple[str, str, str]:
    if not text.startswith("{"):
        parts = text.split(".")
        if len(parts) != 3 or not text.isascii():  # header, payload, signature
            raise NotStrict("not three parts with dots between them")
        return parts[0], parts[1], parts[2]
    members = strict_object(text)
    if set(members) != {"protected", "payload", "signature"} or not all(isinstance(v, str) for v in members.values()):
        raise NotStrict("a flattened JWS has exactly protected, payload and signature")
    return members["protected"], members["payload"], members["signature"]


def verify(jws: str | bytes, jwks: Mapping[str, Any] | Iterable[Jwk], *, typ: str | None = None) -> Payload:
    """The payload, if one of these keys signed it; `StatementProblem` with the code that says what is wrong if not.

    `jwks` is a JWK Set or its keys; their `kid` is computed, never believed, and any `jwk`, `jku` or `x5u` in the
    statement's header is ignored. `typ` demands a kind of statement (`SIGNAL`, …).
    """
    parsed = read(jws)
    if typ is not None and parsed.typ != typ:
        raise StatementProblem("wrong-type", f"this is a {parsed.typ}, not a {typ}")
    if parsed.alg not in ALGORITHMS:
        raise StatementProblem("algorithm-not-allowed", "only Ed25519, EdDSA on Ed25519, and ES256 are allowed")
    jwk = _find(parsed.kid, jwks.get("keys", ()) if isinstance(jwks, Mapping) else jwks)
    if jwk is None:
        raise StatementProblem("unknown-key", f"no key {parsed.kid} among those given")
    return verify_with(parsed, jwk)


def verify_with(parsed: Jws, jwk: Jwk) -> Payload:
    """The payload, if this one key signed it; the caller has looked the key up."""
    try:
        if not check_signature(jwk, alg=parsed.alg, message=parsed.signing_input, signature=parsed.signature):
            raise StatementProblem("bad-signature", "the signature is not this key's over these bytes")
        return strict_object(parsed.payload)
    except KeyProblem as error:
        raise StatementProblem("unknown-key", str(error)) from error
    except NotStrict as error:
        raise StatementProblem("malformed-jws", "the signed payload is not one JSON object") from error


def _find(kid: str, keys: Iterable[Jwk]) -> Jwk | None:
    return next((jwk for jwk in keys if _kid_or_none(jwk) == kid), None)


def _kid_or_none(jwk: Jwk) -> str | None:
    try:
        return thumbprint(jwk)
    except (KeyProblem, AttributeError):
        return None  # a key of a kind we do not use stands in the way of no other
