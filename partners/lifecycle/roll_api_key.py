"""Roll an API key: a new one that may do the same, and the old one for a while longer."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from django.db import transaction

from hub.ledger.record import record
from partners.core.refusals import InvalidTime, MissingScope, WrongState
from partners.lifecycle.issue_api_key import IssuedApiKey, Use, facts_of, make_api_key
from partners.lifecycle.rows import lock_active_partner, lock_api_key
from partners.models import ApiKey

MAX_OVERLAP = timedelta(days=30)


def roll_api_key(
    key_id: str,
    *,
    partner_slug: str,
    within: frozenset[str],
    old_expires_in: timedelta,
    actor: str,
    at: datetime,
) -> IssuedApiKey:
    """A new API key with the same scopes, networks and lifetime; the old one ends after `old_expires_in` at the latest.

    `within` are the scopes of whoever asks: a key that may do more cannot be rolled by one that may do less (raises
    MissingScope). Raises NoSuchApiKey, WrongState for a key that has ended, InvalidTime for an overlap out of bounds.
    """
    if not timedelta(0) <= old_expires_in <= MAX_OVERLAP:
        raise InvalidTime(f"The overlap is 0 to {MAX_OVERLAP.days} days.", pointer="/old_expires_in")
    with transaction.atomic():
        partner = lock_active_partner(partner_slug)
        old = lock_api_key(partner, key_id)
        if old.revoked_at is not None or (old.expires_at is not None and old.expires_at <= at):
            raise WrongState("This API key has ended.")
        if not set(old.scopes) <= within:
            raise MissingScope("This API key may do more than the one you asked with.")
        use = Use(frozenset(old.scopes), tuple(old.networks), label=old.label)
        if old.expires_at is not None:
            use = replace(use, expires_at=at + (old.expires_at - old.issued_at))
        new = make_api_key(partner, use, at=at, rolled_from=old)
        _shorten(old, to=at + old_expires_in, at=at)
        record(
            "api-key.rolled",
            actor=actor,
            at=at,
            subjects=[f"partner:{partner_slug}"],
            facts={
                "api_key": new.row.pk,
                **facts_of(new.row),
                "rolled_from": old.pk,
                "rolled_from_expires_at": old.expires_at.isoformat() if old.expires_at else at.isoformat(),
            },
        )
    return new


def _shorten(old: ApiKey, *, to: datetime, at: datetime) -> None:
    """Never lengthens a life; no overlap at all is a revocation."""
    if to <= at:
        old.revoked_at = at
    else:
        old.expires_at = min(old.expires_at or to, to)
    old.save(update_fields=["revoked_at", "expires_at"])
