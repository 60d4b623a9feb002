"""A membership has ended, or begun anew: each of the partner's endpoints in the programme is to hear of it."""

from __future__ import annotations

from datetime import datetime

from django.db import transaction

from partners import public
from signals.lifecycle.settle import hold
from signals.models import Endpoint


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
