"""Partners are told what becomes of their signing keys: a proposal that is nobody's of theirs is a sign of theft."""

from __future__ import annotations

from datetime import datetime

from django.db import transaction

from partners import public
from signals.core.notices import NoticeKind
from signals.lifecycle.notices import notify

BATCH = 200

_KINDS = {
    "proposed": NoticeKind.KEY_PROPOSED,
    "active": NoticeKind.KEY_ACTIVATED,
    "retired": NoticeKind.KEY_RETIRED,
    "revoked": NoticeKind.KEY_REVOKED,
}


def tell_key_events(*, at: datetime) -> int:
    """Tell what became of up to 200 keys, each step once; returns how many steps. The sweep calls it until none."""
    del at  # a step is told with its own time
    with transaction.atomic():
        news = public.take_key_news(limit=BATCH)
        for each in news:
            notify(each.partner_id, _KINDS[each.state], {"kid": each.kid}, at=each.at)
    return len(news)
