"""Let a suspended company work again, with the keys and memberships it had."""

from __future__ import annotations

from datetime import datetime

from django.db import transaction

from hub.ledger.record import record
from partners.core.refusals import WrongState
from partners.core.states import PartnerState
from partners.lifecycle.rows import lock_partner
from partners.models import Partner


def resume_partner(slug: str, *, actor: str, at: datetime) -> Partner:
    """The active partner; resuming twice changes nothing. Raises WrongState when it has left."""
    with transaction.atomic():
        partner = lock_partner(slug)
        if partner.state == PartnerState.LEFT:
            raise WrongState("The partner has left; enrol it under a new slug.")
        if partner.state == PartnerState.SUSPENDED:
            partner.state = PartnerState.ACTIVE.value
            partner.save(update_fields=["state"])
            record("partner.resumed", actor=actor, at=at, subjects=[f"partner:{slug}"])
    return partner
