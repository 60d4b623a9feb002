"""Exports at the desk: asked for by those who may, a leaf for those who may not, downloaded in pieces."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from heliograph_client.ledger_verifier import verify_bundle
from pytest_django import Settings

from hub.ledger.mirror import Mirror
from hub.ledger.sequence import drain
from hub.staff import approvals
from hub.staff.models import Approval
from hub.staff.roles import Role
from signals.lifecycle import exports
from signals.models import Export, ExportState
from tests.admin.scene import at_the_desk
from tests.builders import a_partner, a_programme
from tests.ledger.conftest import leaves, ledger  # noqa: F401  a fixture
from tests.ledger.export.bundles import OwnLog, grow, size_of_ledger

LIST = "/admin/signals/export/"
FORM = {"kind": "filtered", "partner": "acme-social", "reason": "a court asked"}


@pytest.fixture
def log(ledger: Mirror, settings: Settings, tmp_path: Path) -> Iterator[OwnLog]:  # noqa: F811
    settings.EXPORTS_DIR = tmp_path / "exports"
    if size_of_ledger() == 0:
        a_partner("acme-social")
        a_programme("csea")
        grow(40)
    yield OwnLog(sizes=[size_of_ledger()])
    Export.objects.all().delete()


def ask(client: Client, verb: str = "ask", **members: str) -> Any:
    return client.post(f"{LIST}do/{verb}/", FORM | members, follow=True)


def actions(since: int) -> list[str]:
    drain()
    return [leaf.action for leaf in leaves(since)]


def test_compliance_asks_watches_and_downloads(log: OwnLog, tmp_path: Path) -> None:
    client = at_the_desk(Role.COMPLIANCE)
    before = size_of_ledger()
    assert b"is being made" in ask(client, actions="statement.refused").content
    export = Export.objects.get()
    assert export.filters["partner"] == "acme-social"
    assert export.filters["actions"] == ["statement.refused"]
    Export.objects.update(step="entries", step_done=20, step_total=40)
    for address in (LIST, f"{LIST}{export.id}/change/"):
        page = client.get(address).content
        assert b'<progress max="40" value="20"' in page
        assert b"20 of 40" in page
    assert b'http-equiv="refresh"' in client.get(f"{LIST}{export.id}/change/").content
    assert exports.make_next(log.log(), clock=timezone.now)
    assert b"Download the bundle" in client.get(f"{LIST}{export.id}/change/").content
    address = reverse("admin:signals_export_download", args=[export.id])
    assert client.get(address).status_code == 405
    answer: Any = client.post(address)
    assert "no-store" in answer.headers["Cache-Control"]
    assert answer.headers["Content-Disposition"].startswith("attachment")
    (tmp_path / "got.zip").write_bytes(async_to_sync(whole)(answer.streaming_content))
    answer.close()
    assert verify_bundle(tmp_path / "got.zip", vkeys=log.vkeys()).is_good
    assert actions(before) == ["export.asked", "export.made", "export.downloaded"]


async def whole(pieces: AsyncIterator[bytes]) -> bytes:
    return b"".join([piece async for piece in pieces])


@pytest.mark.parametrize("role", [Role.ANALYST, Role.SENIOR_ANALYST, Role.OPERATOR])
def test_the_wrong_role_is_told_403_and_leaves_a_leaf(log: OwnLog, role: Role) -> None:
    client = at_the_desk(role)
    before = size_of_ledger()
    assert client.get(LIST).status_code == 403
    assert client.get(f"{LIST}do/ask/").status_code == 403
    assert ask(client).status_code == 403
    assert client.post(reverse("admin:signals_export_download", args=[Export().id])).status_code == 403
    assert not Export.objects.exists()
    assert actions(before) == ["export.denied", "export.denied"]


def test_opening_values_waits_for_a_second_person(log: OwnLog) -> None:
    compliance = at_the_desk(Role.COMPLIANCE)
    assert b"waits for a second person" in ask(compliance, "open").content
    assert not Export.objects.exists()
    approval = Approval.objects.get()
    assert dict(approvals.description(approval))["Partner"] == "acme-social"
    asked_by = User.objects.get(username__contains="compliance")
    with pytest.raises(approvals.OwnProposal):
        approvals.approve(approval.pk, by=asked_by, at=timezone.now())
    at_the_desk(Role.AUDITOR)
    auditor = User.objects.get(username__contains="auditor")
    User.objects.filter(pk=auditor.pk).update(date_joined=asked_by.date_joined)
    approvals.approve(approval.pk, by=User.objects.get(pk=auditor.pk), at=timezone.now())
    export = Export.objects.get()
    assert (export.asked_by, export.approved_by) == (f"staff:{asked_by.pk}", f"staff:{auditor.pk}")
    assert export.opens_values
    assert exports.make_next(log.log(), clock=timezone.now)
    export.refresh_from_db()
    assert export.state == ExportState.DONE, export.failure
    address = reverse("admin:signals_export_download", args=[export.id])
    assert at_the_desk(Role.AUDITOR).post(address).status_code == 403, "an auditor sees no values"
    Approval.objects.all().delete()


def test_a_form_that_makes_no_sense_says_so(log: OwnLog) -> None:
    client = at_the_desk(Role.COMPLIANCE)
    page = ask(client, since="2026-11-03T12:00", until="2026-11-03T12:00")
    assert b"ends before it begins" in page.content
    assert b"This field is required" in ask(client, reason="").content
    assert not Export.objects.exists()


def test_an_unfinished_export_is_not_handed_out(log: OwnLog) -> None:
    client = at_the_desk(Role.COMPLIANCE)
    ask(client)
    export = Export.objects.get()
    answer = client.post(reverse("admin:signals_export_download", args=[export.id]), follow=True)
    assert b"no finished file" in answer.content
    assert client.post(reverse("admin:signals_export_download", args=[Export().id])).status_code == 404
    with connection.cursor() as cursor:
        cursor.execute("SELECT state FROM signals_export")
        assert cursor.fetchone() == ("pending",)
