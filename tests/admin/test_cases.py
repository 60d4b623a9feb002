"""The desk's queue and the page of a case: all on one screen, one person at a time, and nothing typed is lost."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from hub.staff.roles import Capability, Role, capabilities
from signals.cases import claiming, talking
from signals.cases.opening import open_case, open_held
from signals.core.cases import CaseKind
from signals.models import Case, RemedyAsked, Signal
from tests.admin.scene import NOTE, VALUE, Scene, at_the_desk, hold_many
from tests.admin.test_desk import queries
from tests.companies import now, settle

pytestmark = pytest.mark.django_db
QUEUE = "/admin/signals/case/"
DECISION = {"do": "decide", "decision": "refused:harmless-value", "policy": "Handbook 4.2", "text": "Half the town"}


@pytest.fixture
def case(scene: Scene) -> Case:
    open_held(at=now())
    return Case.objects.get(signal_id=scene.held.pk)


def page_of(case: Case) -> str:
    return reverse("admin:signals_case_change", args=[case.pk])


def act(client: Client, case: Case, **sent: Any) -> str:
    """Press one of the page's buttons, as the page that is there now would send it; the text of the next page."""
    text = client.get(page_of(case)).content.decode()
    hidden = dict(re.findall(r'<input type="hidden" name="(token|version)" value="([^"]*)"', text))
    answer = client.post(reverse("admin:signals_case_act", args=[case.pk]), {**hidden, **sent}, follow=True)
    assert answer.status_code == 200
    return answer.content.decode()


def test_the_queue_shows_what_waits_masked_and_takes_the_next(case: Case) -> None:
    client = at_the_desk(Role.ANALYST)
    text = client.get(QUEUE).content.decode()
    assert "u••• at chat.example" in text
    assert "cedar-video" in text
    answer = client.post(f"{QUEUE}next/", {"kind": "hold"})
    assert answer.headers["Location"] == page_of(case)
    assert "until" in client.get(page_of(case)).content.decode()
    assert "Nothing waits for you here." in client.post(f"{QUEUE}next/", follow=True).content.decode()
    assert str(case.pk) in client.get(f"{QUEUE}?standing=mine").content.decode()
    assert "Nothing is overdue." in client.get(f"{QUEUE}?standing=overdue").content.decode()


def test_the_page_has_everything_for_the_decision_and_no_value(case: Case, scene: Scene) -> None:
    scene.birch.say(scene.birch.sign(scene.birch.signal(VALUE, type="username", service="chat.example")))
    talking.comment(case.pk, "I know this one", actor="staff:1", at=now())
    client = at_the_desk(Role.ANALYST)
    act(client, case, do="claim")
    text = client.get(page_of(case)).content.decode()
    for shown in (
        *("u••• at chat.example", "probation", "cedar-video", "grooming", "1 published", "I know this one"),
        *("harmless-value", "Decide", "Pass over", "Give back", "What happened to the signal", "Reveal"),
        *("Linked signals", "same value", "Statements about it"),
    ):
        assert shown in text, shown
    assert VALUE not in text
    assert NOTE not in text
    assert not re.search(r"<script(?![^>]*src=)|\son[a-z]+=|style=", text), "nothing inline"


def test_a_value_revealed_from_a_case_leads_back_to_the_case(case: Case, scene: Scene) -> None:
    reveal = reverse("admin:signals_signal_reveal", args=[scene.held.pk])
    analyst, compliance = at_the_desk(Role.ANALYST), at_the_desk(Role.COMPLIANCE)
    assert 'name="reason"' not in analyst.get(page_of(case)).content.decode()
    assert f'href="{page_of(case)}" class="button"' in analyst.post(reveal, {"case": str(case.pk)}).content.decode()
    signals_page = reverse("admin:signals_signal_change", args=[scene.held.pk])
    for nonsense in ("", "https://elsewhere.example/"):
        assert f'href="{signals_page}" class="button"' in analyst.post(reveal, {"case": nonsense}).content.decode()
    page = compliance.get(page_of(case)).content.decode()
    assert f'name="case" value="{case.pk}"' in page
    assert 'name="reason"' in page, "whoever does not decide says why"
    assert VALUE in compliance.post(reveal, {"case": str(case.pk), "reason": "file 12"}).content.decode()


