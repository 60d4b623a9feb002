"""Compute blind indexes anew under a programme's newest index key, in chunks, while everything goes on."""

from __future__ import annotations

import msgspec
from django.db import transaction

from hub.vault import keyring
from hub.vault.envelope import KeyDestroyed
from signals.core import indicators
from signals.lifecycle.examine import context
from signals.models import Signal, Statement

CHUNK = 500


def rows_under(key_ids: tuple[str, ...]) -> int:
    """How many signals still have their blind index under one of these keys."""
    return Signal.objects.filter(index_key_id__in=key_ids).count()


def reindex_chunk(scope: str, *, old: tuple[str, ...]) -> int:
    """Re-compute up to 500 signals' indexes in one transaction; returns how many. Safe to kill and run again."""
    with transaction.atomic():
        rows = list(
            Signal.objects.filter(index_key_id__in=old).order_by("id").select_for_update(skip_locked=True)[:CHUNK]
        )
        sealed = Statement.objects.in_bulk([row.statement_id for row in rows])
        for row in rows:
            index = _index_of(scope, sealed.get(row.statement_id))
            row.index_key_id, row.value_index = (index.key_id, index.digest) if index is not None else ("", None)
        Signal.objects.bulk_update(rows, ["index_key_id", "value_index"])
    return len(rows)


def _index_of(scope: str, statement: Statement | None) -> keyring.BlindIndex | None:
    if statement is None or statement.sealed is None:
        return None  # purged: there is no value to find any more
    try:
        said = keyring.open_sealed(bytes(statement.sealed), context=context(statement.id))
    except KeyDestroyed:
        return None
    signal = msgspec.json.decode(b"{" + said + b"}")["signal"]["indicator"]
    reading = indicators.read(
        signal["type"], signal["value"], service=signal.get("service"), quality=signal.get("quality")
    )
    return keyring.blind_index(scope, reading.index_key)
