"""Note that a company has left for good, once all its memberships have ended."""

from __future__ import annotations

from datetime import datetime

from django.db import transaction

from hub.ledger.record import record
from partners.core.refusals import WrongState
from partners.core.states import MembershipState, PartnerState
from partners.lifecycle.rows import lock_partner
from partners.models import Partner


def part_with_partner(slug: str, *, actor: str, at: datetime) -> Partner:
    """The partner that left. Raises WrongState while a membership has not ended: only a member can be told to erase."""
    with transaction.atomic():
        partner = lock_partner(slug)
        if partner.memberships.exclude(state=MembershipState.ENDED.value).exists():
            raise WrongState("End the partner's memberships first, so that it is told to erase what it holds.")
        if partner.state != PartnerState.LEFT:
            partner.state = PartnerState.LEFT.value
            partner.save(update_fields=["state"])
            record("partner.left", actor=actor, at=at, subjects=[f"partner:{slug}"])
    return partner
