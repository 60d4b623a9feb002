"""What every bench stands on: a running hub, companies in it, time and processor time, medians."""

from __future__ import annotations

import json
import os
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path
from typing import Any

from django.db import connection, connections

from hub.embedded.supervisor import Line
from hub.running import RunningHub
from partners.models import Programme
from tests.builders import a_programme
from tests.companies import Company, a_company

_TICKS = os.sysconf("SC_CLK_TCK")


def say(text: str) -> None:
    """A line for people; the figures go to standard output."""
    print(text, file=sys.stderr, flush=True)


@dataclass
class Rig:
    """A hub with one programme, and whatever companies a bench adds to it."""

    hub: RunningHub
    programme: Programme
    seen: list[str] = field(default_factory=list)
    companies: dict[str, Company] = field(default_factory=dict)

    def company(self, slug: str) -> Company:
        if slug not in self.companies:
            self.companies[slug] = a_company(slug, self.programme)
        return self.companies[slug]

    def http(self) -> HTTPConnection:
        return HTTPConnection(self.hub.host, self.hub.port, timeout=120)

    def submit(self, http: HTTPConnection, company: Company, body: bytes) -> None:
        answer, text = request(http, company, "POST", "/api/v1/statements", body)
        while answer.status == 429:  # a backfill of a million goes on at the rate that the hub admits
            time.sleep(int(answer.headers["Retry-After"]))
            answer, text = request(http, company, "POST", "/api/v1/statements", body)
        if answer.status != 202:
            raise RuntimeError(f"The hub answered {answer.status}: {text[:300]!r}")

    @property
    def head(self) -> int:
        return int(
            one("SELECT coalesce(max(position), 0) FROM signals_head WHERE programme_id = %s", self.programme.pk)
        )

    def wait_for_head(self, position: int, *, seconds: float) -> None:
        """Until the programme's feed has come this far; RuntimeError after so many seconds."""
        wait_until(lambda: self.head >= position, seconds=seconds, what=f"position {position}")

    def wait_for_ledger(self, *, seconds: float = 60) -> None:
        """Until the sequencer has made a leaf of every event."""
        wait_until(_is_outbox_empty, seconds=seconds, what="the sequencer")

    def cpu(self, *others: int) -> dict[str, float]:
        """Seconds of processor time that each program and its children, and other processes, have used so far."""
        used: dict[str, float] = {}
        children, times = _processes()
        for name, pid in [*self.hub.pids().items(), *((f"process {pid}", pid) for pid in others)]:
            family, used[name] = [pid] if pid else [], 0.0
            while family:
                member = family.pop()
                used[name] += times.get(member, 0.0)
                family += children.get(member, [])
        return used


@contextmanager
def running_hub(*, web_processes: int = 1) -> Iterator[Rig]:
    """A whole hub with programme `csea`, on a free port; nothing of it is left afterwards."""
    seen: list[str] = []

    def note(line: Line) -> None:
        if line.kind in {"died", "killed"} or '"level": "error"' in line.text or "Traceback" in line.text:
            seen.append(f"{line.program}: {line.kind}: {line.text}")
            if len(seen) <= 3:
                say(seen[-1])

    started = time.monotonic()
    with RunningHub(on_line=note, port=0, web_processes=web_processes) as hub:
        say(f"hub up after {time.monotonic() - started:.1f} s")
        yield Rig(hub, a_programme("csea", gates={"flood_cap": 10**9}), seen)  # counted, and never one too many
    if seen:
        raise RuntimeError(f"The hub complained {len(seen)} times; the first: {seen[0][:500]}")


def request(
    http: HTTPConnection, company: Company, method: str, path: str, body: bytes = b"", **headers: str
) -> tuple[HTTPResponse, bytes]:
    """One request over a connection that stays open, with its answer read to the end."""
    given = {"Authorization": f"Bearer {company.token}"} | ({"Content-Type": "application/x-ndjson"} if body else {})
    http.request(method, path, body or None, given | headers)
    answer = http.getresponse()
    return answer, answer.read()


def call(http: HTTPConnection, company: Company, method: str, path: str, document: object = None) -> Any:
    """The JSON answer of a request that must succeed."""
    body = b"" if document is None else json.dumps(document).encode()
    answer, text = request(http, company, method, path, body, **({"Content-Type": "application/json"} if body else {}))
    if answer.status >= 300:
        raise RuntimeError(f"{method} {path}: {answer.status} {text[:300]!r}")
    return json.loads(text)


def one(query: str, *parameters: str | int) -> Any:
    """The first value that a query finds."""
    with connection.cursor() as cursor:
        cursor.execute(query, parameters)
        row = cursor.fetchone()
    return row[0] if row else None


def _is_outbox_empty() -> bool:
    with connections["ledger"].cursor() as cursor:  # the application may not read the outbox
        cursor.execute("SELECT EXISTS (SELECT FROM ledger_outbox)")
        return not cursor.fetchone()[0]


def pending_submissions() -> int:
    return int(one("SELECT count(*) FROM signals_submission WHERE state = 'pending'"))


def wait_until(is_so: Callable[[], bool], *, seconds: float, what: str, every: float = 0.02) -> None:
    deadline = time.monotonic() + seconds
    while not is_so():
        if time.monotonic() > deadline:
            raise RuntimeError(f"After {seconds:.0f} s still waiting for {what}.")
        time.sleep(every)


def spread(values: Sequence[float]) -> list[float]:
    """The lowest and the highest, for people to judge the median by."""
    return [round(min(values), 3), round(max(values), 3)]


def median(values: Sequence[float]) -> float:
    return round(statistics.median(values), 3)


def percentile(values: Sequence[float], share: float) -> float:
    """The value that this share of all are at or below (nearest rank)."""
    ranked = sorted(values)
    return ranked[max(0, min(len(ranked) - 1, round(share * len(ranked) + 0.5) - 1))]


def _processes() -> tuple[dict[int, list[int]], dict[int, float]]:
    children: dict[int, list[int]] = {}
    times: dict[int, float] = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                fields = (folder / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue  # it has just ended
            pid, parent = int(folder.name), int(fields[1])
            children.setdefault(parent, []).append(pid)
            # its own time, and that of its children that have ended and been waited for
            times[pid] = sum(map(int, fields[11:15])) / _TICKS
    return children, times
