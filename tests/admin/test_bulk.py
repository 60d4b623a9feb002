"""Bulk runs at the desk: from the form to the dry run, applied, watched, undone; masked, and nothing by a link."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from pytest_django import Settings

from hub.staff import approvals
from hub.staff.models import Approval
from hub.staff.roles import Role
from signals.bulk import working
from signals.models import BulkItem, BulkRun, Signal
from tests.admin.scene import NOTE, VALUE, Scene, a_person, at_the_desk, hold_many
from tests.admin.test_desk import queries
from tests.companies import now

pytestmark = pytest.mark.django_db
LIST = "/admin/signals/bulkrun/"
FORM = {"decision": "refuse:flood", "policy": "Handbook 4.2", "programme": "csea", "held": "probation"}


def page_of(run: BulkRun) -> str:
    return reverse("admin:signals_bulkrun_change", args=[run.pk])


def do(client: Client, run: BulkRun, verb: str, **given: str) -> str:
    answer = client.post(f"{LIST}{run.pk}/do/{verb}/", given, follow=True)
    assert answer.status_code == 200
    return answer.content.decode()


def drafted(client: Client, **given: str) -> BulkRun:
    answer: Any = client.post(f"{LIST}do/draft/", FORM | given)
    run = BulkRun.objects.latest("drafted_at")
    assert answer.headers["Location"] == page_of(run)
    return run


def work() -> None:
    while working.work_next(clock=now):
        pass


def test_a_run_from_the_form_to_its_undoing(scene: Scene) -> None:
    client = at_the_desk(Role.ANALYST)
    hold_many(scene.cedar, 2)
    assert "Make a dry run" in client.get(LIST).content.decode()
    run = drafted(client)
    text = client.get(page_of(run)).content.decode()
    assert "A dry run: nothing has happened. 3 signals would change, 0 are left out." in text
    assert "u••• at chat.example" in text, "samples, masked"
    assert VALUE not in text
    assert NOTE not in text
    assert run.root in text
    assert "Apply it" in text
    assert client.get(f"{LIST}{run.pk}/do/apply/").status_code == 200
    assert BulkRun.objects.get().state == "draft", "a look is no deed"
    text = do(client, run, "apply")
    assert "3 signals are being decided." in text
    assert '<progress max="3" value="0"' in text
    assert 'http-equiv="refresh"' in text
    assert "Stop it" in text
    work()
    text = client.get(page_of(run)).content.decode()
    assert "3 decided, 0 left out, of 3" in text
    assert 'http-equiv="refresh"' not in text
    assert '<progress max="3" value="3"' in client.get(LIST).content.decode()
    assert "It is being undone" in do(client, run, "undo")
    work()
    assert "3 undone, 0 could not be, of 3" in client.get(page_of(run)).content.decode()
    assert Signal.objects.filter(state="held").count() == 3


def test_a_run_of_many_is_proposed_with_a_reason(scene: Scene, settings: Settings) -> None:
    settings.BULK_ALONE = 0
    otto, client = a_person("otto", Role.ANALYST), at_the_desk(Role.ANALYST)
    run = drafted(client)
    text = client.get(page_of(run)).content.decode()
    assert "It takes a second person." in text
    assert "do/apply/" not in text
    assert "Propose it to a second person" in do(client, run, "apply"), "by hand it is refused"
    assert "waits for a second person" in do(client, run, "propose", why="A burst")
    approvals.approve(Approval.objects.get().pk, by=otto, at=now())
    work()
    assert "1 decided" in client.get(page_of(run)).content.decode()


def test_what_was_left_out_is_listed_page_by_page(scene: Scene) -> None:
    client = at_the_desk(Role.AUDITOR)
    run = drafted(at_the_desk(Role.ANALYST))
    BulkItem.objects.bulk_create(
        BulkItem(
            run=run, number=number, signal_id=f"00000000-0000-4000-8000-{number:012}", state="skipped", why="paused"
        )
        for number in range(2, 132)
    )
    text = client.get(page_of(run)).content.decode()
    assert text.count("left out: paused") == 100
    assert '<a href="?after=101">' in text
    assert client.get(f"{page_of(run)}?after=101").content.decode().count("left out: paused") == 30
    assert client.get(f"{page_of(run)}?after=x").content.decode().count("left out: paused") == 100
    assert "Apply it" not in text, "an auditor looks"
    BulkRun.objects.update(state="applying", started_at=now(), approved_by="staff:7")
    comes_anew = 'content="3; url=?by-itself{}"'
    assert comes_anew.format("") in client.get(page_of(run)).content.decode()
    assert comes_anew.format("&amp;after=101") in client.get(f"{page_of(run)}?after=101").content.decode(), "there"


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"decision": ""}, "This field is required"),
        ({"decision": "refuse:sound"}, "Select a valid choice"),
        ({"policy": "two\nlines"}, "Name the policy"),
        ({"partner": "birch-chat"}, "finds no signal"),
        ({"key": "no key"}, "Enter a valid value"),
        ({"programme": "other"}, "Select a valid choice"),
    ],
)
def test_what_is_wrong_is_said_on_the_form(scene: Scene, given: dict[str, str], said: str) -> None:
    answer = at_the_desk(Role.ANALYST).post(f"{LIST}do/draft/", FORM | given)
    assert said in answer.content.decode()
    assert not BulkRun.objects.exists()


def test_the_page_of_a_run_asks_as_often_for_many_as_for_one(scene: Scene) -> None:
    client = at_the_desk(Role.ANALYST)
    one = queries(client, page_of(drafted(client)))
    hold_many(scene.cedar, 30)
    assert queries(client, page_of(drafted(client))) == one
