"""A PostgreSQL and a Valkey for each process that runs tests, and the environment that Django reads settings from."""

from __future__ import annotations

import atexit
import gc
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

import pytest

WORKERS = 2  # of the whole suite; more would share the cores with the servers and the processes that tests start

# Forty processes start in a whole run: where the environment forbids to keep bytecode, each would compile everything.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False


def _make_home() -> Path:
    """A folder for this run; the workers of a run have theirs inside it, so that whoever began it clears all away."""
    worker = os.environ.get("PYTEST_XDIST_WORKER")
    if worker:
        home = Path(os.environ["HELIOGRAPH_HOME"], worker)
        home.mkdir()
    else:
        home = Path(tempfile.mkdtemp(prefix="heliograph-test-"))
        atexit.register(shutil.rmtree, home, ignore_errors=True)
    home.chmod(0o711)
    (home / "static").mkdir()  # WhiteNoise warns where it is missing
    return home


_home = _make_home()
os.environ |= {
    "HELIOGRAPH_HOME": str(_home),
    "HELIOGRAPH_DATABASE_POOL": "no",
    "HELIOGRAPH_ENV": "development",
    "HELIOGRAPH_HUB_ID": "hub.test",
    "HELIOGRAPH_PUBLIC_URL": "http://testserver",
    "HELIOGRAPH_ALLOWED_HOSTS": "testserver,localhost,127.0.0.1",
    "HELIOGRAPH_EGRESS_ALLOWED_CIDRS": "127.0.0.0/8,::1/128",
    # Tests ask as fast as they can, and companies of many databases share one Valkey: tests of limits set their own.
    "HELIOGRAPH_LIMIT_SUBMIT": "10000/500000",
    "HELIOGRAPH_LIMIT_STATEMENTS": "1000000/50000000",
    "HELIOGRAPH_LIMIT_BYTES": f"{10**9}/{10**11}",
    "HELIOGRAPH_LIMIT_READ": "10000/500000",
    "HELIOGRAPH_LIMIT_MANAGE": "10000/500000",
    "HELIOGRAPH_LIMIT_UNAUTHORIZED": "10000/500000",
}
for engine in ("DATABASE", "OWNER_DATABASE", "LEDGER_DATABASE", "BROKER"):
    os.environ.pop(f"HELIOGRAPH_{engine}_URL", None)

from hub.embedded.postgres import Postgres  # noqa: E402  the environment above must stand first
from hub.embedded.valkey import Valkey  # noqa: E402

postgres = Postgres(_home, durable=False)
valkey = Valkey(_home)


@pytest.hookimpl(optionalhook=True, tryfirst=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """Two workers for a whole suite or stage; one file or folder, named on the command line, needs none."""
    named = config.args_source is pytest.Config.ArgsSource.ARGS
    return 0 if named else WORKERS


@pytest.hookimpl(tryfirst=True)
def pytest_sessionstart(session: pytest.Session) -> None:
    """Start the servers, unless this process only hands tests out to workers."""
    signal.signal(signal.SIGTERM, _interrupt)  # of a stage that took too long: what its tests started has to end too
    option = session.config.option
    if hasattr(session.config, "workerinput") or not getattr(option, "numprocesses", 0):
        atexit.register(_stop)
        postgres.start()
        valkey.start()


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Iterator[None]:
    """Collect tests without collecting garbage; what they are made of stays to the end, and is never looked through."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()
        gc.freeze()


def pytest_unconfigure() -> None:
    """Stop them before the process goes: a worker's may end without the functions that wait for its exit."""
    _stop()


def _interrupt(_number: int, _frame: object) -> NoReturn:
    raise KeyboardInterrupt


def _stop() -> None:
    valkey.stop()
    postgres.stop(immediate=True)
