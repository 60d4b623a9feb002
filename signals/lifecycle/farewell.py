"""A membership has ended, or begun anew: each of the partner's endpoints in the programme is to hear of it."""

from __future__ import annotations

from datetime import datetime

from partners import public
from signals.models import Endpoint


def mark_leaving(*, at: datetime) -> int:
    """Mark active endpoints whose walk belongs to a membership that is over, so that delivery takes them up.

    Those that left get one last word, to erase everything; those that came back a new walk. Returns how many.
    """
    active = Endpoint.objects.filter(state="active", is_leaving=False)
    members = {
        (member.partner_id, programme_id): member
        for programme_id in active.values_list("programme_id", flat=True).distinct()
        for member in public.members(programme_id, at=at)
    }
    marked = []
    for identity, *key, generation in active.values_list("id", "partner_id", "programme_id", "walk__generation"):
        member = members[key[0], key[1]]
        if member.state == "ended" or generation not in {None, member.generation}:
            marked.append(identity)
    return Endpoint.objects.filter(id__in=marked).update(is_leaving=True)
