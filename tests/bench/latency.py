"""From submit to webhook received, one signal at a time: on an idle hub, and while another partner back-fills.

The clock runs from before the POST until the last byte of the webhook's body is in. The endpoint takes the whole
programme, so what the other partner back-fills passes through it too. There is no ceiling: the promise is a time.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection

from tests.bench import rig
from tests.bench.statements import batches, signed
from tests.companies import Company
from tests.receivers import Receiver

BACKFILL_LINES = 1000


def run(hub: rig.Rig, *, size: int = 60, rounds: int = 2) -> dict[str, object]:
    """`size` signals a round, idle and under back-fill in turn."""
    with Receiver() as receiver:
        author, other, reader = hub.company("acme-social"), hub.company("birch-chat"), hub.company("cedar-video")
        http = hub.http()
        asked = {"programme": "csea", "url": receiver.url, "batch_size": 1000}
        rig.call(http, reader, "POST", "/api/v1/endpoints", asked)
        lines = signed(author, range(10**9))
        _measure(hub, http, author, receiver, lines, min(5, size))  # warm
        idle: list[float] = []
        busy: list[float] = []
        cpu: Counter[str] = Counter()
        backfilled = 0
        for number in range(rounds):
            before = hub.cpu()
            idle += _measure(hub, http, author, receiver, lines, size)
            cpu.update({name: used - before[name] for name, used in hub.cpu().items()})
            with _backfill(hub, other, number, batch=min(BACKFILL_LINES, 20 * size)) as sent:
                busy += _measure(hub, http, author, receiver, lines, max(2, size // 3))
            backfilled += sum(sent)
            halves = f"idle p50 {rig.percentile(idle, 0.5):.0f} ms, busy {rig.percentile(busy, 0.5):.0f} ms"
            rig.say(f"round {number + 1}: {halves}")
    return {
        "size": size,
        "rounds": rounds,
        "unit": "ms",
        "p50_ms": round(rig.percentile(idle, 0.5)),
        "p99_ms": round(rig.percentile(idle, 0.99)),
        "spread": [round(min(idle)), round(max(idle))],
        "cpu_ms_per_signal": {name: round(1000 * used / len(idle), 1) for name, used in cpu.items()},
        "backfill_p50_ms": round(rig.percentile(busy, 0.5)),
        "backfill_p99_ms": round(rig.percentile(busy, 0.99)),
        "backfill_spread": [round(min(busy)), round(max(busy))],
        "backfilled_meanwhile": backfilled,
    }


def _measure(
    hub: rig.Rig, http: HTTPConnection, author: Company, receiver: Receiver, lines: Iterator[bytes], count: int
) -> list[float]:
    """Submit one signal, wait until its body has come, and again."""
    taken = []
    for line in (next(lines) for _ in range(count)):
        looked_at = len(receiver.received)
        started = time.monotonic()
        hub.submit(http, author, line)
        arrived = None
        while arrived is None:
            if time.monotonic() - started > 60:
                raise RuntimeError("A signal has not arrived within 60 s.")
            time.sleep(0.002)
            while looked_at < len(receiver.received) and arrived is None:
                received = receiver.received[looked_at]
                arrived = received.at if line in received.body else None
                looked_at += 1
        taken.append(1000 * (arrived - started))
    return taken


@contextmanager
def _backfill(hub: rig.Rig, company: Company, number: int, *, batch: int) -> Iterator[list[int]]:
    """Another partner posts batch after batch, as fast as they are verified, while the block runs."""
    stop, sent = threading.Event(), list[int]()
    ready = batches(company, number * 10**6, 4 * batch, of=batch)  # signed before the clock starts

    def post() -> None:
        http = hub.http()
        while not stop.is_set():
            body = ready.pop(0) if ready else batches(company, number * 10**6 + sum(sent), batch)[0]
            sent.append(body.count(b"\n") + 1)
            hub.submit(http, company, body)
            while rig.pending_submissions() > 2 and not stop.wait(0.05):
                pass  # the sender keeps a couple of batches waiting, so that the hub is never idle

    thread = threading.Thread(target=post, name="backfill")
    thread.start()
    try:
        yield sent
    finally:
        stop.set()
        thread.join()
