"""What a statement says: each type's payload as a frozen struct, and the checks that need nothing but the payload."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import Annotated, Final, Literal, NoReturn, TypeVar

import msgspec
from msgspec import Meta, Struct, field

from hub.refusal import is_plain
from signals.core import strict_json
from signals.core.opinions import ACTIONS, REASONS
from signals.core.refusals import Schema, Stale, UnknownSignal, VictimIdentifier, WrongAudience, WrongIssuer

MAX_AGE: Final = timedelta(days=7)  # how far back `iat` may lie without the right to back-fill
MAX_AHEAD: Final = timedelta(minutes=5)  # how far a partner's clock may run ahead of the hub's

IndicatorType = Literal[
    "md5", "sha1", "sha256", "pdq", "url", "domain", "keyword", "username", "account_id", "email", "phone"
]
Permitted = Literal["investigate", "restrict-content", "restrict-account", "refer"]

DeletedFrom = Literal["systems", "backups", "derived", "recipients"]
Did = Literal["account-actioned", "content-removed", "url-blocked", "referred", "no-action", "not-found"]
Held = Literal["confirm", "false-positive", "outdated", "seen", "need-more"]

# `\Z`, for `$` would let a line break pass at the end.
Slug = Annotated[str, Meta(pattern=r"\A[a-z0-9](?:[a-z0-9-]{0,62}[a-z0-9])?\Z")]
Jti = Annotated[str, Meta(pattern=r"\A[A-Za-z0-9._:-]{1,128}\Z")]
Digest = Annotated[str, Meta(pattern=r"\A[A-Za-z0-9_-]{42}[AEIMQUYcgkosw048]\Z")]
Coordinate = Annotated[str, Meta(pattern=r"\A[A-Za-z0-9_-]{42}[AEIMQUYcgkosw048]\Z")]
HubId = Annotated[str, Meta(min_length=1, max_length=255)]
Seconds = Annotated[int, Meta(ge=946_684_800, le=4_102_444_800)]  # Unix time from 2000 to 2100
Percent = Annotated[int, Meta(ge=0, le=100)]


class About(Struct, frozen=True, forbid_unknown_fields=True):
    """Another statement, named so that nothing else can be meant."""

    iss: Slug
    jti: Jti
    digest: Digest  # base64url SHA-256 of the payload bytes


class Indicator(Struct, frozen=True, forbid_unknown_fields=True):
    """The clue itself, as the author writes it; `indicators.read` says how the hub reads it."""

    type: IndicatorType
    value: Annotated[str, Meta(min_length=1, max_length=2048)]
    service: Annotated[str, Meta(min_length=1, max_length=253)] | None = None
    quality: Percent | None = None


class Observed(Struct, frozen=True, forbid_unknown_fields=True):
    """When the author saw it, first and last."""

    first: Seconds
    last: Seconds


class Handling(Struct, frozen=True, forbid_unknown_fields=True):
    """Who may see the signal and what they may do with it."""

    tlp: Literal["clear", "green", "amber", "amber+strict", "red"]
    audience: Literal["programme", "routed"]
    permitted: Annotated[tuple[Permitted, ...], Meta(min_length=1)]


class PublicJwk(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A public key (RFC 7517). There is no place for a private member."""

    kty: Literal["OKP", "EC"]
    crv: Literal["Ed25519", "P-256"]
    x: Coordinate
    y: Coordinate | None = None
    kid: Annotated[str, Meta(max_length=128)] | None = None
    use: Literal["sig"] | None = None
    alg: Literal["Ed25519", "EdDSA", "ES256"] | None = None


