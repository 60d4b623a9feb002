"""The whole hub on one machine as one thing: engines, database, web, workers, timetable, sequencer; starts and stops.

`manage.py up` holds it until Ctrl-C; the demo holds it in-process:

    with RunningHub(port=0, on_line=print) as hub:
        requests_go_to(hub.url)
"""

from __future__ import annotations

import fcntl
import os
import socket
import sys
import urllib.error
import urllib.request
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from signal import SIGINT

from django.conf import settings
from django.core.management import call_command
from django.db import connections
from django.utils import timezone

from hub.embedded import CannotStart
from hub.embedded.postgres import Postgres
from hub.embedded.supervisor import Line, Program, Supervisor, wait_until
from hub.embedded.valkey import Valkey
from hub.staff import accounts

PARTS = ("web", "worker", "deliverer", "beat", "sequencer")
_READY_SECONDS = 60


class RunningHub:
    """Starts on entering, stops on leaving; one hub per home at a time."""

    def __init__(
        self,
        *,
        on_line: Callable[[Line], None],
        host: str = "127.0.0.1",
        port: int = 8000,
        web_processes: int = 1,
        only: tuple[str, ...] = PARTS,
    ) -> None:
        self.host = host
        self.port = port
        self.parts = only
        self._web_processes = web_processes
        self._lock = HomeLock(settings.HOME)
        self._supervisor = Supervisor(on_line)
        self._is_given_up = False
        self.first_account: tuple[str, str] | None = None  # name and one-time password, when this start made it

    @property
    def url(self) -> str:
        """Where the web server listens, as a client on this machine would write it."""
        host = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(self.host, self.host)  # noqa: S104  compared, not bound
        return f"http://{f'[{host}]' if ':' in host and not host.startswith('[') else host}:{self.port}"

    def __enter__(self) -> RunningHub:
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Take the home, then start the engines, prepare the database and start the parts; raises `CannotStart`.

        Returns when the web server answers (or at once, when it is not among the parts).
        """
        if "web" in self.parts:
            self.port = free_port(self.host, self.port)
        self._lock.take()
        self._start_engines()
        if settings.IS_EMBEDDED or self.parts == PARTS:
            call_command("prepare_database", verbosity=0)
            call_command("import_warning_list", verbosity=0)
            self.first_account = accounts.first_account(at=timezone.now())
            _let_go_of_connections()
        self._supervisor.start(*(self._program(part) for part in self.parts))
        if "web" in self.parts and not wait_until(self.is_alive, seconds=_READY_SECONDS, is_given_up=self._gave_up):
            raise CannotStart(
                f"The web server has not answered on {self.url} within {_READY_SECONDS} s: see the lines above."
            )

    def stop(self, *, hurry: Callable[[], bool] = lambda: False) -> None:
        """Stop the parts, then the engines, then let go of the home."""
        self._supervisor.stop(hurry=hurry)
        self._lock.release()

    def give_up(self) -> None:
        """Called from a signal handler while `start` still waits: it then ends early."""
        self._is_given_up = True

    def is_alive(self) -> bool:
        """Whether /livez answers."""
        request = urllib.request.Request(f"{self.url}/livez", headers={"Host": settings.ALLOWED_HOSTS[0]})  # noqa: S310
        try:
            with urllib.request.urlopen(request, timeout=2) as answer:  # noqa: S310  our own http address
                return bool(answer.status == 200)
        except (OSError, urllib.error.URLError):
            return False

    def pids(self) -> dict[str, int | None]:
        """The process id of each running program, the engines included."""
        return self._supervisor.pids()

    def _gave_up(self) -> bool:
        return self._is_given_up

    def _start_engines(self) -> None:
        """PostgreSQL and Valkey, one step each, unless their URLs say that they are elsewhere."""
        if settings.IS_EMBEDDED:
            postgres = Postgres(settings.HOME)
            postgres.prepare()
            postgres.end_orphan()
            self._supervisor.start(
                Program(
                    "postgres",
                    tuple(postgres.command()),
                    account=postgres.account,
                    before_start=postgres.clear_leftovers,
                    stop_signal=SIGINT,
                    grace_seconds=60,
                )
            )
            postgres.wait_until_ready()
            postgres.see_to_roles()
        if not os.environ.get("HELIOGRAPH_BROKER_URL") and not os.environ.get("HELIOGRAPH_BROKER_URL_FILE"):
            valkey = Valkey(settings.HOME)
            valkey.prepare()
            valkey.end_orphan()
            self._supervisor.start(Program("valkey", tuple(valkey.command()), account=valkey.account))
            valkey.wait_until_ready()

    def _program(self, part: str) -> Program:
        celery = ("-m", "celery", "--quiet", "-A", "hub.celery")
        worker = (*celery, "worker", "--without-gossip", "--without-mingle", "--loglevel", "INFO")
        arguments: dict[str, tuple[str, ...]] = {
            "web": (*granian_command(self.host, self.port), "--workers", str(self._web_processes)),
            "worker": (*worker, "-Q", "verify,default", "-c", "2", "-n", "worker@%h"),
            "deliverer": (*worker, "-Q", "deliver", "-c", "1", "-n", "deliverer@%h"),
            "beat": (*celery, "beat", "--pidfile="),
            "sequencer": ("manage.py", "sequence"),
        }
        return Program(part, (sys.executable, *arguments[part]), environment=self._environment())

    def _environment(self) -> dict[str, str]:
        """Ours; the programs print JSON, which is read and shown by whoever holds the hub."""
        given = dict(os.environ)
        given.setdefault("HELIOGRAPH_PUBLIC_URL", self.url)
        return given | {
            "HELIOGRAPH_LOG_FORMAT": "json",
            "PYTHONUNBUFFERED": "1",
            "DJANGO_SETTINGS_MODULE": "hub.settings",
        }


def _let_go_of_connections() -> None:
    """The process that only supervises keeps no place among the database's sessions."""
    connections.close_all()
    close_pool = getattr(connections["default"], "close_pool", None)
    if close_pool is not None and settings.DATABASES["default"]["OPTIONS"].get("pool"):
        close_pool()


