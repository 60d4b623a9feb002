"""Compute blind indexes and ties anew under a programme's newest index key, in chunks, while everything goes on."""

from __future__ import annotations

from uuid import UUID

import msgspec
from django.db import transaction

from hub.vault import keyring
from hub.vault.envelope import KeyDestroyed
from signals.core import indicators
from signals.core.indicators import Reading
from signals.lifecycle.examine import context
from signals.lifecycle.tie import ties_of, write_anew
from signals.models import Signal, Statement

CHUNK = 500


def rows_under(key_ids: tuple[str, ...]) -> int:
    """How many signals still have their blind index under one of these keys."""
    return Signal.objects.filter(index_key_id__in=key_ids).count()


def reindex_chunk(scope: str, *, old: tuple[str, ...]) -> int:
    """Re-compute up to 500 signals' indexes and ties in one transaction; returns how many. Safe to kill and re-run."""
    with transaction.atomic():
        rows = list(
            Signal.objects.filter(index_key_id__in=old).order_by("id").select_for_update(skip_locked=True)[:CHUNK]
        )
        sealed = Statement.objects.in_bulk([row.statement_id for row in rows])
        tied: dict[UUID, list[int]] = {}
        for row in rows:
            said = _said(sealed.get(row.statement_id))
            if said is None:
                row.index_key_id, row.value_index, tied[row.id] = "", None, []
                continue
            reading, incident = said
            row.index_key_id, row.value_index = keyring.blind_index(scope, reading.index_key)
            tied[row.id] = ties_of(scope, reading, issuer_id=row.issuer_id, incident=incident)
        Signal.objects.bulk_update(rows, ["index_key_id", "value_index"])
        write_anew(tied)
    return len(rows)


def _said(statement: Statement | None) -> tuple[Reading, str | None] | None:
    """How the hub reads its value, and its author's incident; None where nothing is left to read."""
    if statement is None or statement.sealed is None:
        return None  # purged: there is no value to find any more
    try:
        said = keyring.open_sealed(bytes(statement.sealed), context=context(statement.id))
    except KeyDestroyed:
        return None
    signal = msgspec.json.decode(b"{" + said + b"}")["signal"]
    indicator = signal["indicator"]
    reading = indicators.read(
        indicator["type"], indicator["value"], service=indicator.get("service"), quality=indicator.get("quality")
    )
    return reading, signal.get("incident")
