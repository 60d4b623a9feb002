"""A backup is put back: nothing is served until it has been told what it forgot, and then everybody walks again."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from django.core.management import call_command
from django.db import connections
from pytest_django import Settings

from hub.ledger import serving
from hub.ledger.sequence import drain
from partners.lifecycle.suspend_membership import suspend_membership
from partners.models import Membership, SigningKey
from signals import tasks
from signals.lifecycle.quarantine import revoke_compromised_key, settle_fallen_keys
from signals.models import Signal, Submission
from tests.builders import a_programme
from tests.cluster import postgres
from tests.companies import a_company, ids, now, settle


@pytest.fixture
def backup(committed_db: None) -> Iterator[str]:
    yield f"heliograph_backup_{uuid.uuid4().hex[:8]}"
    serving.forget()


def _back_up(name: str) -> None:
    source = connections["default"].settings_dict["NAME"]
    for alias in ("default", "owner", "ledger"):
        connections[alias].close()
    with postgres.bootstrap_connection() as connection:
        connection.execute(f'CREATE DATABASE "{name}" TEMPLATE "{source}" OWNER heliograph_owner STRATEGY FILE_COPY')


def _put_back(name: str) -> None:
    for alias in ("default", "owner", "ledger"):
        connections[alias].close()
        connections[alias].settings_dict["NAME"] = name
    serving.forget()


def test_a_restored_backup_serves_nothing_until_it_has_been_told_what_it_forgot(
    backup: str, settings: Settings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings.MIRROR_DIR = tmp_path / "mirror"
    programme = a_programme()
    acme, birch = a_company("acme-social", programme), a_company("birch-chat", programme)
    cedar = a_company("cedar-video", programme)
    withdrawn, kept = acme.sign(acme.signal()), acme.sign(acme.signal())
    fallen = cedar.sign(cedar.signal())
    acme.say(withdrawn, kept)
    cedar.say(fallen)
    page = birch.feed()
    assert len(page["items"]) == 3
    drain()
    _back_up(backup)
    original = str(connections["default"].settings_dict["NAME"])

    acme.say(acme.withdrawal(withdrawn))
    revoke_compromised_key(cedar.key.kid, partner_id=cedar.partner.pk, compromised_at=None, actor="staff:1", at=now())
    settle_fallen_keys(at=now())
    suspend_membership("cedar-video", "csea", actor="staff:1", at=now())
    drain()

    _put_back(backup)
    try:
        refused = birch.http.get("/api/v1/programmes/csea/feed")
        assert (refused.status_code, refused.json()["code"]) == (503, "unavailable")
        assert birch.http.get("/livez").status_code == 200
        submission = acme.submit(acme.sign(acme.signal()))
        tasks.verify()
        assert Submission.objects.get(id=submission.id).state == "pending"

        call_command("restored", "--yes")

        assert "1 of signal.withdrawn" in capsys.readouterr().out
        serving.forget()
        while settle_fallen_keys(at=now() + timedelta(seconds=1)):
            pass
        assert birch.feed(after=page["next"])["code"] == "cursor-expired"
        again = birch.feed()
        assert again["epoch"] == page["epoch"] + 1 and again["listed"] is True
        assert [item["jws"] for item in again["items"]] == [kept.decode()]
        assert Membership.objects.get(partner=cedar.partner).state == "suspended"
        assert SigningKey.objects.get(kid=cedar.key.kid).state == "revoked"
        assert set(ids(again["items"])) == {str(row.id) for row in Signal.objects.filter(state="published")}
        drain()
        settle()
        assert Submission.objects.get(id=submission.id).state == "done"
    finally:
        _put_back(original)
        with postgres.bootstrap_connection() as connection:
            connection.execute(f'DROP DATABASE IF EXISTS "{backup}" WITH (FORCE)')
