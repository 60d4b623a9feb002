"""What one bad receiver among many costs the others: submit to received, with it and without it, in turn.

Signals are submitted one by one at a steady pace, and each goes to every endpoint. In one half of a round all are
well. In the other the last endpoint is bad from its first POST on: it hangs until our time-out, resets every
connection, or drips a status line byte by byte. Which way changes from round to round, and so does which half is first.
Only the others are counted, in both halves the same ones.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterator
from http.client import HTTPConnection

from signals.lifecycle.endpoints import resume_endpoint
from tests.bench import rig
from tests.bench.crowd import Crowd, crowd, mark
from tests.bench.fanout import ACTOR, Target, set_up, take_down
from tests.bench.statements import signed
from tests.companies import Company, now

WAYS_TO_BE_BAD = ("hangs", "resets", "drips")
PAUSE = 0.4  # seconds from one submit to the next: two hundred POSTs each time


def run(hub: rig.Rig, *, size: int = 8, rounds: int = 6, endpoints: int = 200) -> dict[str, object]:
    """`size` signals in each half of a round."""
    with crowd(endpoints) as receivers:
        author, http = hub.company("acme-social"), hub.http()
        lines = signed(author, range(10**9))
        targets = set_up(hub, receivers, endpoints, batch=200)
        receivers.arrivals()
        _measure(hub, http, author, receivers, lines, min(4, size), others=endpoints - 1)  # warm
        without: list[float] = []
        beside: list[float] = []
        ratios: list[float] = []
        by_way: dict[str, list[float]] = defaultdict(list)
        for number in range(rounds):
            way = WAYS_TO_BE_BAD[number % len(WAYS_TO_BE_BAD)]
            halves: dict[bool, list[float]] = {}
            for is_ill in (False, True) if number % 2 == 0 else (True, False):
                if is_ill:
                    receivers.behave(endpoints - 1, way)
                halves[is_ill] = _measure(hub, http, author, receivers, lines, size, others=endpoints - 1)
                if is_ill:
                    _mend(receivers, targets[-1], endpoints - 1)
            well, ill = halves[False], halves[True]
            without += well
            beside += ill
            ratios.append(rig.percentile(ill, 0.99) / rig.percentile(well, 0.99))
            by_way[way].append(ratios[-1])
            rig.say(f"round {number + 1}: p99 {_ms(well, 0.99)} ms, beside one that {way} {_ms(ill, 0.99)} ms")
        take_down(targets)
    return {
        "size": size,
        "endpoints": endpoints,
        "rounds": rounds,
        "unit": "ms",
        "p50_without_ms": _ms(without, 0.5),
        "p99_without_ms": _ms(without, 0.99),
        "p50_with_ms": _ms(beside, 0.5),
        "p99_with_ms": _ms(beside, 0.99),
        "ratio": rig.median(ratios),
        "spread": rig.spread(ratios),
        "ratio_by_way": {way: rig.median(found) for way, found in by_way.items()},
        "received": len(without) + len(beside),
    }


def _measure(
    hub: rig.Rig,
    http: HTTPConnection,
    author: Company,
    receivers: Crowd,
    lines: Iterator[bytes],
    count: int,
    *,
    others: int,
) -> list[float]:
    """Seconds from submit to received, of so many signals at each of the others, every one of them."""
    sent: dict[str, float] = {}
    begins = time.monotonic()
    for number in range(count):
        time.sleep(max(0.0, begins + number * PAUSE - time.monotonic()))
        line = next(lines)
        sent[mark(line)] = time.monotonic()
        hub.submit(http, author, line)
    taken: dict[tuple[int, str], float] = {}

    def have_all() -> bool:
        for receiver, which, at in receivers.arrivals():
            if receiver < others and which in sent:
                taken.setdefault((receiver, which), at - sent[which])
        return len(taken) == count * others

    rig.wait_until(have_all, seconds=60, what="every signal at every receiver")
    return list(taken.values())


def _mend(receivers: Crowd, target: Target, number: int) -> None:
    """The bad one is well again and has caught up, so that the next half begins as the first did."""
    receivers.behave(number, "well")
    resume_endpoint(target.id, partner_id=target.partner_id, actor=ACTOR, at=now())
    behind = (
        "SELECT count(*) FROM signals_endpoint e JOIN signals_head h USING (programme_id)"
        " WHERE e.id = %s AND (e.position < h.position OR e.failures > 0 OR e.lease_token IS NOT NULL)"
    )
    rig.wait_until(lambda: rig.one(behind, str(target.id)) == 0, seconds=60, what="the one that was bad")


def _ms(values: list[float], share: float) -> int:
    return round(1000 * rig.percentile(values, share))
