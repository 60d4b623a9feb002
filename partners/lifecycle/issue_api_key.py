"""Issue an API key: its token is returned once and kept nowhere."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from django.conf import settings
from django.db import transaction

from hub.ledger.leaf import Json
from hub.ledger.record import record
from partners.core.credentials import digest_of, make_credential, token_of
from partners.core.refusals import InvalidApiKeySettings, InvalidTime
from partners.core.scopes import Scope
from partners.lifecycle.rows import lock_active_partner
from partners.models import ApiKey, Partner


@dataclass(frozen=True, slots=True)
class IssuedApiKey:
    """The row, and the token that exists nowhere else."""

    row: ApiKey
    token: str


@dataclass(frozen=True, slots=True)
class Use:
    """What an API key is for: its scopes, the networks it may come from (none: anywhere), its end, and a label."""

    scopes: frozenset[str]
    networks: tuple[str, ...] = ()
    expires_at: datetime | None = None
    label: str = ""


def issue_api_key(partner_slug: str, use: Use, *, actor: str, at: datetime) -> IssuedApiKey:
    """A new API key. Raises InvalidApiKeySettings for unknown scopes or networks, InvalidTime for a past expiry."""
    _check(use, at=at)
    with transaction.atomic():
        partner = lock_active_partner(partner_slug)
        issued = make_api_key(partner, use, at=at)
        record(
            "api-key.created",
            actor=actor,
            at=at,
            subjects=[f"partner:{partner_slug}"],
            facts={"api_key": issued.row.pk, **facts_of(issued.row)},
        )
    return issued


def make_api_key(partner: Partner, use: Use, *, at: datetime, rolled_from: ApiKey | None = None) -> IssuedApiKey:
    """Insert the row; the caller holds the transaction and records."""
    credential = make_credential()
    row = ApiKey.objects.create(
        id=credential.id,
        partner=partner,
        label=use.label,
        secret_digest=digest_of(credential.secret),
        scopes=sorted(str(scope) for scope in use.scopes),
        networks=list(use.networks),
        issued_at=at,
        expires_at=use.expires_at,
        rolled_from=rolled_from,
    )
    return IssuedApiKey(row, token_of(credential, environment=token_environment()))


def token_environment() -> str:
    """The word in this hub's tokens, so that one of a test hub is refused by the real one without a look-up."""
    return "live" if settings.IS_PRODUCTION else "dev"


def facts_of(row: ApiKey) -> dict[str, Json]:
    """What an API key may do, as a leaf holds it."""
    return {
        "scopes": row.scopes,
        "networks": row.networks,
        "expires_at": row.expires_at.isoformat() if row.expires_at else None,
    }


def _check(use: Use, *, at: datetime) -> None:
    unknown = use.scopes - set(Scope)
    if unknown or not use.scopes:
        raise InvalidApiKeySettings(f"Choose from the scopes {', '.join(Scope)}.", pointer="/scopes")
    _check_networks(use.networks)
    if use.expires_at is not None and use.expires_at <= at:
        raise InvalidTime("The expiry lies in the past.", pointer="/expires_at")


def _check_networks(networks: Iterable[str]) -> None:
    for network in networks:
        try:
            ipaddress.ip_network(network)
        except ValueError:
            raise InvalidApiKeySettings(
                "A network is an address or a CIDR such as 203.0.113.0/24, with no bits after the prefix.",
                pointer="/networks",
            ) from None
