"""Signals are weighed: what members hold of them and did about them becomes a standing, a move and a notice.

Whoever changes what counts leaves a row in ToWeigh, in its own transaction; `weigh_next` works them off. Signals of the
same value are found in the change log afterwards, so that movers write nothing for it and hold nothing meanwhile.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import connection, transaction

from hub.ledger.leaf import Json
from hub.ledger.record import Event, record_many
from partners import public
from signals import wake
from signals.core.notices import NoticeKind
from signals.core.states import LIVE, State
from signals.lifecycle.moves import Kind, lock_signals, take_positions
from signals.lifecycle.notices import notify
from signals.lifecycle.opinions import weigh_again
from signals.lifecycle.publish import record_moves
from signals.models import Signal, Statement, WeighPlace, Weight
from signals.voices import Weighed, heard_of, weighed

BATCH = 1000
_LIVE = {state.value for state in LIVE}
_ACTIONS = {
    Kind.RESTRICTED: "signal.restricted",
    Kind.LIFTED: "signal.restriction-lifted",
    Kind.WEIGHED: "signal.weighed",
}


def weigh_next(*, at: datetime) -> int:
    """Weigh up to 1,000 signals of which something was said, and return how many; the caller asks until that is none.

    May run twice at once: each takes rows of its own, and a signal in both is weighed by one after the other.
    """
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute(_TAKE, [BATCH])
            ids = {row[0] for row in cursor.fetchall()}
        if ids:
            weigh(ids, at=at)
    return len(ids)


def find_same_value(*, at: datetime) -> int:
    """Look through up to 1,000 changes of one programme, and have signals of the same value as theirs weighed.

    Returns how many changes those were; the caller asks again until that is none.
    """
    del at  # nothing is dated by it
    with connection.cursor() as cursor:
        cursor.execute(_BEHIND)
        behind = [row[0] for row in cursor.fetchall()]
    return next((count for count in (_find(programme_id) for programme_id in behind) if count), 0)


def weigh(ids: Collection[UUID], *, at: datetime) -> None:
    """Weigh these signals within the caller's transaction: keep the result, move what changed, tell the authors."""
    signals = lock_signals(ids)
    before = Weight.objects.in_bulk(list(signals))
    heard = heard_of(list(signals.values()))
    gates = {each: public.programme_by_id(each).gates for each in {row.programme_id for row in signals.values()}}
    results = {
        identity: weighed(signal, heard[identity], gates=gates[signal.programme_id])
        for identity, signal in signals.items()
    }
    changed = [row for row in (_row(signals[each], results[each], at) for each in results) if _differs(row, before)]
    Weight.objects.bulk_create(
        changed,
        update_conflicts=True,
        unique_fields=["signal_id"],
        update_fields=["standing", "shown_standing", "is_restricted", "counts", "shown_counts", "at"],
    )
    _record(changed, signals, at=at)
    _tell(changed, before, signals, at=at)
    _move(signals, results, at=at)


def _row(signal: Signal, result: Weighed, at: datetime) -> Weight:
    return Weight(
        signal_id=signal.id,
        standing=result.all.standing.value,
        shown_standing=result.shown.standing.value,
        is_restricted=result.all.is_restricted,
        counts=result.counts,
        shown_counts=result.shown_counts,
        at=at,
    )


_NOTHING = Weight(standing="unreviewed", shown_standing="unreviewed", counts={}, shown_counts={})


def _told(row: Weight) -> tuple[object, ...]:
    counts = {name: count for name, count in row.shown_counts.items() if count}
    return row.shown_standing, row.is_restricted, counts


def _differs(row: Weight, before: Mapping[UUID, Weight]) -> bool:
    old = before.get(row.signal_id, _NOTHING)
    counts = [{name: count for name, count in each.counts.items() if count} for each in (row, old)]
    return (row.standing, *_told(row), counts[0]) != (old.standing, *_told(old), counts[1])


def _record(rows: Collection[Weight], signals: Mapping[UUID, Signal], *, at: datetime) -> None:
    slugs = {each: public.programme_by_id(each).slug for each in {row.programme_id for row in signals.values()}}
    record_many(
        [
            Event(
                "signal.standing",
                "system:publisher",
                at,
                (f"signal:{row.signal_id}", f"programme:{slugs[signals[row.signal_id].programme_id]}"),
                {"standing": row.standing, "restricted": row.is_restricted, **row.counts},
            )
            for row in rows
        ]
    )


def _move(signals: Mapping[UUID, Signal], results: Mapping[UUID, Weighed], *, at: datetime) -> None:
    """What is served and stands otherwise than its item says moves; the item then says the counts of this moment."""
    groups: dict[tuple[int, Kind], list[Signal]] = {}
    for identity, signal in sorted(signals.items()):
        kind = _kind(signal, results[identity]) if signal.state in _LIVE else None
        if kind is not None:
            signal.weighed = _shown(results[identity])
            groups.setdefault((signal.programme_id, kind), []).append(signal)
    for (programme_id, kind), moving in sorted(groups.items()):
        Signal.objects.bulk_update(moving, ["weighed"])
        taken = take_positions(programme_id, [signal.id for signal in moving], kind=kind, at=at)
        record_moves(_ACTIONS[kind], public.programme_by_id(programme_id).slug, taken)
        wake.changed(programme_id, taken.to)
    if groups:
        wake.deliver()


