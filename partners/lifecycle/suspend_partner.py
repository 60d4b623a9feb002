"""Suspend a company in every programme at once: none of its API keys and signing keys works until it is resumed."""

from __future__ import annotations

from datetime import datetime

from django.db import transaction

from hub.ledger.record import record
from partners.core.refusals import WrongState
from partners.core.states import PartnerState
from partners.lifecycle.rows import lock_partner
from partners.models import Partner


def suspend_partner(slug: str, *, actor: str, at: datetime) -> Partner:
    """The suspended partner; suspending twice changes nothing. Raises WrongState when it has left."""
    with transaction.atomic():
        partner = lock_partner(slug)
        if partner.state == PartnerState.LEFT:
            raise WrongState("The partner has left.")
        if partner.state == PartnerState.ACTIVE:
            partner.state = PartnerState.SUSPENDED.value
            partner.save(update_fields=["state"])
            record("partner.suspended", actor=actor, at=at, subjects=[f"partner:{slug}"])
    return partner
