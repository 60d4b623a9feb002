"""Find the signals that name a value, through the blind index; that somebody searched is recorded, for what is not."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db import transaction

from hub.ledger.record import record
from hub.vault import keyring
from partners import public
from signals.core import indicators
from signals.models import Signal

LIMIT = 200


@dataclass(frozen=True, slots=True)
class Found:
    """The newest signals that name the value, at most LIMIT of them, and how the hub read it."""

    ids: tuple[UUID, ...]
    is_complete: bool
    changes: tuple[str, ...]  # sentences of the Reading


def search(type: str, value: str, *, service: str | None, actor: str, at: datetime) -> Found:  # noqa: A002
    """Look for a value in every programme, under all live index keys. Refuses InvalidIndicator, never repeating it."""
    reading = indicators.read(type, value, service=service)
    digests = [
        index.digest
        for slug in public.programme_slugs().values()
        for index in keyring.blind_indexes(f"programme:{slug}", reading.index_key)
    ]
    with transaction.atomic():
        rows = Signal.objects.filter(value_index__in=digests).order_by("-arrival")
        ids = list(rows.values_list("id", flat=True)[: LIMIT + 1])
        record("value.searched", actor=actor, at=at, facts={"type": reading.type, "found": min(len(ids), LIMIT)})
    return Found(tuple(ids[:LIMIT]), len(ids) <= LIMIT, reading.changes)
