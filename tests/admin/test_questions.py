"""Compliance staff's questions at the desk: who may ask, what the pages say, and what they cost."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse
from pytest_django import DjangoAssertNumQueries, Settings

from hub.ledger import leaf
from hub.ledger.models import Reading
from hub.ledger.sequence import drain
from hub.staff import factors
from hub.staff.roles import Role
from hub.staff.sessions import GENERATION
from signals.admin import questions
from signals.lifecycle.reveal import reveal
from signals.lifecycle.roll_up import roll_up
from signals.models import DisclosedMinute
from tests.admin.scene import Scene, a_person, a_scene, at_the_desk
from tests.companies import now
from tests.staff.authenticators import an_app_of

pytestmark = pytest.mark.usefixtures("committed_db")
PAGES = ("recipients", "report", "shown", "retention", "partner")


@pytest.fixture(scope="module")
def scene(_committed_module: None) -> Scene:
    return a_scene()


@pytest.fixture(autouse=True)
def _mirror(settings: Settings, tmp_path: Path) -> None:
    settings.MIRROR_DIR = tmp_path / "mirror"


def ask(role: Role, name: str, **asked: str) -> tuple[int, str]:
    answer = at_the_desk(role).get(reverse(f"admin:signals_disclosedminute_{name}"), asked)
    return answer.status_code, answer.content.decode()


@pytest.mark.parametrize("role", Role)
def test_only_compliance_staff_and_auditors_ask(scene: Scene, role: Role) -> None:
    may = role in {Role.COMPLIANCE, Role.AUDITOR}
    for name in PAGES:
        expected = (404 if name == "report" else 200) if may else 403
        assert ask(role, name)[0] == expected, name
    assert at_the_desk(role).get(reverse("admin:signals_disclosedminute_changelist")).status_code == (
        200 if may else 403
    )


def test_who_received_a_signal_and_the_same_as_a_file(
    scene: Scene, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    client = at_the_desk(Role.COMPLIANCE)
    address = reverse("admin:signals_disclosedminute_recipients")
    client.get(address)
    with django_assert_max_num_queries(20):
        page = client.get(address, {"signals": str(scene.published.id)}).content.decode()
    assert "birch-chat" in page
    assert "1 channels received some of 1 signals" in page
    file = client.get(reverse("admin:signals_disclosedminute_report"), {"issuer": "acme-social"})
    assert file["Content-Type"].startswith("text/csv")
    assert file["Content-Disposition"].startswith("attachment")
    assert str(scene.published.id) in file.content.decode()
    for wrong in ({"signals": "no id"}, {"issuer": "nobodys"}):
        assert "errornote" in client.get(address, wrong).content.decode()


def test_a_page_tells_of_so_many_signals_and_leads_on_to_older_ones(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(questions, "_AT_ONCE", 1)
    client, address = at_the_desk(Role.COMPLIANCE), reverse("admin:signals_disclosedminute_recipients")
    seen: list[str] = []
    asked, pages = {"issuer": "acme-social"}, 0
    while pages := pages + 1:
        page = client.get(address, asked).content.decode()
        assert "received some of 1 signals" in page
        assert page.count('name="before"') == 0, "whoever asks anew begins with the newest"
        seen += set(re.findall(r"/admin/signals/signal/([^/]+)/change/", page))
        if (link := re.search(r'<a href="\?issuer=acme-social&amp;before=(\d+)">', page)) is None:
            break
        asked["before"] = link[1]
    assert pages > 1
    assert len(seen) == len(set(seen))
    assert str(scene.published.id) in seen
    named = client.get(address, {"signals": f"{scene.published.id} {uuid4()} {uuid4()}"}).content.decode()
    assert "the file has the 2 others, too" in named
    too_many = " ".join(str(uuid4()) for _ in range(1001))
    assert "ask for at most 1,000 at once" in client.get(address, {"signals": too_many}).content.decode()


def test_the_file_of_recipients_is_an_export_and_asks_for_a_fresh_second_factor(scene: Scene) -> None:
    address, client, una = reverse("admin:signals_disclosedminute_report"), Client(), a_person("una", Role.AUDITOR)
    an_app_of(una, at=now())
    una = User.objects.get(pk=una.pk)
    client.force_login(una)
    session = client.session
    session[GENERATION] = factors.generation(una)
    session.save()
    asked = client.get(address, {"issuer": "acme-social"})
    assert not asked["Content-Type"].startswith("text/csv")
    assert "Is it you?" in asked.content.decode()
    session = client.session
    session["proved_at"] = now().isoformat()
    session.save()
    assert client.get(address, {"issuer": "acme-social"})["Content-Type"].startswith("text/csv")


def test_what_an_analyst_was_shown(scene: Scene) -> None:
    sue, tom = a_person("sue", Role.ANALYST), a_person("tom", Role.ANALYST)
    for person in (sue, tom):
        reveal(scene.published.id, actor=f"staff:{person.pk}", at=now())
    drain()
    _, page = ask(Role.COMPLIANCE, "shown")
    assert page.count("was shown an indicator") == 2
    _, page = ask(Role.COMPLIANCE, "shown", staff=str(sue.pk))
    assert page.count("was shown an indicator") == 1
    assert f"<td>{sue.username}</td>" in page
    assert "What sue was shown" in page
    assert f'<a href="?staff={tom.pk}">tom</a>' in page, "the way to others stands above what may be long"
    assert page.index("?staff=") < page.index("<table")


def test_compliance_staff_reveal_nothing_without_a_reason(scene: Scene) -> None:
    client = at_the_desk(Role.COMPLIANCE)
    page = reverse("admin:signals_signal_change", args=[scene.published.pk])
    assert 'name="reason"' in client.get(page).content.decode()
    assert 'name="reason"' not in at_the_desk(Role.ANALYST).get(page).content.decode()
    address = reverse("admin:signals_signal_reveal", args=[scene.published.pk])
    for nothing in ({}, {"reason": "  "}):
        refused = client.post(address, nothing).content.decode()
        assert "Say why" in refused
        assert "bad.example" not in refused
    assert "bad.example" in client.post(address, {"reason": "data subject request 12"}).content.decode()
    drain()
    leaves = [leaf.decode(bytes(row.entry)) for row in Reading.objects.filter(action="value.revealed")]
    assert [set(each.commitments) for each in leaves].count({"reason"}) == 1
    assert "data subject request" not in str(leaves)


def test_retention_and_a_partner(scene: Scene) -> None:
    drain()
    assert "csea" in ask(Role.AUDITOR, "retention")[1]
    status, page = ask(Role.AUDITOR, "partner", slug="birch-chat")
    assert status == 200
    assert "Memberships" in page
    assert "True" not in page
    assert ask(Role.AUDITOR, "partner", slug="nobodys")[0] == 200


def test_a_minute_shows_whether_its_rows_have_the_leafs_root(scene: Scene) -> None:
    roll_up(until=now() + timedelta(days=1), at=now())
    drain()
    minute = DisclosedMinute.objects.order_by("at").first()
    assert minute is not None
    client = at_the_desk(Role.AUDITOR)
    page = client.get(reverse("admin:signals_disclosedminute_change", args=[minute.pk])).content.decode()
    assert bytes(minute.root).hex() in page
    assert "<dd>yes</dd>" in page
    missing = client.get(reverse("admin:signals_disclosedminute_change", args=[UUID(int=1)]))
    assert missing.status_code == 302


def test_a_question_that_means_nothing_is_no_answer_that_nobody_received_it(scene: Scene) -> None:
    client, address = at_the_desk(Role.COMPLIANCE), reverse("admin:signals_disclosedminute_recipients")
    signal, kid = str(scene.published.id), scene.acme.key.kid
    for asked, said in (
        ({"since": "2026-11-02T09:00"}, "Name signals by their ids, or an issuer."),
        ({"kid": kid}, "Name signals by their ids, or an issuer."),
        ({"signals": signal, "issuer": "acme-social"}, "not both"),
        ({"signals": signal, "kid": kid}, "not both"),
        ({"issuer": "acme-social", "kid": f"{kid[:-1]}_"}, "The issuer has no such key."),
        ({"issuer": "birch-chat", "kid": kid}, "The issuer has no such key."),
    ):
        page = client.get(address, asked).content.decode()
        assert said in page, asked
        assert "channels received" not in page, asked
    assert "birch-chat" in client.get(address, {"issuer": "acme-social", "kid": kid}).content.decode()
    unknown = uuid4()
    page = client.get(address, {"signals": f"{signal} {unknown}"}).content.decode()
    assert f"No signal of this hub has the id {unknown}." in page
    assert "birch-chat" in page
    assert "No signal of this hub" not in client.get(address, {"signals": signal}).content.decode()
