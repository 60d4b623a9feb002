"""`manage.py up`: one command runs everything, one Ctrl-C ends it, and what stands in its way is one sentence."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from hub import embedded
from hub.embedded.postgres import Postgres
from hub.embedded.supervisor import wait_until
from hub.running import HomeLock, free_port

HOUSE = Path(__file__).parents[2]


def environment(home: Path) -> dict[str, str]:
    ours = {key: value for key, value in os.environ.items() if not key.startswith("HELIOGRAPH_")}
    return ours | {"HELIOGRAPH_HOME": str(home)}


def up(home: Path, *arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "manage.py", "up", *arguments]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, cwd=HOUSE, env=environment(home), stdout=pipe, stderr=subprocess.STDOUT, text=True)


def processes_of(home: Path) -> list[int]:
    """Every process that knows this home from its environment or its command line; servers of another user included."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                words = (entry / "environ").read_bytes() + (entry / "cmdline").read_bytes()
            except (FileNotFoundError, PermissionError, ProcessLookupError):
                continue
            if os.fsencode(home) in words and int(entry.name) != os.getpid():
                found.append(int(entry.name))
    return found


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    home = tmp_path / "var"
    yield home
    for folder in (embedded.place(home), embedded.run_folder(home)):
        shutil.rmtree(folder, ignore_errors=True)


def is_ready(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/readyz", timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


@pytest.mark.story
def test_up_runs_the_hub_survives_a_killed_database_and_leaves_no_process(home: Path) -> None:
    with up(home, "--port", "0", "--only", "web", "sequencer") as running:
        assert running.stdout is not None
        said = []
        for line in running.stdout:
            said.append(line)
            if "one-time password" in line:
                break
        text = "".join(said)
        address = re.search(r"http://127\.0\.0\.1:\d+", text[text.index("Heliograph runs on") :])
        assert address is not None, text
        url = address.group()
        assert is_ready(url)

        command = [sys.executable, "manage.py", "up"]
        second = subprocess.run(command, cwd=HOUSE, env=environment(home), capture_output=True, text=True, check=False)
        assert second.returncode == 1
        assert f"is in use by process {running.pid} since " in second.stderr
        assert "Traceback" not in second.stderr

        postgres = Postgres(home)
        killed = postgres.pid()
        assert killed is not None
        os.kill(killed, signal.SIGKILL)
        assert wait_until(lambda: postgres.pid() not in {None, killed} and is_ready(url), seconds=30)

        running.send_signal(signal.SIGINT)
        rest = running.stdout.read()
        assert running.wait(30) == 0, rest
    assert "password" not in rest
    assert wait_until(lambda: not processes_of(home), seconds=5)


@pytest.mark.story
def test_a_taken_port_is_one_sentence(home: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, up(home, "--port", str(taken.getsockname()[1])) as refused:
        said, _ = refused.communicate(timeout=30)
    assert refused.returncode == 1
    assert re.fullmatch(
        r"CommandError: Port \d+ on 127\.0\.0\.1 cannot be used \(Address already in use\): .*--port\.\n", said
    )


def test_port_zero_is_a_free_one() -> None:
    assert free_port("127.0.0.1", 0) > 1023


def test_a_lock_ends_with_its_holder(home: Path) -> None:
    first = HomeLock(home)
    first.take()
    assert str(os.getpid()) in first.file.read_text()
    first.release()
    second = HomeLock(home)
    second.take()
    second.release()
