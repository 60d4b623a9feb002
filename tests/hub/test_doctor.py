"""The doctor finds what is wrong and says what to do."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from django.core.management import call_command
from django.db import connections
from pytest_django import Settings

from hub import checkup, embedded, health
from tests import cluster


def sentences(findings: Iterator[checkup.Finding], verdict: str) -> list[str]:
    return [finding.sentence for finding in findings if finding.verdict == verdict]


@contextmanager
def connected_as(role: str) -> Iterator[None]:
    connection = connections["default"]
    before = dict(connection.settings_dict)
    connection.close()
    connection.settings_dict |= {
        "USER": f"heliograph_{role}",
        "PASSWORD": embedded.password(cluster.postgres.home, role),
    }
    try:
        yield
    finally:
        connection.close()
        connection.settings_dict.update(before)


def test_a_sound_database_and_broker_are_ok(committed_db: None) -> None:
    for check in (
        checkup.database,
        checkup.rights,
        checkup.other_roles,
        checkup.signer,
        checkup.clock,
        checkup.migrations,
        checkup.broker,
    ):
        assert {finding.verdict for finding in check()} == {"ok"}, check


def test_a_hub_that_runs_as_the_owner_is_a_failure(committed_db: None) -> None:
    with connected_as("migrator"):
        assert any("owns the hub's tables" in sentence for sentence in sentences(checkup.database(), "failure"))
    with connected_as("bootstrap"):
        assert any("superuser" in sentence for sentence in sentences(checkup.database(), "failure"))


def test_a_hub_that_runs_as_the_sequencer_is_a_failure(committed_db: None) -> None:
    with connected_as("ledger"):
        assert any("may change the ledger's leaves" in each for each in sentences(checkup.database(), "failure"))


def test_nobody_at_the_queues_is_a_failure_and_the_command_exits_with_it(committed_db: None) -> None:
    out = io.StringIO()
    with pytest.raises(SystemExit) as ended:
        call_command("doctor", "--json", stdout=out)
    assert ended.value.code == 1
    findings = json.loads(out.getvalue())
    workers = next(finding for finding in findings if finding["subject"] == "workers")
    assert workers["verdict"] == "failure"
    assert "manage.py up" in workers["advice"]
    assert all(finding["advice"] for finding in findings if finding["verdict"] != "ok")


def test_a_broker_that_may_forget_is_a_failure() -> None:
    with health.broker() as client:
        client.config_set("maxmemory-policy", "allkeys-lru")
        try:
            assert sentences(checkup.broker(), "failure") == [
                "Its maxmemory-policy is allkeys-lru: wake-ups can vanish."
            ]
        finally:
            client.config_set("maxmemory-policy", "noeviction")


def test_keys_that_others_may_read_are_a_failure(tmp_path: Path, settings: Settings) -> None:
    settings.KEYS_DIR = settings.HOME = tmp_path
    (tmp_path / "a.key").touch(0o644)
    tmp_path.chmod(0o700)
    assert any("open to other users" in sentence for sentence in sentences(checkup.keys(), "failure"))


def test_settings_that_are_unsafe_in_production_are_failures(settings: Settings) -> None:
    settings.IS_PRODUCTION = True
    settings.HUB_ID = "heliograph.localhost"
    settings.PUBLIC_URL = "http://hub.example"
    settings.SECRET_KEY = "secret"
    settings.ALLOWED_HOSTS = ["*"]
    settings.EGRESS_ALLOWED_CIDRS = ["0.0.0.0/0"]
    settings.DEBUG = True
    settings.SECOND_FACTOR = "offered"
    assert len(sentences(checkup.configuration(), "failure")) == 8


@pytest.mark.story
def test_a_hub_with_nothing_running_is_told_so_within_seconds(tmp_path: Path) -> None:
    """As a process of its own: a deployment's first morning."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("HELIOGRAPH_")}
    done = subprocess.run(
        [sys.executable, "manage.py", "doctor", "--json"],
        cwd=Path(__file__).parents[2],
        env=environment | {"HELIOGRAPH_HOME": str(tmp_path / "var")},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    found = {finding["subject"]: finding["verdict"] for finding in json.loads(done.stdout)}
    assert (done.returncode, found["database"], found["broker"]) == (1, "failure", "failure")
    assert "workers" not in found
