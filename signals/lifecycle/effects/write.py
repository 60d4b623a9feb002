"""Write what came of a submission: rows, routes, verdicts and leaves, and the moves last of all."""

from __future__ import annotations

import uuid
from collections.abc import Iterable

from django.db import connection

from hub.ledger.record import record_many
from signals import wake
from signals.lifecycle import rows, tie
from signals.lifecycle.effects.batch import VERDICT_COLUMNS, Batch, refused_columns
from signals.lifecycle.late import tell_met, tell_refused
from signals.lifecycle.moves import Kind, Taken, take_positions
from signals.lifecycle.publish import record_moves
from signals.models import Receipt, Route, Signal, Statement, Verdict
from signals.models.copying import copy_rows

_REVISABLE = [
    *("statement_id", "key_id", "received_at", "violation", "tlp", "permitted", "audience", "audience_partners"),
    *("is_awaiting_routing", "state", "removal", "removed_at", "held_reasons", "withdrawal_id", "index_key_id"),
    *("value_index", "expires_at", "is_cleared", "routing_key_id", "routed_at", "origin"),
]


def write(batch: Batch) -> None:
    """In a handful of COPYs and moves; the caller's transaction commits all of it or nothing."""
    _write_late_refusals(batch)
    rows.write(batch.new_signals, batch.new_statements)
    tie.write_new(batch.ties)
    if batch.ties_anew:
        tie.write_anew(batch.ties_anew)
    Receipt.objects.bulk_create(batch.receipts)
    batch.heard.write()
    batch.counting.write()
    copy_rows(Verdict, VERDICT_COLUMNS, batch.verdicts)
    if batch.met:
        earlier = [row for row in batch.met if isinstance(row, Statement)]
        Statement.objects.bulk_update(earlier, ["signal_id", "effect"])
        tell_met(earlier, at=batch.at)
    for row in batch.met:
        Verdict.objects.filter(statement_id=row.id, signal_id__isnull=True).update(signal_id=row.signal_id)
    if batch.changed:
        Signal.objects.bulk_update(batch.changed.values(), _REVISABLE)
    if batch.unrouted:
        with connection.cursor() as cursor:
            cursor.execute("DELETE FROM signals_route WHERE signal_id = ANY(%s)", [batch.unrouted])
    if batch.routes:
        copy_rows(
            Route,
            ["signal_id", "partner_id", "programme_id", "position"],
            ((*route, batch.signals[route[0]].position) for route in batch.routes),
        )
    record_many(batch.events)
    _move(batch)


def _write_late_refusals(batch: Batch) -> None:
    """First of all: a late refusal frees its jti, which a later line of this very batch may have taken."""
    for row, refusal in batch.refused_late:
        Statement.objects.filter(id=row.id).delete()
        tell_refused([row], code=refusal.code, at=batch.at)
        verdict, code, detail, pointer, statement_id, _ = refused_columns(refusal)
        Verdict.objects.filter(statement_id=row.id, signal_id__isnull=True).update(
            verdict=verdict, code=code, detail=detail, pointer=pointer, statement_id=statement_id
        )


def _move(batch: Batch) -> None:
    groups: dict[tuple[int, Kind], list[uuid.UUID]] = {}
    for identity, kind in batch.moves.items():
        groups.setdefault((batch.signals[identity].programme_id, kind), []).append(identity)
    for (programme_id, kind), ids in sorted(groups.items()):
        taken = take_positions(programme_id, ids, kind=kind, at=batch.at)
        _record_move(batch, kind, batch.slugs[programme_id], ids, taken)
        wake.changed(programme_id, taken.to)
    if batch.moves:
        wake.deliver()


def _record_move(batch: Batch, kind: Kind, slug: str, ids: Iterable[uuid.UUID], taken: Taken) -> None:
    if kind != Kind.WITHDRAWN:
        record_moves(f"signal.{kind.value}", slug, taken)
        return
    record_many([batch.withdrawn(identity, slug, head=taken.to) for identity in ids])
