"""What the ledger costs: transactions a second at 32 clients with an event each and without; and how soon it is sealed.

A transaction does through Django what the hub's verbs do at least (`clients.py`, `verb`); with the ledger it records
one event in the same transaction, while the hub's own sequencer makes leaves of them and its signer checkpoints, on the
same cores. The two take turns, and which is first changes from round to round. `one_insert` is the same beside a
transaction that does next to nothing, the dearest case there is. `longest_catching_up_s` is how long the sequencer was
at work after the clients had ended: it must keep pace, or the figure would be borrowed. The merge delay runs from the
event to the checkpoint over it. At the end the sequencer makes leaves of a ready backlog, with nothing else to do.
"""

from __future__ import annotations

import time

from django.db import connections, transaction
from django.utils import timezone

from hub.ledger import grants
from hub.ledger.record import Event, record_many
from tests.bench import rig
from tests.bench.clients import clients, run_all

CLIENTS = 32
PROCESSES = 2
KINDS = ("verb", "insert")
BACKLOG_PER_SIZE = 10_000


def run(hub: rig.Rig, *, size: int = 2, rounds: int = 3) -> dict[str, object]:
    """`size` seconds in each half of a round."""
    with connections["owner"].cursor() as cursor:
        cursor.execute("CREATE TABLE bench_business (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, body text)")
        cursor.execute("CREATE TABLE bench_row (id bigint PRIMARY KEY, body text, at timestamptz)")
        cursor.execute("INSERT INTO bench_row SELECT n, '', now() FROM generate_series(0, %s) AS n", [CLIENTS])
        cursor.execute(f"GRANT SELECT, INSERT, UPDATE ON bench_business, bench_row TO {grants.APPLICATION}")
    rates: dict[tuple[str, bool], list[float]] = {(kind, is_): [] for kind in KINDS for is_ in (False, True)}
    catching_up: list[float] = []
    with clients(CLIENTS, PROCESSES) as pipes:
        for is_recorded in (False, True):  # warm
            run_all(pipes, min(1.0, size), is_recorded=is_recorded, kind="verb")
        hub.wait_for_ledger()
        first = _size()
        for number in range(rounds):
            for kind in KINDS:
                for is_recorded in (False, True) if number % 2 == 0 else (True, False):
                    made = run_all(pipes, size, is_recorded=is_recorded, kind=kind)
                    rates[kind, is_recorded].append(made / size)
                    ended = time.monotonic()
                    hub.wait_for_ledger()
                    catching_up.append(time.monotonic() - ended)
                bare, recorded = rates[kind, False][-1], rates[kind, True][-1]
                rig.say(f"round {number + 1}, {kind}: {bare:.0f} tx/s without, {recorded:.0f} with")
        last = _size()
    rig.wait_until(lambda: _signed() >= last, seconds=20, what="the signer")
    p50, p99, worst = _merge_delays(first, last)
    ratios = {
        kind: [recorded / bare for recorded, bare in zip(rates[kind, True], rates[kind, False], strict=True)]
        for kind in KINDS
    }
    return {
        "size": size,
        "rounds": rounds,
        "clients": CLIENTS,
        "unit": "tx/s",
        "figure": rig.median(rates["verb", True]),
        "ceiling": rig.median(rates["verb", False]),
        "ratio": rig.median(ratios["verb"]),
        "spread": rig.spread(ratios["verb"]),
        "one_insert": {
            "figure": rig.median(rates["insert", True]),
            "ceiling": rig.median(rates["insert", False]),
            "ratio": rig.median(ratios["insert"]),
            "spread": rig.spread(ratios["insert"]),
        },
        "longest_catching_up_s": round(max(catching_up), 2),
        "leaves": last - first,
        "merge_delay_p50_s": round(p50, 2),
        "merge_delay_p99_s": round(p99, 2),
        "merge_delay_worst_s": round(worst, 2),
        "sequencer_leaves_per_s": _sequencer(hub, BACKLOG_PER_SIZE * size),
    }


def _size() -> int:
    return int(rig.one("SELECT size FROM ledger_tree"))


def _signed() -> int:
    return int(rig.one("SELECT coalesce(max(size), 0) FROM ledger_checkpoint"))


def _merge_delays(first: int, last: int) -> tuple[float, float, float]:
    """p50, p99 and the worst, in seconds, from when events were written to when the checkpoint over them was signed."""
    with connections["ledger"].cursor() as cursor:
        cursor.execute(
            """
            WITH delays AS (
                SELECT extract(epoch FROM sealed.signed_at - leaf.at) AS seconds
                  FROM ledger_leaf AS leaf
                  JOIN (SELECT size, signed_at, lag(size, 1, 0::bigint) OVER (ORDER BY size, id) AS before
                          FROM ledger_checkpoint) AS sealed
                    ON leaf.index >= sealed.before AND leaf.index < sealed.size
                 WHERE leaf.index >= %s AND leaf.index < %s)
            SELECT percentile_disc(0.5) WITHIN GROUP (ORDER BY seconds),
                   percentile_disc(0.99) WITHIN GROUP (ORDER BY seconds), max(seconds) FROM delays
            """,
            [first, last],
        )
        p50, p99, worst = cursor.fetchone()
    return float(p50), float(p99), float(worst)


def _sequencer(hub: rig.Rig, events: int) -> int:
    """Leaves a second, of a backlog that is all there at once: what the sequencer alone can do."""
    rig.wait_until(lambda: _signed() == _size(), seconds=20, what="a quiet hub")
    before = _size()
    now = timezone.now()
    with transaction.atomic():
        record_many(
            [Event("statement.accepted", "partner:acme-social", now, (f"signal:{n}",), {"n": n}) for n in range(events)]
        )
    hub.wait_for_ledger()
    with connections["ledger"].cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FILTER (WHERE at > first), extract(epoch FROM max(at) - min(at)) FROM ("
            " SELECT at, min(at) OVER () AS first FROM ("
            "  SELECT (convert_from(entry, 'UTF8')::json ->> 'sequenced_at')::timestamptz AS at FROM ledger_leaf"
            "   WHERE index >= %s AND action = 'statement.accepted') AS told) AS leaves",
            [before],
        )
        made, seconds = cursor.fetchone()
    return round(made / float(seconds)) if seconds else 0
