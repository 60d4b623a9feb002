"""A hub of real processes on the test's own database: the web server and, where a test wants them, Celery workers."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from django.conf import settings
from django.db import connections

from hub.running import free_port, granian_command

HOST = "127.0.0.1"
_READY_SECONDS = 90
_STOP_SECONDS = 15
_LOGINS = {"HELIOGRAPH_DATABASE_URL": "default", "HELIOGRAPH_OWNER_DATABASE_URL": "owner",
           "HELIOGRAPH_LEDGER_DATABASE_URL": "ledger"}  # fmt: skip


@dataclass(frozen=True, slots=True)
class LiveHub:
    """Where it listens, and what its processes have said so far."""

    url: str
    port: int
    log: Path

    def said(self) -> list[str]:
        return self.log.read_text(errors="replace").splitlines()


@contextmanager
def live_hub(*, workers: int = 0, **environment: str) -> Iterator[LiveHub]:
    """Start it on the database that the test is connected to, which must be one with real commits (`committed_db`).

    `workers` is the number of Celery worker processes for verifying and publishing; `environment` adds settings.
    """
    port = free_port(HOST, 0)
    url = f"http://{HOST}:{port}"
    variables = {**os.environ, **database_urls(), "HELIOGRAPH_PUBLIC_URL": url, "HELIOGRAPH_LOG_FORMAT": "json",
                 "HELIOGRAPH_DATABASE_POOL": "yes", **environment}  # fmt: skip
    with ExitStack() as stack, tempfile.NamedTemporaryFile(prefix="heliograph-live-", suffix=".log") as file:
        hub = LiveHub(url, port, Path(file.name))
        commands = [granian_command(HOST, port)]
        if workers:
            celery = ("-m", "celery", "--quiet", "-A", "hub.celery", "worker", "--without-gossip", "--without-mingle")
            commands.append((*celery, "--loglevel", "INFO", "-Q", "verify,default,deliver", "-c", str(workers)))
        for command in commands:
            stack.enter_context(_process(command, variables, hub.log))
        _wait_until_alive(hub)
        yield hub


@contextmanager
def _process(arguments: tuple[str, ...], variables: dict[str, str], log: Path) -> Iterator[None]:
    with log.open("ab") as output:
        process = subprocess.Popen(
            [sys.executable, *arguments], cwd=settings.BASE_DIR, env=variables, stdout=output, stderr=output
        )
        try:
            yield
        finally:
            process.terminate()
            try:
                process.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _wait_until_alive(hub: LiveHub) -> None:
    deadline = time.monotonic() + _READY_SECONDS
    while time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(f"{hub.url}/livez", timeout=2):
                return
        except (OSError, urllib.error.URLError):
            time.sleep(0.05)
    raise AssertionError("The web server did not answer:\n" + "\n".join(hub.said()[-30:]))


def database_urls() -> dict[str, str]:
    urls = {}
    for variable, alias in _LOGINS.items():
        found = connections[alias].settings_dict
        user, password, host = (quote(str(found[part]), safe="") for part in ("USER", "PASSWORD", "HOST"))
        urls[variable] = f"postgresql://{user}:{password}@{host}/{found['NAME']}"
    return urls
