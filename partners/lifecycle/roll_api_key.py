"""Roll an API key: a new one that may do the same, and the old one for a while longer."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from django.db import transaction

from hub.ledger.record import record
from partners.core.refusals import InvalidTime, MissingScope, WrongState
from partners.core.scopes import Scope
from partners.lifecycle.issue_api_key import IssuedApiKey, Use, facts_of, make_api_key
from partners.lifecycle.rows import lock_active_partner, lock_api_key
from partners.models import ApiKey, Partner

MAX_OVERLAP = timedelta(days=30)


def roll_api_key(
    key_id: str,
    *,
    partner_slug: str,
    asked_with: str | None,
    old_expires_in: timedelta,
    actor: str,
    at: datetime,
) -> IssuedApiKey:
    """A new API key with the same scopes, networks and lifetime; the old one ends after `old_expires_in` at the latest.

    A key is rolled once, and from then on manages no keys: whoever stole it cannot follow its owner to the next one.
    `asked_with` is the id of the API key that asks, None for an operator: a key that may do more, or from elsewhere,
    cannot be rolled by one that may do less (raises MissingScope). Raises NoSuchApiKey, WrongState for a key that has
    ended or was rolled, InvalidTime for an overlap out of bounds.
    """
    if not timedelta(0) <= old_expires_in <= MAX_OVERLAP:
        raise InvalidTime(f"The overlap is 0 to {MAX_OVERLAP.days} days.", pointer="/old_expires_in")
    with transaction.atomic():
        partner = lock_active_partner(partner_slug)
        old = lock_api_key(partner, key_id)
        if old.revoked_at is not None or (old.expires_at is not None and old.expires_at <= at):
            raise WrongState("This API key has ended.")
        if old.rolled_to.exists():
            raise WrongState("This API key was rolled already; roll its successor, or ask the hub's operator.")
        if asked_with is not None:
            _check_reach(partner, asked_with, old)
        use = Use(frozenset(old.scopes), tuple(old.networks), label=old.label)
        if old.expires_at is not None:
            use = replace(use, expires_at=at + (old.expires_at - old.issued_at))
        new = make_api_key(partner, use, at=at, rolled_from=old)
        _supersede(old, ends=at + old_expires_in, at=at)
        record(
            "api-key.rolled",
            actor=actor,
            at=at,
            subjects=[f"partner:{partner_slug}"],
            facts={
                "api_key": new.row.pk,
                **facts_of(new.row),
                "rolled_from": old.pk,
                "rolled_from_scopes": old.scopes,
                "rolled_from_expires_at": old.expires_at.isoformat() if old.expires_at else at.isoformat(),
            },
        )
    return new


def _check_reach(partner: Partner, asked_with: str, old: ApiKey) -> None:
    """The asking key as it stands now, for it may have been rolled or revoked since it opened the door."""
    asking = old if asked_with == old.pk else lock_api_key(partner, asked_with)
    if asking.revoked_at is not None or Scope.KEYS_MANAGE.value not in asking.scopes:
        raise MissingScope(f"This API key lacks the scope {Scope.KEYS_MANAGE}.", scope=Scope.KEYS_MANAGE.value)
    if not set(old.scopes) <= set(asking.scopes):
        raise MissingScope("This API key may do more than the one you asked with.")
    if not _is_within(old.networks, asking.networks):
        raise MissingScope("This API key may be used from more networks than the one you asked with.")


def _is_within(networks: Sequence[str], bound: Sequence[str]) -> bool:
    """Whether whoever may come from `networks` may come from `bound`; an empty list is anywhere."""
    if not bound:
        return True
    return bool(networks) and all(any(_lies_in(network, wider) for wider in bound) for network in networks)


def _lies_in(network: str, wider: str) -> bool:
    inner, outer = ipaddress.ip_network(network), ipaddress.ip_network(wider)
    if isinstance(inner, ipaddress.IPv4Network):
        return isinstance(outer, ipaddress.IPv4Network) and inner.subnet_of(outer)
    return isinstance(outer, ipaddress.IPv6Network) and inner.subnet_of(outer)


def _supersede(old: ApiKey, *, ends: datetime, at: datetime) -> None:
    """Never lengthens a life; without overlap, or with nothing left to do, it ends at once."""
    left = [scope for scope in old.scopes if scope != Scope.KEYS_MANAGE]
    if ends <= at or not left:
        old.revoked_at = at
    else:
        old.scopes = left
        old.expires_at = min(old.expires_at or ends, ends)
    old.save(update_fields=["revoked_at", "scopes", "expires_at"])
