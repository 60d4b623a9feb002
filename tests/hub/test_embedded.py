"""The embedded servers start wherever the home lies, survive what a kill leaves behind, and die with their parent."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from hub import embedded
from hub.embedded import CannotStart
from hub.embedded.postgres import Postgres
from hub.embedded.supervisor import wait_until
from hub.embedded.valkey import Valkey
from tests import cluster

HOLD = """
import sys, time
from pathlib import Path
from hub.embedded.postgres import Postgres
from hub.embedded.valkey import Valkey
postgres, valkey = Postgres(Path(sys.argv[1]), durable=False), Valkey(Path(sys.argv[1]))
postgres.start(); valkey.start()
print(postgres.pid(), valkey.process.pid, flush=True)
time.sleep(60)
"""


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    """A home of the test's own; as root nobody else may enter it, so the data goes elsewhere."""
    home = tmp_path / "var"
    yield home
    for folder in (embedded.place(home), embedded.run_folder(home)):
        shutil.rmtree(folder, ignore_errors=True)


def is_gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"
    except FileNotFoundError:
        return True


@pytest.mark.races
def test_killing_the_parent_ends_the_servers_and_the_next_start_recovers(home: Path) -> None:
    command = [sys.executable, "-c", HOLD, str(home)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2]) as holder:
        assert holder.stdout is not None
        pids = [int(word) for word in holder.stdout.readline().split()]
        assert len(pids) == 2
        holder.kill()
    assert wait_until(lambda: all(is_gone(pid) for pid in pids), seconds=20)
    again = Postgres(home, durable=False)
    again.start()
    try:
        assert again.pid() not in {None, pids[0]}
        with again.bootstrap_connection() as connection:
            roles = {row[0] for row in connection.execute("SELECT rolname FROM pg_roles WHERE rolname LIKE 'helio%'")}
        assert {"heliograph_app", "heliograph_ledger", "heliograph_migrator", "heliograph_owner"} <= roles
    finally:
        again.stop(immediate=True)


def test_a_second_start_under_the_same_home_attaches_and_does_not_stop_the_first() -> None:
    second = Postgres(cluster.postgres.home)
    second.start()
    second.stop()
    valkey = Valkey(cluster.postgres.home)
    valkey.start()
    valkey.stop()
    assert second.pid() == cluster.postgres.pid()
    assert valkey.answers()


def test_a_process_id_that_now_belongs_to_somebody_else_is_no_hindrance(home: Path) -> None:
    postgres = Postgres(home)
    postgres.data.mkdir(parents=True)
    stale = postgres.data / "postmaster.pid"
    stale.write_text(f"{os.getpid()}\n{postgres.data}\n")
    assert postgres.pid() is None
    postgres.clear_leftovers()
    assert not stale.exists()


def test_a_half_made_cluster_is_made_anew(home: Path) -> None:
    postgres = Postgres(home, durable=False)
    half = postgres.data.with_name("postgres.new")
    half.mkdir(parents=True)
    (half / "PG_VERSION").write_text("18\n")
    if postgres.account is not None:
        os.chown(half, *postgres.account)
    postgres.prepare()
    assert (postgres.data / "global" / "pg_control").exists()
    assert not half.exists()


def test_data_without_its_secrets_is_explained(home: Path) -> None:
    postgres = Postgres(home)
    postgres.data.mkdir(parents=True)
    (postgres.data / "PG_VERSION").write_text("18\n")
    with pytest.raises(CannotStart, match="put that folder back, or remove"):
        postgres.prepare()


def test_sockets_and_data_are_private_and_the_server_is_not_root() -> None:
    postgres = cluster.postgres
    for folder in (postgres.run, postgres.data):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    pid = postgres.pid()
    assert pid is not None
    assert Path(f"/proc/{pid}").stat().st_uid != 0


def test_a_home_too_deep_for_a_socket_gets_a_short_socket_folder() -> None:
    home = Path("/tmp") / ("deep/" * 30)
    assert len(str(embedded.run_folder(home))) < 60
    assert embedded.place(home) == home


@pytest.mark.skipif(os.geteuid() != 0, reason="only root lends its servers another user")
def test_roots_servers_move_out_of_a_home_that_their_user_cannot_enter(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    assert embedded.place(closed / "var").is_relative_to("/var/lib/heliograph")


def test_a_folder_of_somebody_else_is_refused(tmp_path: Path, home: Path) -> None:
    run = embedded.run_folder(home)
    run.parent.mkdir(parents=True, exist_ok=True)
    run.symlink_to(tmp_path)
    with pytest.raises(CannotStart, match="belongs to somebody else"):
        Postgres(home).prepare()
    run.unlink()


@pytest.mark.races
def test_stopping_asks_postgresql_for_a_fast_shutdown(home: Path) -> None:
    postgres = Postgres(home, durable=False)
    postgres.start()
    with postgres.bootstrap_connection():
        postgres.stop()
    assert postgres.process is not None
    assert postgres.process.returncode == 0
