"""The whole hub as `manage.py up` runs it, in a home of its own on durable engines, with its member companies enrolled.

Nothing here may be imported before `tests.chaos.home` has chosen that home.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import redis
from django.conf import settings
from heliograph_client.hub import HubClient

from hub import embedded
from hub.embedded.supervisor import Line
from hub.running import RunningHub
from partners.models import Programme
from tests.builders import a_programme
from tests.chaos.clocks import LIBRARY, Clocks, HubWithClocks
from tests.companies import Company, a_company, now

PROGRAMME = "csea"
_ALARMS = ("Traceback", '"level": "error"', '"level":"error"')


class Broken(Exception):
    """A promise that did not hold; the text says which, and where."""


@dataclass
class Findings:
    """What broke a promise, told by any thread; kept until the end, so that one run tells all it has found."""

    broken: list[str] = field(default_factory=list)
    alarms: list[str] = field(
        default_factory=list
    )  # errors the hub's processes logged: for the eye, not for the verdict

    def say(self, text: str) -> None:
        if len(self.broken) < 100:
            self.broken.append(text)
            print(f"  BROKEN: {text}", flush=True)


class Unhurried(Company):
    """Says now what it signed two hours ago: a hub whose clock is an hour slow refuses what is just signed, rightly."""

    def signal(self, value: str = "", *, at: datetime | None = None, **members: Any) -> dict[str, Any]:
        return super().signal(value, at=at or now() - timedelta(hours=2), **members)


@dataclass
class Stage:
    """A running hub, one programme, and where to look for what was said."""

    hub: RunningHub
    programme: Programme
    folder: Path
    findings: Findings
    clocks: Clocks | None = None  # None: libfaketime is not installed
    began: float = field(default_factory=time.monotonic)
    deaths: list[str] = field(default_factory=list)

    def company(self, slug: str) -> Company:
        made = a_company(slug, self.programme)
        return Unhurried(made.partner, made.key, made.token)

    def client(self, company: Company, *, timeout: float = 15) -> HubClient:
        """One that never repeats by itself: every answer counts."""
        return HubClient(self.hub.url, company.token, attempts=1, timeout=timeout)

    def pid(self, program: str) -> int | None:
        return self.hub.pids().get(program)

    def valkey(self) -> redis.Redis:
        return redis.Redis.from_url(embedded.redis_url(settings.BROKER_URL), socket_timeout=2)


@contextmanager
def running_hub(folder: Path) -> Iterator[Stage]:
    """Start it on a free port; nothing of it is left afterwards but its log."""
    findings, deaths = Findings(), []
    log = (folder / "hub.log").open("a", encoding="utf-8")
    lock = threading.Lock()

    def keep(line: Line) -> None:
        text = f"{time.strftime('%H:%M:%S')} {line.program}: {line.text}"
        with lock:
            log.write(text + "\n")
            log.flush()
            if line.kind in {"died", "killed"}:
                deaths.append(text)
            elif any(alarm in line.text for alarm in _ALARMS) and len(findings.alarms) < 1000:
                findings.alarms.append(f"{line.program}: {line.text[:400]}")

    hub = HubWithClocks(on_line=keep, port=0)
    hub.clocks = clocks = Clocks(folder) if LIBRARY is not None else None
    with log, hub:
        yield Stage(hub, a_programme(PROGRAMME), folder, findings, clocks=clocks, deaths=deaths)


def wait_until(is_so: Callable[[], bool], *, seconds: float, every: float = 0.1) -> float | None:
    """How many seconds it took until it was so; None when it was not within `seconds`."""
    began = time.monotonic()
    while True:
        if is_so():
            return time.monotonic() - began
        if time.monotonic() - began > seconds:
            return None
        time.sleep(every)


def ask(query: str, *parameters: object) -> list[tuple[object, ...]] | None:
    """Rows of a look from outside, on a connection of its own; None while the database is away."""
    try:
        with psycopg.connect(settings.DATABASE_URL, connect_timeout=3) as connection:
            return connection.execute(query.encode(), parameters).fetchall()
    except psycopg.Error:
        return None


def patience() -> float:
    """By how much a bound in seconds is stretched: where N processes want each processor, all takes N times as long."""
    return max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))
