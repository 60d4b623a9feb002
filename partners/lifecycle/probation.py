"""Put a company on probation, where its signals wait for a person, and take it off."""

from __future__ import annotations

from datetime import datetime

from django.db import transaction

from hub.ledger.record import record
from partners.lifecycle.rows import lock_partner
from partners.models import Partner


def begin_probation(slug: str, *, actor: str, at: datetime) -> Partner:
    """The partner, on probation; twice changes nothing."""
    return _set(slug, is_probationary=True, action="partner.probation-began", actor=actor, at=at)


def end_probation(slug: str, *, actor: str, at: datetime) -> Partner:
    """The partner, trusted; twice changes nothing."""
    return _set(slug, is_probationary=False, action="partner.probation-ended", actor=actor, at=at)


def _set(slug: str, *, is_probationary: bool, action: str, actor: str, at: datetime) -> Partner:
    with transaction.atomic():
        partner = lock_partner(slug)
        if partner.is_probationary != is_probationary:
            partner.is_probationary = is_probationary
            partner.save(update_fields=["is_probationary"])
            record(action, actor=actor, at=at, subjects=[f"partner:{slug}"])
    return partner
