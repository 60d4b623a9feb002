"""A backup is put back: nothing is served until it has been told what it forgot, and then everybody walks again."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from django.core.management import call_command
from pytest_django import Settings

from hub.environment import tile_storage
from hub.ledger import serving
from hub.ledger.sequence import drain
from partners.lifecycle.suspend_membership import suspend_membership
from partners.models import Membership, SigningKey
from signals import tasks
from signals.lifecycle.quarantine import revoke_compromised_key, settle_fallen_keys
from signals.models import Signal, Submission
from tests.builders import a_programme
from tests.companies import a_company, ids, now, settle
from tests.journeys.backups import back_up, put_back


def test_a_restored_backup_serves_nothing_until_it_has_been_told_what_it_forgot(
    committed_db: None, settings: Settings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings.MIRROR_DIR = tmp_path / "mirror"
    settings.STORAGES = settings.STORAGES | {"ledger": tile_storage("NOWHERE", tmp_path / "tiles")}
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
    backup = back_up()

    acme.say(acme.withdrawal(withdrawn))
    revoke_compromised_key(cedar.key.kid, partner_id=cedar.partner.pk, compromised_at=None, actor="staff:1", at=now())
    settle_fallen_keys(at=now())
    suspend_membership("cedar-video", "csea", actor="staff:1", at=now())
    drain()

    with put_back(backup):
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
        assert again["epoch"] == page["epoch"] + 1
        assert again["listed"] is True
        assert [item["jws"] for item in again["items"]] == [kept.decode()]
        assert Membership.objects.get(partner=cedar.partner).state == "suspended"
        assert SigningKey.objects.get(kid=cedar.key.kid).state == "revoked"
        assert set(ids(again["items"])) == {str(row.id) for row in Signal.objects.filter(state="published")}
        drain()
        settle()
        assert Submission.objects.get(id=submission.id).state == "done"