def _kind(signal: Signal, result: Weighed) -> Kind | None:
    if result.all.is_restricted != (signal.state == State.RESTRICTED.value):
        return Kind.RESTRICTED if result.all.is_restricted else Kind.LIFTED
    said = json.loads(f"{{{signal.weighed}}}").get("standing", "unreviewed")
    return Kind.WEIGHED if said != result.shown.standing.value else None


def _shown(result: Weighed) -> str:
    """What an item says of a signal's standing, as JSON members without braces."""
    members = {"standing": result.shown.standing.value, **result.shown_counts}
    return json.dumps(members, separators=(",", ":"), ensure_ascii=True)[1:-1]


def _tell(
    changed: Collection[Weight], before: Mapping[UUID, Weight], signals: Mapping[UUID, Signal], *, at: datetime
) -> None:
    """Tell authors how many hold what of their signals; of one that is not for the whole programme, only its state.

    An author that may not receive is told whether its signal is restricted and nothing else: whoever says a value to
    hear that others have it too would read what is not for it.
    """
    programmes = {signals[row.signal_id].programme_id for row in changed}
    readers = {each: {one.partner_id for one in public.members(each, at=at) if one.may_receive} for each in programmes}
    jtis = dict(
        Statement.objects.filter(id__in=[signals[row.signal_id].statement_id for row in changed]).values_list(
            "id", "jti"
        )
    )
    told: dict[tuple[int, int], list[Json]] = {}
    for row in changed:
        signal, old = signals[row.signal_id], before.get(row.signal_id, _NOTHING)
        facts: dict[str, Any] = {"signal": str(signal.id), "jti": jtis.get(signal.statement_id)}
        facts |= {"restricted": row.is_restricted}
        if signal.issuer_id in readers[signal.programme_id]:
            is_news = _told(row) != _told(old)
            facts |= {"standing": row.shown_standing, **row.shown_counts}
        else:
            is_news = row.is_restricted != old.is_restricted
        if is_news:
            told.setdefault((signal.issuer_id, signal.programme_id), []).append(facts)
    for (issuer, programme_id), each in sorted(told.items()):
        slug = public.programme_by_id(programme_id).slug
        notify(issuer, NoticeKind.SIGNAL_WEIGHED, {"programme": slug, "signals": each}, at=at)


def _find(programme_id: int) -> int:
    if not WeighPlace.objects.filter(programme_id=programme_id).exists():  # asked first: a conflict would wait
        WeighPlace.objects.bulk_create([WeighPlace(programme_id=programme_id)], ignore_conflicts=True)
    with transaction.atomic():
        place = WeighPlace.objects.select_for_update(skip_locked=True).filter(programme_id=programme_id).first()
        if place is None:
            return 0
        with connection.cursor() as cursor:
            cursor.execute("SET LOCAL enable_seqscan = off")  # a fresh table looks as if a few values were everywhere
            cursor.execute(_CHANGES, [programme_id, place.position, BATCH])
            changes = cursor.fetchall()
            if not changes:
                return 0
            moved = list({identity for _, identity, kind in changes if identity is not None and kind in _MATTERS})
            again = {identity for _, identity, kind in changes if kind in _AGAIN}
            cursor.execute(_PAIRS, {"moved": moved})
            weigh_again({*again, *(row[0] for row in cursor.fetchall())})
        place.position = changes[-1][0]
        place.save(update_fields=["position"])
    return len(changes)


# It may have been restricted, or be for more members now, who may count what was said of it.
_AGAIN = {Kind.RESTORED.value, Kind.WIDENED.value, Kind.REVISED.value}
_MATTERS = {kind.value for kind in Kind} - {Kind.WEIGHED.value, Kind.KEY_FELL.value}

_TAKE = """
DELETE FROM signals_toweigh WHERE number IN (
    SELECT number FROM signals_toweigh ORDER BY number LIMIT %s FOR UPDATE SKIP LOCKED)
RETURNING signal_id
"""

_BEHIND = """
SELECT head.programme_id FROM signals_head AS head LEFT JOIN signals_weighplace AS place USING (programme_id)
 WHERE head.position > coalesce(place.position, 0) ORDER BY 1
"""

_CHANGES = """
SELECT position, signal_id, kind FROM signals_change
 WHERE programme_id = %s AND position > %s ORDER BY position LIMIT %s
"""

# Both of each pair: what moved may bear out the other, and the other what moved. More than 10,000 are one value said by
# everybody over and over, which is for the gates to stop.
_PAIRS = """
SELECT DISTINCT unnest(ARRAY[moved.id, other.id])
  FROM signals_signal AS moved
  JOIN signals_signal AS other ON other.value_index = moved.value_index
   AND other.programme_id = moved.programme_id AND other.issuer_id <> moved.issuer_id
 WHERE moved.id = ANY (%(moved)s) AND other.state IN ('published', 'restricted')
 LIMIT 10000
"""
