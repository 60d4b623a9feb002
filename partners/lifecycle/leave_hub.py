"""A company leaves for good: its memberships end, its signing keys are retired, its API keys revoked; all or nothing.

What it shared, and what it is to erase, is signals' half of the verb: signals/lifecycle/leave.py.
"""

from __future__ import annotations

from datetime import datetime

from django.db import connection

from partners.core.refusals import WrongState
from partners.core.states import KeyState, MembershipState, PartnerState
from partners.lifecycle.end_membership import end_membership
from partners.lifecycle.part_with_partner import part_with_partner
from partners.lifecycle.retire_key import retire_key
from partners.lifecycle.revoke_api_key import revoke_api_key
from partners.lifecycle.rows import lock_partner


def leave_hub(slug: str, *, actor: str, at: datetime) -> list[str]:
    """The slugs of the programmes that ended with it. The caller is inside its own atomic block.

    Refuses NoSuchPartner, and WrongState for one that has left.
    """
    if not connection.in_atomic_block:
        raise RuntimeError("leave_hub belongs inside the transaction that asks the leaver to erase what it holds")
    partner = lock_partner(slug)
    if partner.state == PartnerState.LEFT:
        raise WrongState("The partner has left already.")
    running = partner.memberships.exclude(state=MembershipState.ENDED.value).order_by("programme__slug")
    programmes = list(running.values_list("programme__slug", flat=True))
    for programme_slug in programmes:
        end_membership(slug, programme_slug, actor=actor, at=at)
    usable = [KeyState.PROPOSED.value, KeyState.ACTIVE.value]
    for kid in partner.signing_keys.filter(state__in=usable).order_by("pk").values_list("kid", flat=True):
        retire_key(kid, partner_slug=slug, actor=actor, at=at)
    for key_id in partner.api_keys.filter(revoked_at=None).order_by("pk").values_list("pk", flat=True):
        revoke_api_key(key_id, partner_slug=slug, actor=actor, at=at)
    part_with_partner(slug, actor=actor, at=at)
    return programmes