def granian_command(host: str, port: int) -> tuple[str, ...]:
    """The web server's command line after `python`; docker's entry point uses the same options."""
    options = ("--interface", "asginl", "--no-ws", "--host", host, "--port", str(port))
    logging = ("--log-config", str(settings.BASE_DIR / "hub" / "granian-logging.json"))
    return ("-m", "granian", *options, *logging, "hub.asgi:application")


def free_port(host: str, port: int) -> int:
    """The port itself if nobody listens there, or a free one for 0; raises `CannotStart` with one sentence."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host.strip("[]"), port))
        except PermissionError:
            raise CannotStart(f"Port {port} on {host} needs more rights than we have: choose one above 1023.") from None
        except OSError as error:
            why = f"Port {port} on {host} cannot be used ({error.strerror}):"
            raise CannotStart(f"{why} stop what listens there, or choose another with --port.") from None
        return int(probe.getsockname()[1])


class HomeLock:
    """One hub per home: an flock, so that it ends with its holder however that dies."""

    def __init__(self, home: Path) -> None:
        self.file = home / "up.lock"
        self._descriptor: int | None = None

    def take(self) -> None:
        """Hold the home, or say who does."""
        self.file.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self.file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(descriptor, 200).decode(errors="replace").strip() or "another process"
            os.close(descriptor)
            why = f"{self.file.parent} is in use by {holder}:"
            raise CannotStart(f"{why} stop that one first, or set HELIOGRAPH_HOME to another folder.") from None
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"process {os.getpid()} since {datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC\n".encode(), 0)
        self._descriptor = descriptor

    def release(self) -> None:
        """Let go; nothing to do when it was not ours."""
        if self._descriptor is not None:
            os.ftruncate(self._descriptor, 0)
            os.close(self._descriptor)
            self._descriptor = None
