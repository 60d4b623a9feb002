"""An indicator's value is nowhere but in the vault's sealed rows: not in the database's files, its log of changes, a
dump, Valkey, our logs, or anything a worker is sent."""

from __future__ import annotations

import logging
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
from django.conf import settings
from django.db import connections
from pytest_django import Settings

from hub.embedded.programs import postgres_programs
from hub.ledger.sequence import drain
from signals.lifecycle import endpoints
from signals.lifecycle.deliver import deliver_due
from signals.lifecycle.expire import expire_due
from signals.models import Attempt
from tests.builders import a_programme
from tests.cluster import postgres, valkey
from tests.companies import Company, a_company, now
from tests.receivers import Receiver, accepts, refuses
from tests.vault.canary import appearances

CANARY = "canary7f3a9d51e0c44b"
VALUES = {
    "email": f"{CANARY}@example.org",
    "url": f"https://bad.example/{CANARY}?{CANARY}",
    "keyword": f"{CANARY} word",
    "username": CANARY,
}


@pytest.fixture
def log_file(tmp_path: Path) -> Iterator[Path]:
    """Everything that our loggers write, as a process's log would hold it."""
    file = tmp_path / "log"
    handler = logging.FileHandler(file)
    root = logging.getLogger()
    handler.setFormatter(root.handlers[0].formatter if root.handlers else None)
    root.addHandler(handler)
    level, root.level = root.level, logging.DEBUG
    yield file
    root.removeHandler(handler)
    root.setLevel(level)
    handler.close()


def _live_through_it(acme: Company, birch: Company, receiver: Receiver) -> None:
    """Everything that may happen to a value happens to this one."""
    lines = [
        acme.sign(
            acme.signal(
                value, type=kind, note=f"seen with {CANARY}", service="chat.example" if kind == "username" else None
            )
        )
        for kind, value in VALUES.items()
    ]
    bad = acme.signal(CANARY, type="md5")  # refused: no hash
    unknown = {**acme.signal(f"https://bad.example/{CANARY}"), CANARY: CANARY}  # refused: a member nobody knows
    forged = bytearray(lines[0])
    forged[-5] ^= 1
    acme.say(*lines, acme.sign(bad), acme.sign(unknown), bytes(forged), CANARY.encode())
    acme.http.post("/api/v1/explain", {"type": "email", "value": VALUES["email"]}, content_type="application/json")
    acme.http.post("/api/v1/explain", {"type": "md5", "value": CANARY}, content_type="application/json")
    assert birch.http.get("/api/v1/programmes/csea/feed").content.count(CANARY.encode()) >= len(VALUES)
    deliver_due(clock=now)  # the new address repeats its challenge
    receiver.behave(refuses(500, body=b"I echo: " + CANARY.encode()))
    deliver_due(clock=now)
    assert CANARY.encode() in receiver.received[-1].body
    receiver.behave(accepts())
    acme.say(acme.withdrawal(lines[0]))
    expire_due(at=now())
    drain()


def test_the_value_is_in_no_file_of_the_database_no_dump_no_broker_and_no_log(
    committed_db: None, tmp_path: Path, log_file: Path, settings: Settings
) -> None:
    settings.MIRROR_DIR = tmp_path / "mirror"
    programme = a_programme()
    acme, birch = a_company("acme-social", programme), a_company("birch-chat", programme)
    with Receiver() as receiver:
        from partners import public

        member = public.membership(birch.partner.pk, "csea", at=now())
        assert member is not None
        endpoints.add_endpoint(
            member, url=receiver.url, filter={}, batch_size=100, actor="partner:birch-chat", at=now()
        )
        _live_through_it(acme, birch, receiver)
    assert Attempt.objects.filter(sealed_excerpt__isnull=False).exists()

    found = _in_the_database_and_its_dump(tmp_path) + _in_valkey()
    found += appearances(CANARY.encode(), log_file)
    found += appearances(CANARY.encode(), tmp_path / "mirror")

    assert found == []


def test_the_search_would_find_it(tmp_path: Path) -> None:
    with postgres.bootstrap_connection() as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS canary_cage (value text)")
        connection.execute("INSERT INTO canary_cage VALUES (%s)", [f"caught-{CANARY}"])
        connection.execute("CHECKPOINT")
        try:
            assert appearances(f"caught-{CANARY}".encode(), postgres.data) != []
        finally:
            connection.execute("DROP TABLE canary_cage")


def _in_the_database_and_its_dump(tmp_path: Path) -> list[str]:
    name = str(connections["default"].settings_dict["NAME"])
    with postgres.bootstrap_connection() as connection:
        connection.execute("CHECKPOINT")
    dump = tmp_path / "dump.sql"
    password = (settings.HOME / "secrets" / "postgres-bootstrap").read_text(encoding="ascii")
    command: list[str | Path] = [
        postgres_programs(postgres.place) / "pg_dump",
        "-h",
        postgres.run,
        "-U",
        "heliograph_bootstrap",
        "-d",
        name,
        "-f",
        dump,
    ]
    subprocess.run(command, check=True, env={**os.environ, "PGPASSWORD": password})
    assert dump.stat().st_size > 50_000
    return appearances(CANARY.encode(), dump) + appearances(CANARY.encode(), postgres.data)


def _in_valkey() -> list[str]:
    with redis.Redis(unix_socket_path=str(valkey.socket)) as client:
        keys = client.keys("*")
        assert keys, "the wake-ups were sent"
        return [line for key in keys for line in appearances(CANARY.encode(), key + b" " + (client.dump(key) or b""))]
