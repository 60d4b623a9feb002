"""A membership has ended: each of the partner's endpoints in the programme gets one last word, to erase everything."""

from __future__ import annotations

from datetime import datetime

from partners import public
from signals.models import Endpoint


def mark_leaving(*, at: datetime) -> int:
    """Mark the active endpoints whose membership has ended, so that delivery takes them up; returns how many."""
    active = Endpoint.objects.filter(state="active", is_leaving=False)
    marked = 0
    for programme_id in active.values_list("programme_id", flat=True).distinct():
        gone = [member.partner_id for member in public.members(programme_id, at=at) if member.state == "ended"]
        if gone:
            marked += active.filter(programme_id=programme_id, partner_id__in=gone).update(is_leaving=True)
    return marked
