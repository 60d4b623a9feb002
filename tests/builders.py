"""Plain typed builders: each makes one row that makes sense, so that a test names only what it is about."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime
from typing import NamedTuple, TypedDict

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from django.conf import settings

from hub.jose import thumbprint
from partners.core.credentials import digest_of, make_credential, token_of
from partners.core.scopes import Scope
from partners.core.states import KeyState, MembershipState, PartnerState
from partners.lifecycle.endorse_key import endorse_key
from partners.models import ApiKey, Membership, Partner, Programme, SigningKey
from signals.models import Endpoint

LONG_AGO = datetime(2025, 1, 2, 8, 0, tzinfo=UTC)  # when companies joined and their keys became active
NOON = datetime(2025, 6, 2, 12, 0, tzinfo=UTC)  # the moment at which things happen in tests


class Who(TypedDict):
    """What every verb is told: `suspend_partner("acme-social", **WHO)`."""

    actor: str
    at: datetime


class KeyPair(NamedTuple):
    """A signing key's row and the private half that only its partner has."""

    row: SigningKey
    private: Ed25519PrivateKey

    @property
    def kid(self) -> str:
        return self.row.kid


def a_partner(
    slug: str = "acme-social",
    *,
    state: PartnerState = PartnerState.ACTIVE,
    is_probationary: bool = False,
) -> Partner:
    return Partner.objects.create(
        slug=slug,
        name=slug.replace("-", " ").title(),
        state=state.value,
        is_probationary=is_probationary,
        added_at=LONG_AGO,
    )


def a_programme(
    slug: str = "csea",
    *,
    violations: Iterable[str] = ("grooming", "sextortion", "trading", "csam-distribution", "intimate-images", "other"),
    indicator_types: Iterable[str] = (
        *("md5", "sha1", "sha256", "pdq", "url", "domain"),
        *("keyword", "username", "account_id", "email", "phone"),
    ),
    retention_days: Mapping[str, int] | None = None,
    gates: Mapping[str, object] | None = None,
    agreement_version: int = 0,
    is_training_required: bool = False,
) -> Programme:
    return Programme.objects.create(
        slug=slug,
        name=slug.upper(),
        violations=list(violations),
        indicator_types=list(indicator_types),
        retention_days=dict(retention_days or {"*": 365}),
        gates=dict(gates or {}),
        agreement_version=agreement_version,
        is_training_required=is_training_required,
        added_at=LONG_AGO,
    )


def a_membership(
    partner: Partner,
    programme: Programme,
    *,
    state: MembershipState = MembershipState.ACTIVE,
    generation: int = 1,
    may_submit: bool = True,
    may_receive: bool = True,
    agreement_version: int = 0,
    training_valid_until: date | None = None,
) -> Membership:
    return Membership.objects.create(
        partner=partner,
        programme=programme,
        state=state.value,
        generation=generation,
        may_submit=may_submit,
        may_receive=may_receive,
        agreement_version=agreement_version,
        training_valid_until=training_valid_until,
        began_at=LONG_AGO,
        ended_at=NOON if state == MembershipState.ENDED else None,
    )


def an_ed25519_key() -> Ed25519PrivateKey:
    return Ed25519PrivateKey.generate()


def public_jwk(private: Ed25519PrivateKey) -> dict[str, str]:
    return {"crv": "Ed25519", "kty": "OKP", "x": b64(private.public_key().public_bytes_raw())}


def a_signing_key(
    partner: Partner,
    *,
    state: KeyState = KeyState.ACTIVE,
    activated_at: datetime | None = LONG_AGO,
    retired_at: datetime | None = None,
    revoked_at: datetime | None = None,
    compromised_at: datetime | None = None,
    endorsed_by: SigningKey | None = None,
) -> KeyPair:
    """Times that the state demands and the test does not name are filled in with NOON."""
    private = an_ed25519_key()
    jwk = public_jwk(private)
    is_proposed = state == KeyState.PROPOSED
    row = SigningKey.objects.create(
        partner=partner,
        kid=thumbprint(jwk),
        jwk=jwk,
        state=state.value,
        proposed_at=LONG_AGO,
        activated_at=None if is_proposed else activated_at,
        retired_at=retired_at or (NOON if state == KeyState.RETIRED else None),
        revoked_at=revoked_at or (NOON if state == KeyState.REVOKED else None),
        compromised_at=compromised_at,
        endorsed_by=endorsed_by,
        approved_by="" if endorsed_by or is_proposed else "staff:1",
    )
    return KeyPair(row, private)


def b64(raw: bytes) -> str:
    """Base64url without padding, as JOSE writes it."""
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def a_jws(header: Mapping[str, object], payload: bytes, private: Ed25519PrivateKey) -> bytes:
    """A compact JWS over exactly these bytes, whatever the header claims."""
    signed = f"{b64(json.dumps(header).encode())}.{b64(payload)}".encode()
    return signed + b"." + b64(private.sign(signed)).encode()


def an_endorsement(
    key: KeyPair,
    *,
    by: KeyPair,
    header: Mapping[str, object] | None = None,
    claims: Mapping[str, object] | None = None,
) -> bytes:
    """A compact `key-endorsement+jws` of `key`, signed `by` another; `header` and `claims` replace single members."""
    says = {
        "v": 1,
        "iss": key.row.partner.slug,
        "jti": f"endorse-{key.kid}",
        "iat": int(NOON.timestamp()),
        "aud": settings.HUB_ID,
        "jwk": key.row.jwk,
    }
    head = {"alg": "Ed25519", "kid": by.kid, "typ": "key-endorsement+jws"}
    return a_jws({**head, **(header or {})}, json.dumps({**says, **(claims or {})}).encode(), by.private)


def endorse(key: KeyPair, line: bytes, *, actor: str, at: datetime) -> SigningKey:
    return endorse_key(line, kid=key.kid, partner_slug=key.row.partner.slug, hub_id=settings.HUB_ID, actor=actor, at=at)


def an_api_key(
    partner: Partner,
    *,
    scopes: Iterable[Scope | str] = tuple(Scope),
    networks: Iterable[str] = (),
    expires_at: datetime | None = None,
    revoked_at: datetime | None = None,
) -> str:
    """The bearer token of a new API key; its row's id is `token.split("_")[2]`."""
    credential = make_credential()
    ApiKey.objects.create(
        id=credential.id,
        partner=partner,
        secret_digest=digest_of(credential.secret),
        scopes=[str(scope) for scope in scopes],
        networks=list(networks),
        issued_at=LONG_AGO,
        expires_at=expires_at,
        revoked_at=revoked_at,
    )
    return token_of(credential, environment="dev")


def verified(endpoint: Endpoint) -> Endpoint:
    """The endpoint as if it had answered its challenge, for tests of what comes after."""
    endpoint.verified_at = endpoint.created_at
    endpoint.save(update_fields=["verified_at"])
    return endpoint