def test_a_case_is_claimed_and_decided_on_its_page(case: Case, scene: Scene) -> None:
    client = at_the_desk(Role.ANALYST)
    assert "The case is yours." in act(client, case, do="claim")
    assert "is decided: refused." in act(client, case, **DECISION)
    assert Signal.objects.get(pk=scene.held.pk).state == "refused"
    text = client.get(page_of(case)).content.decode()
    assert "policy: Handbook 4.2" in text
    assert "Half the town" in text
    assert "Undone" in act(client, case, do="undo", text="The wrong button")
    assert Signal.objects.get(pk=scene.held.pk).state == "held"


def test_what_is_refused_says_why_and_keeps_what_was_typed(case: Case, scene: Scene) -> None:
    client = at_the_desk(Role.ANALYST)
    act(client, case, do="claim")
    address = reverse("admin:signals_case_act", args=[case.pk])
    case.refresh_from_db()
    sent = {**DECISION, "token": str(case.lease_token), "version": case.version}

    talking.comment(case.pk, "Wait", actor="staff:1", at=now())
    text = client.post(address, sent).content.decode()
    assert "Something happened to this case since the page was drawn." in text
    assert "Half the town" in text
    assert 'value="Handbook 4.2"' in text
    assert re.search(r'value="refused:harmless-value" selected', text)
    assert "Wait" in text, "what happened is there to be seen"

    Case.objects.update(lease_until=now() - timedelta(seconds=1))
    text = act(client, case, **DECISION)
    assert "Your claim has run out." in text
    assert "Half the town" in text

    other = claiming.claim(case.pk, actor="staff:99999", at=now())
    text = act(client, case, **DECISION)
    assert "staff:99999 has claimed this case since" in text
    assert "Half the town" in text
    assert str(other.lease_token) not in text, "nobody is told another's token"
    assert 'value="decide"' not in text

    Signal.objects.filter(pk=scene.held.pk).update(state="withdrawn", removal="withdrawn", removed_at=now())
    Case.objects.update(lease_until=now() - timedelta(seconds=1))
    act(client, case, do="claim")
    text = act(client, case, **DECISION)
    assert "its author withdrew it" in text
    assert "Half the town" in text


@pytest.mark.parametrize(
    ("sent", "said"),
    [
        ({"do": "comment", "text": "A word"}, "Noted."),
        ({"do": "comment"}, "Write something first."),
        ({"do": "decide", "policy": "x"}, "Choose an outcome"),
        ({"do": "decide", "decision": "refused:flood"}, "Name the policy"),
        ({"do": "release"}, "Given back."),
        ({"do": "skip"}, "Passed over"),
        ({"do": "pause"}, "Say what the case waits for."),
        ({"do": "pause", "pause": "waits-for-partner"}, "Paused"),
        ({"do": "hand-over"}, "Say to whom"),
    ],
)
def test_each_button_says_what_came_of_it(case: Case, sent: dict[str, str], said: str) -> None:
    client = at_the_desk(Role.ANALYST)
    act(client, case, do="claim")
    assert said in act(client, case, **sent)
    if sent.get("pause"):
        assert "Its clock goes on." in act(client, case, do="resume")


def test_a_case_is_handed_to_another_analyst_and_to_nobody_else(case: Case) -> None:
    client, _, _ = at_the_desk(Role.ANALYST), at_the_desk(Role.SENIOR_ANALYST), at_the_desk(Role.OPERATOR)
    act(client, case, do="claim")
    outsider, senior = (User.objects.get(username=f"person-{name}") for name in ("operator", "senior-analyst"))
    assert "Please correct" in act(client, case, do="hand-over", to=outsider.pk)
    assert "Handed over to person-senior-analyst." in act(client, case, do="hand-over", to=senior.pk)
    assert "person-senior-analyst, until" in client.get(page_of(case)).content.decode()


