"""Resume a suspended membership, in the generation it was in."""

from __future__ import annotations

from datetime import datetime

from django.db import transaction

from hub.ledger.record import record
from partners.core.refusals import WrongState
from partners.core.states import MembershipState
from partners.lifecycle.rows import lock_membership
from partners.models import Membership


def resume_membership(partner_slug: str, programme_slug: str, *, actor: str, at: datetime) -> Membership:
    """The membership, active; twice changes nothing. Raises WrongState when it has ended."""
    with transaction.atomic():
        membership = lock_membership(partner_slug, programme_slug)
        if membership.state == MembershipState.ENDED:
            raise WrongState("The membership has ended; begin it anew.")
        if membership.state == MembershipState.SUSPENDED:
            membership.state = MembershipState.ACTIVE.value
            membership.save(update_fields=["state"])
            record(
                "membership.resumed",
                actor=actor,
                at=at,
                subjects=[f"partner:{partner_slug}", f"programme:{programme_slug}"],
                facts={"generation": membership.generation},
            )
    return membership
