"""What became of signing keys since their partners were last told: half of a verb, finished by whoever tells them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from django.db import connection
from django.db.models import F

from partners.core.states import KeyState
from partners.models import SigningKey


@dataclass(frozen=True, slots=True)
class KeyNews:
    """A key came to a state."""

    partner_id: int
    kid: str
    state: str  # "proposed" | "active" | "retired" | "revoked"
    at: datetime


def take_key_news(*, limit: int) -> list[KeyNews]:
    """Every step of at most `limit` keys that their partners have not been told, oldest key first; each is given once.

    The caller is inside its own atomic block, in which it also tells them. The key's row says what was told, so that
    none is lost however late the transaction of a step commits.
    """
    if not connection.in_atomic_block:
        raise RuntimeError("take_key_news belongs inside the transaction that tells the partners")
    untold = SigningKey.objects.exclude(told_state=F("state")).order_by("pk")
    rows = list(untold.select_for_update(skip_locked=True, no_key=True)[:limit])
    news = [each for row in rows for each in _steps(row)]
    SigningKey.objects.filter(pk__in=[row.pk for row in rows]).update(told_state=F("state"))
    return news


def _steps(row: SigningKey) -> list[KeyNews]:
    times = {
        KeyState.PROPOSED: row.proposed_at,
        KeyState.ACTIVE: row.activated_at,
        KeyState.RETIRED: row.retired_at,
        KeyState.REVOKED: row.revoked_at,
    }
    states = list(times)
    untold = states[states.index(KeyState(row.told_state)) + 1 :] if row.told_state else states
    return [KeyNews(row.partner_id, row.kid, state.value, at) for state in untold if (at := times[state]) is not None]