def test_a_heartbeat_keeps_the_claim(case: Case) -> None:
    client = at_the_desk(Role.ANALYST)
    act(client, case, do="claim")
    case.refresh_from_db()
    address = reverse("admin:signals_case_heartbeat", args=[case.pk])
    assert client.post(address, {"token": str(case.lease_token)}).json()["until"]
    assert client.post(address, {"token": "nonsense"}).status_code == 409
    assert client.get(address).status_code == 405
    other = at_the_desk(Role.SENIOR_ANALYST).post(address, {"token": str(case.lease_token)})
    assert other.status_code == 409
    assert "claimed this case" in other.json()["refused"]


@pytest.mark.parametrize("role", [*Role, None])
def test_only_those_who_triage_touch_a_case(case: Case, role: Role | None) -> None:
    client = at_the_desk(*([role] if role else []))
    held = capabilities([role]) if role else frozenset()
    closed = 403 if role else 302
    may = Capability.SIGNALS_TRIAGE in held
    sees = 200 if Capability.SIGNALS_VIEW in held else closed
    assert client.get(QUEUE).status_code == client.get(page_of(case)).status_code == sees
    assert (b"Your decision" in client.get(page_of(case)).content) == may
    assert client.post(f"{QUEUE}next/").status_code == (302 if may else closed)
    Case.objects.update(holder="", lease_token=None, lease_until=None)
    address = reverse("admin:signals_case_act", args=[case.pk])
    assert client.post(address, {"do": "claim"}).status_code == (302 if may else closed)
    case.refresh_from_db()
    assert bool(case.holder) == may


def test_a_case_about_a_partner_has_its_page_too(scene: Scene) -> None:
    alarm = open_case(CaseKind.QUALITY, partner_id=scene.acme.partner.pk, cause="burst", actor="system:cases", at=now())
    client = at_the_desk(Role.ANALYST)
    act(client, alarm, do="claim")
    assert "acme-social" in client.get(page_of(alarm)).content.decode()
    said = act(client, alarm, do="decide", decision="dismissed:explained", policy="Handbook 7")
    assert "is decided: dismissed." in said
    assert "Opened again." in act(client, alarm, do="reopen")


def test_an_unknown_case_or_button_is_not_found(case: Case) -> None:
    client = at_the_desk(Role.ANALYST)
    address = reverse("admin:signals_case_act", args=[case.pk])
    assert client.post(address, {"do": "publish"}).status_code == 404
    assert client.post(address.replace(str(case.pk), str(uuid4())), {"do": "claim"}).status_code == 404


def test_the_desk_asks_no_more_for_more_cases_or_more_history(scene: Scene, case: Case) -> None:
    client = at_the_desk(Role.ANALYST)
    act(client, case, do="claim")
    before = [queries(client, address) for address in (QUEUE, page_of(case))]
    hold_many(scene.cedar, 5)
    settle()
    open_held(at=now())
    for _ in range(3):
        talking.comment(case.pk, "One more", actor="staff:1", at=now())
    assert [queries(client, address) for address in (QUEUE, page_of(case))] == before
    assert max(before) <= 36, before


def test_the_page_of_an_appeal_shows_who_appealed_and_who_has_not_put_it_right(scene: Scene) -> None:
    body = {"programme": "csea", "signal": str(scene.published.pk), "reason": "other", "evidence": "own-logs"}
    scene.birch.http.post("/api/v1/appeals", body, content_type="application/json")
    client, appeal = at_the_desk(Role.ANALYST), Case.objects.get(kind="appeal")
    act(client, appeal, do="claim")
    assert "birch-chat: other, own-logs" in client.get(page_of(appeal)).content.decode()
    said = act(client, appeal, do="decide", decision="upheld:mistaken-identity", policy="Redress 2")
    assert "is decided: upheld." in said
    text = client.get(page_of(appeal)).content.decode()
    assert "What was put right" in text
    assert "refuted" in text
    RemedyAsked.objects.update(due_at=now())
    assert str(appeal.pk) in client.get(f"{QUEUE}?standing=unremedied").content.decode()
    assert "remedies overdue" in client.get("/admin/").content.decode()