class Claims(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What every statement says."""

    v: Literal[1]
    iss: Slug
    jti: Jti
    iat: Seconds
    aud: HubId


class SignalClaims(Claims, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`signal+jws`: one indicator, said by one partner in one programme."""

    programme: Slug
    supersedes: Jti | None = None
    indicator: Indicator
    role: Literal["suspect", "content", "venue"]
    violation: Slug
    evidence: Literal["confirmed", "suspected"]
    review: Literal["human", "automated"]
    origin: Literal["own", "derived"]
    confidence: Percent
    severity: Literal["low", "medium", "high", "critical"]
    observed: Observed | None = None
    expires: Seconds | None = None
    handling: Handling
    incident: Annotated[str, Meta(min_length=1, max_length=128)] | None = None
    note: Annotated[str, Meta(max_length=1000)] | None = None


class RoutingClaims(Claims, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`routing+jws`: who gets a routed signal, and what it was derived from. Never forwarded."""

    programme: Slug
    about: About
    only: Annotated[tuple[Slug, ...], Meta(min_length=1, max_length=1000)] | None = None
    except_: Annotated[tuple[Slug, ...], Meta(max_length=1000)] | None = field(name="except", default=None)
    derived_from: Annotated[tuple[About, ...], Meta(max_length=100)] = ()


class WithdrawalClaims(Claims, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`withdrawal+jws`: the author takes a signal back."""

    programme: Slug
    about: About
    reason: Literal["error", "resolved", "legal", "duplicate", "narrowing", "other"]


class ReceiptClaims(Claims, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`receipt+jws`: a partner that had a removed signal says that it has deleted it. Never forwarded."""

    programme: Slug
    about: About
    deleted_at: Seconds | None = None
    scope: Annotated[tuple[DeletedFrom, ...], Meta(min_length=1)] | None = None


class ErasureClaims(Claims, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`erasure+jws`: a partner that left a programme says that it has erased all it received there. Never forwarded."""

    programme: Slug
    departure: Annotated[str, Meta(pattern=r"\A[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\Z")]
    deleted_at: Seconds | None = None
    scope: Annotated[tuple[DeletedFrom, ...], Meta(min_length=1)] | None = None


class OpinionClaims(Claims, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`opinion+jws`: what a partner holds of another's signal. Never forwarded; the hub tells how many hold what."""

    programme: Slug
    about: About
    opinion: Held
    observation: Literal["own", "derived"] | None = None
    reason: Slug | None = None


class OutcomeClaims(Claims, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`outcome+jws`: what a partner did about another's signal. Never forwarded; the hub tells how many did what."""

    programme: Slug
    about: About
    did: Annotated[tuple[Did, ...], Meta(min_length=1)]
    review: Literal["human", "automated", "none"]
    basis: Literal["own-finding", "signal-alone"] | None = None
    policy: Annotated[str, Meta(pattern=r"\A[A-Za-z0-9][A-Za-z0-9._:/-]{0,63}\Z")] | None = None


class RetractionClaims(Claims, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`retraction+jws`: a partner takes back an opinion or outcome of its own."""

    programme: Slug
    about: About


class EndorsementClaims(Claims, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`key-endorsement+jws`: an active key vouches for another key of the same partner."""

    jwk: PublicJwk


_AnyClaims = TypeVar("_AnyClaims", bound=Claims)


def read(kind: type[_AnyClaims], document: dict[str, object], *, has_null: bool = True) -> _AnyClaims:
    """Read a payload, already strict JSON, as one of the structs above; `has_null=False` if none can be in it.

    Raises `Schema` with the RFC 6901 pointer of the member at fault, and `VictimIdentifier`. Unknown members and
    nulls are refused at every level. Details never repeat a value.
    """
    if kind is SignalClaims and _names_a_victim(document):
        detail = "The hub takes no identifiers of victims; role may be suspect, content or venue."
        raise VictimIdentifier(detail, pointer="/role")
    try:
        if has_null and (pointer := strict_json.null_at(document)) is not None:
            raise Schema("null is not a value here; leave the member out.", pointer=pointer)
        claims = msgspec.convert(document, kind)
    except msgspec.ValidationError as fault:
        _explain(str(fault))
    if isinstance(claims, SignalClaims):
        _check_signal(claims)
    elif isinstance(claims, RoutingClaims):
        _check_routing(claims)
    elif isinstance(claims, ReceiptClaims | ErasureClaims):
        _check_unique(claims.scope or (), "/scope")
    elif isinstance(claims, OpinionClaims):
        _check_opinion(claims)
    elif isinstance(claims, OutcomeClaims):
        _check_outcome(claims)
    elif isinstance(claims, EndorsementClaims):
        _check_jwk(claims.jwk)
    return claims


def check_times(claims: Claims, *, received_at: datetime, may_backfill: bool) -> None:
    """Raise `Stale` if `iat` lies more than 7 days before or 5 minutes after, or a signal has run out by `received_at`.

    With the right to back-fill (`signals:backfill`) `iat` may lie any time back.
    """
    now = received_at.timestamp()
    if claims.iat > now + MAX_AHEAD.total_seconds():
        raise Stale("iat is more than 5 minutes ahead of the hub's clock.", pointer="/iat")
    if claims.iat < now - MAX_AGE.total_seconds() and not may_backfill:
        raise Stale("iat is more than 7 days old, and the API key has no scope signals:backfill.", pointer="/iat")
    if isinstance(claims, SignalClaims) and claims.expires is not None and claims.expires <= now:
        raise Stale("expires has passed.", pointer="/expires")


def check_binding(claims: Claims, *, issuer: str, hub_id: str) -> None:
    """Raise `WrongIssuer` unless the submitting partner speaks for itself, `WrongAudience` unless to this hub.

    A routing or withdrawal about somebody else's statement is an `UnknownSignal`, as if it did not exist.
    """
    if claims.iss != issuer:
        raise WrongIssuer("iss is not the slug of the partner whose API key sent this.", pointer="/iss")
    if claims.aud != hub_id:
        raise WrongAudience(f"aud is not this hub; it must be {hub_id}.", pointer="/aud")
    if isinstance(claims, RoutingClaims | WithdrawalClaims) and claims.about.iss != issuer:
        raise UnknownSignal("There is no such signal of yours.", pointer="/about")


def expires_at(claims: SignalClaims, *, received_at: datetime, retention: timedelta) -> datetime:
    """Return when the signal runs out: when the author says, and no later than the programme keeps this type.

    A later `expires` is cut, not refused: the retention is the programme's, may change, and the author need not know
    it.
    """
    latest = received_at + retention
    if claims.expires is None:
        return latest
    return min(latest, datetime.fromtimestamp(claims.expires, tz=received_at.tzinfo))


# --- what the structs cannot say --------------------------------------------------------------------------------------


def _names_a_victim(document: dict[str, object]) -> bool:
    role = document.get("role")
    return isinstance(role, str) and role.strip().casefold() == "victim"


def _check_signal(claims: SignalClaims) -> None:
    indicator = claims.indicator
    needs_service = indicator.type in ("username", "account_id")
    if needs_service and indicator.service is None:
        raise Schema(f"A {indicator.type} needs the service (a domain) it belongs to.", pointer="/indicator/service")
    if not needs_service and indicator.service is not None:
        raise Schema("Only a username or account_id has a service.", pointer="/indicator/service")
    if indicator.quality is not None and indicator.type != "pdq":
        raise Schema("Only a pdq hash has a quality.", pointer="/indicator/quality")
    if claims.observed is not None and claims.observed.first > claims.observed.last:
        raise Schema("The first observation is later than the last.", pointer="/observed/first")
    if claims.expires is not None and claims.expires <= claims.iat:
        raise Schema("expires is not later than iat.", pointer="/expires")
    _check_unique(claims.handling.permitted, "/handling/permitted")


def _check_routing(claims: RoutingClaims) -> None:
    if (claims.only is None) == (claims.except_ is None):
        raise Schema("A routing has exactly one of only and except.", pointer="/only")
    _check_unique(claims.only or (), "/only")
    _check_unique(claims.except_ or (), "/except")
    _check_unique(claims.derived_from, "/derived_from")


def _check_opinion(claims: OpinionClaims) -> None:
    if (claims.opinion == "confirm") != (claims.observation is not None):
        detail = "A confirmation says whose observation it rests on, own or derived; no other opinion has that member."
        raise Schema(detail, pointer="/observation")
    allowed = REASONS.get(claims.opinion, ())
    if claims.reason is None and allowed:
        raise Schema(f"This opinion needs a reason, one of: {', '.join(allowed)}.", pointer="/reason")
    if claims.reason is not None and claims.reason not in allowed:
        detail = f"The reason of this opinion is one of: {', '.join(allowed)}." if allowed else "It has no reason."
        raise Schema(detail, pointer="/reason")


def _check_outcome(claims: OutcomeClaims) -> None:
    _check_unique(claims.did, "/did")
    acted = not ACTIONS.isdisjoint(claims.did)
    if not acted and len(claims.did) > 1:
        raise Schema("It was either not found, or found and left as it is.", pointer="/did")
    if acted and not ACTIONS.issuperset(claims.did):
        raise Schema("no-action and not-found stand alone.", pointer="/did")
    if acted != (claims.basis is not None):
        detail = "What touched somebody says its basis, own-finding or signal-alone; nothing else has that member."
        raise Schema(detail, pointer="/basis")


def _check_jwk(jwk: PublicJwk) -> None:
    if (jwk.kty, jwk.crv, jwk.y is not None) not in {("OKP", "Ed25519", False), ("EC", "P-256", True)}:
        detail = "The key is neither Ed25519 (kty OKP, crv Ed25519, x) nor P-256 (kty EC, crv P-256, x, y)."
        raise Schema(detail, pointer="/jwk")


def _check_unique(items: tuple[object, ...], pointer: str) -> None:
    if len(set(items)) != len(items):
        raise Schema("The list names something twice.", pointer=pointer)


# --- from the library's words to ours ---------------------------------------------------------------------------------

_FAULT = re.compile(r"(?P<what>.*?)(?: - at `\$(?P<path>.*)`)?", re.DOTALL)
_STEP = re.compile(r"\.(?P<name>[^.\[\]]+)|\[(?P<index>[0-9]+)\]")
_NAMED = re.compile(r"Object (?P<fault>contains unknown|missing required) field `(?P<name>.*)`", re.DOTALL)
_SAFE = re.compile(r"Expected `[a-z]+`(?:, got `[a-z]+`| of length [<>]= [0-9]+| [<>]= [0-9]+)?")
_CLOSED: dict[str, str] = {
    "/v": "1",
    "/indicator/type": "md5, sha1, sha256, pdq, url, domain, keyword, username, account_id, email, phone",
    "/role": "suspect, content, venue",
    "/evidence": "confirmed, suspected",
    "/review": "human, automated; in an outcome also none",
    "/origin": "own, derived",
    "/severity": "low, medium, high, critical",
    "/handling/tlp": "clear, green, amber, amber+strict, red",
    "/handling/audience": "programme, routed",
    "/handling/permitted": "investigate, restrict-content, restrict-account, refer",
    "/scope": "systems, backups, derived, recipients",
    "/reason": "error, resolved, legal, duplicate, narrowing, other; an opinion's is said in docs/standing.md",
    "/opinion": "confirm, false-positive, outdated, seen, need-more",
    "/observation": "own, derived",
    "/did": "account-actioned, content-removed, url-blocked, referred, no-action, not-found",
    "/basis": "own-finding, signal-alone",
}
_SLUG_FORM = "A slug has lower-case letters, digits and inner hyphens, at most 64 characters."
_JTI_FORM = "A jti has 1 to 128 characters of A-Z, a-z, 0-9, dot, underscore, colon and hyphen."
_FORMS: dict[str, str] = {
    "iss": _SLUG_FORM,
    "programme": _SLUG_FORM,
    "violation": _SLUG_FORM,
    "only": _SLUG_FORM,
    "except": _SLUG_FORM,
    "jti": _JTI_FORM,
    "supersedes": _JTI_FORM,
    "digest": "A digest is the SHA-256 of the payload bytes in base64url without padding, 43 characters.",
    "x": "A coordinate has 32 bytes in base64url without padding, 43 characters.",
    "policy": "A policy is a short reference: 1 to 64 of A-Z, a-z, 0-9, dot, underscore, colon, slash and hyphen.",
    "y": "A coordinate has 32 bytes in base64url without padding, 43 characters.",
}


def _explain(fault: str) -> NoReturn:
    """Say a fault found by msgspec as a `Schema`, leaving out every value it quotes."""
    match = _FAULT.fullmatch(fault)
    assert match is not None
    pointer = "".join(f"/{step['name'] or step['index']}" for step in _STEP.finditer(match["path"] or ""))
    named = _NAMED.fullmatch(match["what"])
    if named and named["fault"] == "missing required":
        raise Schema(f"The member {named['name']} is missing.", pointer=f"{pointer}/{named['name']}")
    if named:
        # The name is the author's text. A misspelt member is shown; what could be anything else is not repeated.
        shown = f"/{named['name']}" if is_plain(named["name"]) else ""
        raise Schema("There is a member here that this type of statement does not have.", pointer=pointer + shown)
    member = re.sub(r"/[0-9]+\Z", "", pointer)
    if (closed := _CLOSED.get(member)) is not None:
        raise Schema(f"The value must be one of: {closed}.", pointer=pointer)
    if _SAFE.fullmatch(match["what"]):
        raise Schema(f"{match['what']}.", pointer=pointer)
    form = _FORMS.get(member.rpartition("/")[2], "The value does not have the form it must have.")
    raise Schema(form, pointer=pointer)
