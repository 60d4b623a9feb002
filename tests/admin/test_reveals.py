"""Many values at once: two people, one look, a leaf for each value, and nothing of them anywhere else."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.contrib.auth.models import User
from django.db import IntegrityError, transaction
from django.test import Client

from hub.staff import approvals
from hub.staff.approvals import ReasonMissing
from hub.staff.models import Approval
from hub.staff.roles import Capability, Role, capabilities
from signals.core.refusals import CannotMove
from signals.lifecycle import reveal_many
from signals.models import RevealMany, Signal, Statement
from tests.admin.scene import VALUE, Scene, a_person, at_the_desk, hold_many
from tests.companies import now
from tests.partners.conftest import LedgerRefuses, Recorded, ledger_refuses, recorded

__all__ = ["ledger_refuses", "recorded"]
pytestmark = pytest.mark.django_db
SIGNALS, LIST = "/admin/signals/signal/", "/admin/signals/revealmany/"


@pytest.fixture
def otto(db: None) -> User:
    """The second person, here before anything is proposed."""
    return a_person("otto", Role.SENIOR_ANALYST)


def tick(client: Client, signals: list[Signal], **more: str) -> Any:
    ticked = {"action": "ask_to_reveal", "_selected_action": [str(signal.pk) for signal in signals]}
    return client.post(SIGNALS, ticked | more)


def look(client: Client, asked: RevealMany) -> str:
    answer = client.post(f"{LIST}{asked.pk}/values/")
    assert answer.status_code == 200
    assert "no-store" in answer.headers["Cache-Control"]
    return answer.content.decode()


def test_ticked_asked_for_agreed_to_and_seen_once(scene: Scene, otto: User, recorded: Recorded) -> None:
    client, chosen = at_the_desk(Role.ANALYST), [scene.held, scene.published]
    text = tick(client, chosen).content.decode()
    assert "the values of 2 signals at once" in text
    assert not RevealMany.objects.exists()
    assert "This field is required" in tick(client, chosen, ask="1", reason=" ").content.decode()
    answer = tick(client, chosen, ask="1", reason="One ring")
    asked = RevealMany.objects.get()
    assert answer.headers["Location"] == f"{LIST}{asked.pk}/change/"
    page = client.get(f"{LIST}{asked.pk}/change/").content.decode()
    assert "See the values" not in page
    assert "person-analyst asked to see 2 values" in page
    assert "Reveals of many</a>" in page
    assert "eveal manys" not in page
    assert VALUE not in look(client, asked), "nobody has agreed"

    waiting = Approval.objects.get()
    shown = dict(approvals.description(waiting))
    assert (shown["Said by"], shown["Type"]) == ("1 acme-social, 1 cedar-video", "1 url, 1 username")
    approvals.approve(waiting.pk, by=otto, at=now())
    assert "See the values, once" in client.get(f"{LIST}{asked.pk}/change/").content.decode()
    other = at_the_desk(Role.SENIOR_ANALYST)
    assert "See the values" not in other.get(f"{LIST}{asked.pk}/change/").content.decode()
    assert VALUE not in look(other, asked), "it is for whoever asked"
    assert client.get(f"{LIST}{asked.pk}/values/").status_code == 405
    before = len(recorded())
    text = look(client, asked)
    assert VALUE in text
    assert "https://bad.example/one" in text
    assert "2 values" in text
    leaves = recorded()[before:]
    assert [leaf["action"] for leaf in leaves] == ["value.revealed"] * 2
    assert {leaf["subjects"][0] for leaf in leaves} == {f"signal:{signal.pk}" for signal in chosen}
    assert all(leaf["subjects"][1] == f"reveal:{asked.pk}" for leaf in leaves)
    again = look(client, asked)
    assert VALUE not in again, "once"
    assert "Hide them" not in again, "there is nothing to hide"
    assert len(recorded()) == before + 2


def test_what_is_erased_by_then_is_said_to_be(scene: Scene, otto: User, recorded: Recorded) -> None:
    rosa = a_person("rosa", Role.ANALYST)
    asked = reveal_many.ask([scene.held.pk, scene.published.pk], reason="x", by=rosa, at=now())
    approvals.approve(Approval.objects.get().pk, by=otto, at=now())
    Statement.objects.filter(pk=scene.published.statement_id).update(sealed=None)
    found = {one.signal_id: one.revealed for one in reveal_many.show(asked.pk, actor=f"staff:{rosa.pk}", at=now())}
    assert found[scene.published.pk] is None
    assert found[scene.held.pk] is not None
    assert [event["action"] for event in recorded()].count("value.revealed") == 1


def test_a_look_is_for_a_day_and_none_after_a_no(scene: Scene, otto: User) -> None:
    rosa = a_person("rosa", Role.ANALYST)
    asked = reveal_many.ask([scene.held.pk], reason="x", by=rosa, at=now())
    approvals.refuse(Approval.objects.get().pk, by=otto, reason="no", at=now())
    assert RevealMany.objects.get().state == "over"
    asked = reveal_many.ask([scene.held.pk], reason="x", by=rosa, at=now())
    approvals.approve(Approval.objects.get(state="waiting").pk, by=otto, at=now())
    with pytest.raises(CannotMove, match="a day is over"):
        reveal_many.show(asked.pk, actor=f"staff:{rosa.pk}", at=now() + timedelta(hours=25))


def test_what_cannot_be_asked_for(scene: Scene) -> None:
    rosa = a_person("rosa", Role.ANALYST)
    for ids in ([], [uuid4()], [uuid4() for _ in range(201)]):
        with pytest.raises(CannotMove):
            reveal_many.ask(ids, reason="x", by=rosa, at=now())
    with pytest.raises(ReasonMissing):
        reveal_many.ask([scene.held.pk], reason=" ", by=rosa, at=now())
    assert not RevealMany.objects.exists()


def test_more_than_the_most_are_not_even_asked_about(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(RevealMany, "MOST", 2)
    signals = hold_many(scene.cedar, 2)
    answer = at_the_desk(Role.ANALYST).post(
        SIGNALS,
        {"action": "ask_to_reveal", "select_across": "1", "_selected_action": [str(signals[0].pk)]},
        follow=True,
    )
    assert "At most 2 values" in answer.content.decode()


def test_the_database_shows_many_values_to_nobody_alone(scene: Scene) -> None:
    asked = RevealMany.objects.create(signal_ids=[scene.held.pk], asked_by="staff:7", asked_at=now())
    for approved_by in ("", "staff:7"):
        with pytest.raises(IntegrityError, match="somebody_else_agree"), transaction.atomic():
            RevealMany.objects.filter(pk=asked.pk).update(state="granted", approved_by=approved_by)


@pytest.mark.parametrize("role", Role)
def test_only_who_may_reveal_ticks_and_looks(scene: Scene, role: Role) -> None:
    client, may = at_the_desk(role), Capability.SIGNALS_REVEAL in capabilities([role])
    assert ("_selected_action" in client.get(SIGNALS).content.decode()) == may
    tick(client, [scene.held], ask="1", reason="x")
    assert RevealMany.objects.exists() == may
    asked = RevealMany.objects.first() or RevealMany.objects.create(
        signal_ids=[scene.held.pk], asked_by="staff:7", asked_at=now()
    )
    assert client.post(f"{LIST}{asked.pk}/values/").status_code == (200 if may else 403)


def test_if_the_ledger_cannot_be_written_nothing_is_asked_and_nothing_shown(
    scene: Scene, otto: User, ledger_refuses: LedgerRefuses
) -> None:
    rosa = a_person("rosa", Role.ANALYST)
    with ledger_refuses():
        reveal_many.ask([scene.held.pk], reason="x", by=rosa, at=now())
    assert not RevealMany.objects.exists()
    asked = reveal_many.ask([scene.held.pk], reason="x", by=rosa, at=now())
    approvals.approve(Approval.objects.get().pk, by=otto, at=now())
    with ledger_refuses():
        reveal_many.show(asked.pk, actor=f"staff:{rosa.pk}", at=now())
    assert RevealMany.objects.get().state == "granted"
