"""A membership has ended, or begun anew: each of the partner's endpoints is to hear of it, and is closed after that."""

from __future__ import annotations

from datetime import datetime

from django.db import transaction
from django.db.models import Q

from partners import public
from signals.core.endpoints import Stop
from signals.lifecycle.settle import hold, switch_off
from signals.models import Departure, Endpoint, Notice


def mark_leaving(*, at: datetime) -> int:
    """Mark active endpoints whose walk belongs to a membership that is over, so that delivery takes them up.

    Those that left get one last word, to erase everything; those that came back a new walk. Returns how many.
    """
    active = Endpoint.objects.filter(state="active", is_leaving=False)
    rows = active.exclude(programme_id=None).values_list("id", "partner_id", "programme_id", "walk__generation")
    walks = [(identity, partner, programme or 0, generation) for identity, partner, programme, generation in rows]
    members = {
        (member.partner_id, programme): member
        for programme in {row[2] for row in walks}
        for member in public.members(programme, at=at)
    }
    marked = []
    for identity, partner, programme, generation in walks:
        member = members[partner, programme]
        if member.state == "ended" or generation not in {None, member.generation}:
            marked.append(identity)
    with transaction.atomic():
        hold(marked)
        return Endpoint.objects.filter(id__in=marked).update(is_leaving=True)


def close_notices(*, at: datetime) -> int:
    """Close the endpoints of notices of partners that left the hub, once they have told what there was to tell.

    One that does not answer is closed when the leaver's time to sign is over. Returns how many were closed.
    """
    rows = Endpoint.objects.filter(state="active", programme_id=None, lease_token=None)
    leavers = public.those_left(set(rows.values_list("partner_id", flat=True)))
    closed = 0
    for identity in rows.filter(partner_id__in=leavers).values_list("id", flat=True):
        with transaction.atomic():
            endpoint = rows.select_for_update(of=("self",), skip_locked=True).filter(id=identity).first()
            if endpoint is not None and _has_said_all(endpoint, at=at):
                switch_off(endpoint, Stop.MEMBERSHIP_ENDED, at=at)
                closed += 1
    return closed


def _has_said_all(endpoint: Endpoint, *, at: datetime) -> bool:
    owed = Notice.objects.filter(Q(position=None) | Q(position__gt=endpoint.position), partner_id=endpoint.partner_id)
    is_deaf = endpoint.verified_at is None
    is_late = not Departure.objects.filter(partner_id=endpoint.partner_id, due_at__gt=at).exists()
    return is_deaf or is_late or not owed.exists()
