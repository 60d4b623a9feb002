"""The pages of partners' quality: alarms, figures with their intervals, floods; no more queries for more of them."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from django.urls import reverse

from hub.staff.roles import Role
from partners.models import Programme
from signals.admin.quality_chart import interval, weeks
from signals.cases import claiming
from signals.cases.alarms import raise_alarms
from signals.core.alarms import LINES, Figure
from signals.core.quality import share
from signals.lifecycle import rule
from signals.models import Case, Inflow, Signal
from tests.admin.scene import Scene, a_scene, at_the_desk
from tests.admin.test_desk import queries
from tests.companies import now, settle

pytestmark = pytest.mark.django_db
BOARD = "/admin/signals/partneralarm/"


@pytest.fixture
def scene() -> Scene:
    return a_scene()


@pytest.fixture
def bad(scene: Scene) -> Scene:
    """Twenty addresses of one partner, half of them refuted, and a flood."""
    say(scene, 20)
    for signal in Signal.objects.filter(issuer_id=scene.acme.partner.pk, state="published").order_by("-arrival")[:10]:
        rule.refute(signal.pk, reason="benign-value", actor="staff:7", at=now())
    settle()
    Inflow.objects.filter(partner_id=scene.acme.partner.pk).update(flooded=1)
    raise_alarms(at=now())
    return scene


def say(scene: Scene, count: int, value: str = "", *, type: str = "url") -> None:  # noqa: A002  the statement's word
    scene.acme.say(*(scene.acme.sign(scene.acme.signal(value, type=type)) for _ in range(count)))


def text_of(address: str, *roles: Role) -> str:
    response = at_the_desk(*(roles or (Role.ANALYST,))).get(address)
    assert response.status_code == 200
    return response.content.decode()


def page_of(scene: Scene) -> str:
    return reverse("admin:signals_partneralarm_partner", args=[scene.acme.partner.pk])


def test_the_board_lists_what_waits_and_every_partner(bad: Scene) -> None:
    text = text_of(BOARD)
    for words in ("precision:url", "dispute-rate:url", "flood", "acme-social", "birch-chat"):
        assert words in text
    assert "partners in a flood" in text_of("/admin/")
    assert "precision:url" not in text_of(f"{BOARD}?standing=decided")


def test_a_partners_page_says_what_each_figure_is_drawn_and_in_words(bad: Scene) -> None:
    text = text_of(page_of(bad), Role.AUDITOR)
    assert "0% of 10 (95 %: 0% to 28%)" in text
    assert "suspension-proposed" in text
    assert "share-bad" in text
    assert "by week" in text
    assert "None in the last three months." not in text
    [csea] = Programme.objects.all()
    assert "acme-social in csea" in text_of(f"{page_of(bad)}?programme={csea.pk}")
    assert at_the_desk(Role.ANALYST).get(page_of(bad).replace(str(bad.acme.partner.pk), "99999")).status_code == 404
    assert at_the_desk(Role.ANALYST).post(page_of(bad)).status_code == 405


def test_an_alarm_leads_to_its_partner_and_the_partner_to_its_quality(bad: Scene) -> None:
    alarm = Case.objects.get(cause="precision:url")
    assert "Quality of acme-social" in text_of(reverse("admin:signals_partneralarm_change", args=[alarm.pk]))
    assert page_of(bad) in text_of(f"/admin/partners/partner/{bad.acme.partner.pk}/change/", Role.OPERATOR)


def test_the_case_shows_the_figures_the_flood_and_what_is_proposed(bad: Scene) -> None:
    flood, precision = Case.objects.get(cause="flood"), Case.objects.get(cause="precision:url")
    text = text_of(reverse("admin:signals_case_change", args=[flood.pk]))
    assert "lower how much the partner may send (throttled)" in text
    assert "share-interval" in text
    assert page_of(bad) in text
    text = text_of(reverse("admin:signals_case_change", args=[precision.pk]))
    assert "propose to a second person that the partner be suspended (suspension-proposed)" in text
    Signal.objects.filter(issuer_id=bad.acme.partner.pk).update(published_at=None)
    raise_alarms(at=now())  # counts anew
    assert "nothing: by now the figure is not bad for certain" in text_of(
        reverse("admin:signals_case_change", args=[precision.pk])
    )


def test_it_is_decided_on_the_cases_page(bad: Scene) -> None:
    client = at_the_desk(Role.ANALYST)
    person = client.session["_auth_user_id"]
    case = claiming.claim(Case.objects.get(cause="flood").pk, actor=f"staff:{person}", at=now())
    sent = {"do": "decide", "decision": "acted:probation", "policy": "Handbook 7", "text": "", "version": case.version}
    client.post(reverse("admin:signals_case_act", args=[case.pk]), {**sent, "token": str(case.lease_token)})
    bad.acme.partner.refresh_from_db()
    assert bad.acme.partner.is_probationary


def test_neither_page_asks_more_for_more_rows(bad: Scene) -> None:
    client, case = at_the_desk(*Role), Case.objects.get(cause="flood")
    addresses = (BOARD, page_of(bad), reverse("admin:signals_case_change", args=[case.pk]))
    before = [queries(client, address) for address in addresses]
    say(bad, 3, "more.example", type="domain")
    Case.objects.filter(cause="precision:url").update(cause="precision:domain")
    raise_alarms(at=now())
    assert [queries(client, address) for address in addresses] == before


def test_a_drawing_says_in_words_what_it_shows() -> None:
    line = LINES[Figure.PRECISION]
    drawn = interval(share(8, 10), line)
    assert 'aria-label="80% of 10 (95 %: 49% to 94%)"' in drawn
    assert "share-bad" not in drawn
    assert "share-bad" in interval(share(1, 20), line)
    assert interval(share(0, 0), line) == ""


def test_a_week_of_which_nothing_is_known_is_empty_and_older_weeks_are_left_out() -> None:
    upto = date(2025, 6, 4)
    monday = date(2025, 6, 2)
    said = [(monday - timedelta(weeks=12), share(9, 10)), (monday - timedelta(weeks=1), share(1, 2))]
    drawn = weeks("Precision", [*said, (monday, share(0, 0))], LINES[Figure.PRECISION], upto=upto, count=12)
    assert drawn.count("<g>") == 1
    assert 'aria-label="Precision by week: 26 May 50%"' in drawn
