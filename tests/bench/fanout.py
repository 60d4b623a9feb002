"""A feed to two hundred endpoints: from the moment that all are told to walk anew until every item is in at each.

The endpoints belong to as many partners as it takes (20 each is the most a partner may have). The ceiling is
`bare.post`: one aiohttp client that posts bodies kept from the same feed, ready-made, to the same receivers, each
receiver's one after the other as the hub must, right after each of the hub's rounds.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from django.db import transaction

from partners import public
from signals.lifecycle.endpoints import MAX_ENDPOINTS, add_endpoint, remove_endpoint, replay
from tests.bench import bare, rig
from tests.bench.crowd import Crowd, crowd
from tests.bench.statements import batches
from tests.companies import now

ACTOR = "system:bench"


@dataclass(frozen=True)
class Target:
    """One endpoint and whose it is."""

    id: UUID
    partner_id: int


def run(
    hub: rig.Rig, *, size: int = 2000, rounds: int = 3, endpoints: int = 200, batch: int = 1000
) -> dict[str, object]:
    """`size` signals, `batch` in a POST, to so many endpoints."""
    with crowd(endpoints) as receivers, bare.pool(1) as process:
        stored = _build(hub, size)
        receivers.keep_bodies_of(0)
        targets = set_up(hub, receivers, endpoints, batch=batch)
        _wait(receivers, stored, since=time.monotonic())  # warm, and the walk that the ready-made bodies are kept of
        bodies = receivers.keep_bodies_of(None)
        ours, ceilings, spent = [], [], {}
        client = process._pool[0].pid  # type: ignore[attr-defined]  # the one process of the ceiling
        counted = _Counted.of(receivers)
        for number in range(rounds):
            hub.wait_for_ledger()
            receivers.counts.clear()
            before = hub.cpu(receivers.pid, client)
            ours.append(_wait(receivers, stored, since=_replay_all(targets)))
            counted = _Counted.of(receivers)
            hub.wait_for_ledger()  # its disclosures are the hub's own cost, not the ceiling's
            between = hub.cpu(receivers.pid, client)
            receivers.counts.clear()
            began = process.apply(bare.post, [[receivers.url(each) for each in range(endpoints)], bodies])
            ceilings.append(_wait(receivers, stored, since=began))
            after = hub.cpu(receivers.pid, client)
            spent = _spent(before, between, after, receivers.pid, client, posts=counted.bodies)
            rig.say(f"round {number + 1}: hub {ours[-1]:.2f} s, bare {ceilings[-1]:.2f} s")
        take_down(targets)
    ratios = [ceiling / taken for taken, ceiling in zip(ours, ceilings, strict=True)]
    return {
        "size": stored,
        "endpoints": endpoints,
        "batch": batch,
        "rounds": rounds,
        "unit": "items/s",
        "figure": round(endpoints * stored / rig.median(ours)),
        "ceiling": round(endpoints * stored / rig.median(ceilings)),
        "ratio": rig.median(ratios),
        "spread": rig.spread(ratios),
        "posts": counted.bodies,
        "megabytes": round(counted.bytes / 1e6),
        "cpu_us_per_post": spent,
    }


def set_up(hub: rig.Rig, receivers: Crowd, count: int, *, batch: int) -> list[Target]:
    """Register one endpoint for each receiver, and wait until every one has repeated its challenge."""
    companies = [hub.company(f"reader-{number}") for number in range(-(-count // MAX_ENDPOINTS))]
    targets = []
    with transaction.atomic():
        for number in range(count):
            company = companies[number % len(companies)]
            member = public.membership(company.partner.pk, "csea", at=now())
            assert member is not None
            url = receivers.url(number)
            added = add_endpoint(member, url=url, filter={}, actor=ACTOR, at=now(), batch_size=batch)
            targets.append(Target(added.endpoint.id, company.partner.pk))
    unverified = "SELECT count(*) FROM signals_endpoint WHERE verified_at IS NULL"
    rig.wait_until(lambda: rig.one(unverified) == 0, seconds=60, what="the challenges")
    return targets


def take_down(targets: Sequence[Target]) -> None:
    """Remove them, so that nobody knocks where nobody listens while another bench runs."""
    for target in targets:
        remove_endpoint(target.id, partner_id=target.partner_id, actor=ACTOR, at=now())


def _build(hub: rig.Rig, size: int) -> int:
    """Publish so many signals; how many there are then for every reader."""
    http, author = hub.http(), hub.company("acme-social")
    goal = hub.head + size
    for body in batches(author, 0, size):
        hub.submit(http, author, body)
    hub.wait_for_head(goal, seconds=60 + size / 100)
    return int(rig.one("SELECT count(*) FROM signals_signal WHERE programme_id = %s", hub.programme.pk))


def _replay_all(targets: Sequence[Target]) -> float:
    """Begin every walk anew in one commit; returns the moment before it."""
    with transaction.atomic():
        for target in sorted(targets, key=lambda each: each.id):  # in the order in which everybody locks several
            replay(target.id, partner_id=target.partner_id, since=None, actor=ACTOR, at=now())
        return time.monotonic()


def _wait(receivers: Crowd, size: int, *, since: float) -> float:
    """Seconds until every receiver had every item; RuntimeError if one got more than there are, or nothing comes."""
    counts = receivers.counts
    goal = size * counts.size
    rig.wait_until(lambda: sum(counts.items) >= goal, seconds=60 + goal / 2000, what="all items", every=0.01)
    taken = float(counts.last.value) - since
    if any(items != size for items in counts.items):
        raise RuntimeError(f"Of {size} items receivers got {Counter(counts.items).most_common(5)}.")
    return taken


@dataclass(frozen=True)
class _Counted:
    bodies: int
    bytes: int

    @classmethod
    def of(cls, receivers: Crowd) -> _Counted:
        return cls(sum(receivers.counts.bodies), sum(receivers.counts.bytes))


def _spent(
    before: dict[str, float],
    between: dict[str, float],
    after: dict[str, float],
    receivers: int,
    client: int,
    *,
    posts: int,
) -> dict[str, int]:
    def of(start: dict[str, float], end: dict[str, float], name: str) -> int:
        return round(1e6 * (end[name] - start[name]) / posts)

    return {
        **{name: of(before, between, name) for name in ("deliverer", "postgres", "sequencer", "worker")},
        "receivers": of(before, between, f"process {receivers}"),
        "bare": of(between, after, f"process {client}"),
        "bares_receivers": of(between, after, f"process {receivers}"),
    }
