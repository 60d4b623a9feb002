"""End a membership: from now on every answer about that programme tells the partner to erase what it holds."""

from __future__ import annotations

from datetime import datetime

from django.db import transaction

from hub.ledger.record import record
from partners.core.states import MembershipState
from partners.lifecycle.rows import lock_membership
from partners.models import Membership


def end_membership(
    partner_slug: str, programme_slug: str, *, generation: int = 0, actor: str, at: datetime
) -> Membership:
    """The ended membership; twice changes nothing.

    `generation` is at least that of the stay which ends: after a restore there have been more than the backup knows.
    """
    with transaction.atomic():
        membership = lock_membership(partner_slug, programme_slug)
        if membership.state != MembershipState.ENDED or membership.generation < generation:
            membership.state = MembershipState.ENDED.value
            membership.ended_at = at
            membership.generation = max(membership.generation, generation)
            membership.save(update_fields=["state", "ended_at", "generation"])
            record(
                "membership.ended",
                actor=actor,
                at=at,
                subjects=[f"partner:{partner_slug}", f"programme:{programme_slug}"],
                facts={"generation": membership.generation},
            )
    return membership
