"""Sustained verified ingest through HTTP: batches of 1,000 signed statements, until every one is published.

The hub runs whole (web server, two verifying workers, deliverer, timetable, sequencer); four companies post at once.
The ceiling is `bare.ingest` in two processes, the same number of statements of the same companies, after each round.
"""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from multiprocessing import active_children
from multiprocessing.pool import Pool
from pathlib import Path

from django.conf import settings

from hub.embedded.postgres import Postgres
from tests.bench import bare, rig
from tests.bench.statements import batches
from tests.companies import Company

PROCESSES = 2  # that verify: the hub's worker starts two, the ceiling gets as many
ONLY_BARE = {"postgres"}  # of the hub's programs, what the ceiling uses too
COMPANIES = ("acme-social", "birch-chat", "cedar-video", "dune-games")


def run(hub: rig.Rig, *, size: int = 4_000, rounds: int = 3) -> dict[str, object]:
    """`size` statements a round."""
    with bare.pool(PROCESSES) as processes:
        companies = [hub.company(slug) for slug in COMPANIES]
        bodies = _Bodies(companies, size)
        with Postgres(settings.HOME).bootstrap_connection("heliograph") as superuser:
            bare.make_tables(superuser)
        _through_the_hub(hub, bodies.next(companies, min(100, size)))  # warm: imports, keys, connections
        workers = [child.pid or 0 for child in active_children()]
        ours, ceilings, ledgers, verifying, cpu_ratios = [], [], [], [], []
        spent: dict[str, float] = {}
        for number in range(rounds):
            work = bodies.next(companies)
            before = hub.cpu()
            seconds, with_ledger = _through_the_hub(hub, work)
            ours.append(size / seconds)
            ledgers.append(size / with_ledger)
            spent = {name: 1e6 * (used - before[name]) / size for name, used in hub.cpu().items()}
            before = hub.cpu(*workers)
            ceilings.append(size / _bare(processes, work, first_position=number * size))
            bare_cpu = sum(
                used - before[name]
                for name, used in hub.cpu(*workers).items()
                if name in ONLY_BARE or name.startswith("process")
            )
            cpu_ratios.append(1e6 * bare_cpu / size / sum(spent.values()))
            verifying.append(sum(processes.map(bare.verify_rate, [0.5] * PROCESSES, chunksize=1)))
            rig.say(
                f"round {number + 1}: hub {ours[-1]:.0f}/s, bare {ceilings[-1]:.0f}/s, Ed25519 {verifying[-1]:.0f}/s"
            )
    ratios = [figure / ceiling for figure, ceiling in zip(ours, ceilings, strict=True)]
    return {
        "size": size,
        "rounds": rounds,
        "unit": "statements/s",
        "figure": round(rig.median(ours)),
        "ceiling": round(rig.median(ceilings)),
        "ratio": rig.median(ratios),
        "spread": rig.spread(ratios),
        "cpu_ratio": rig.median(cpu_ratios),
        "cpu_spread": rig.spread(cpu_ratios),
        "until_in_ledger": round(rig.median(ledgers)),
        "share_of_bare_ed25519": rig.median([f / v for f, v in zip(ours, verifying, strict=True)]),
        "cpu_us_per_statement": {name: round(used) for name, used in spent.items()},
    }


class _Bodies:
    """Signed batches, never the same twice: a statement said again is answered from memory."""

    def __init__(self, companies: list[Company], size: int) -> None:
        self.share = -(-size // len(companies))
        self.said = 0

    def next(self, companies: list[Company], share: int = 0) -> list[tuple[Company, list[bytes]]]:
        count = share or self.share
        made = [(company, batches(company, self.said, count)) for company in companies]
        self.said += count
        return made


def _through_the_hub(hub: rig.Rig, work: list[tuple[Company, list[bytes]]]) -> tuple[float, float]:
    """Seconds from the first POST until all is published, and until all is in the ledger."""
    count = sum(body.count(b"\n") + 1 for _, bodies in work for body in bodies)
    goal = hub.head + count

    def post(share: tuple[Company, list[bytes]]) -> None:
        company, bodies = share
        http = hub.http()
        for body in bodies:
            hub.submit(http, company, body)
        http.close()

    started = time.perf_counter()
    with ThreadPoolExecutor(len(work)) as threads:
        list(threads.map(post, work))
    hub.wait_for_head(goal, seconds=30 + count / 100)
    published = time.perf_counter() - started
    hub.wait_for_ledger()
    return published, time.perf_counter() - started


def _bare(processes: Pool, work: list[tuple[Company, list[bytes]]], *, first_position: int) -> float:
    tasks: list[bare.IngestTask] = []
    position = first_position
    folder = Path(settings.HOME) / "bodies"
    folder.mkdir(exist_ok=True)
    for company, bodies in work:
        for body in bodies:
            path = folder / str(len(tasks))
            path.write_bytes(body)
            key = company.key.private.public_key().public_bytes_raw()
            tasks.append(bare.IngestTask(settings.DATABASE_URL, path, key, company.slug, company.partner.pk, position))
            position += body.count(b"\n") + 1
    started = time.perf_counter()
    processes.map(bare.ingest, tasks, chunksize=1)
    return time.perf_counter() - started
