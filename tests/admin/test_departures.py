"""Partners that left, at the desk: proposed by one, approved by another, watched until everything is signed for."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.conf import settings
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from heliograph_client import statements

from hub.staff.models import Approval
from hub.staff.roles import Role
from partners.lifecycle.begin_membership import Terms, begin_membership
from partners.models import Membership, Partner, Programme
from signals.core.leaving import RECEIPT_DUE
from signals.lifecycle import erasure, leave
from signals.lifecycle.quarantine import revoke_compromised_key
from signals.models import Departure, Signal
from tests.admin.scene import at_the_desk
from tests.builders import a_programme
from tests.companies import Company, a_company, now
from tests.partners.conftest import Recorded

pytestmark = pytest.mark.django_db
PROPOSE = "/admin/signals/departure/do/propose/"
LIST = "/admin/signals/departure/"


@pytest.fixture
def acme() -> Company:
    return a_company("acme-social", a_programme("csea"))


def propose(client: Client, **form: str) -> Any:
    return client.post(PROPOSE, {"partner": "acme-social", "reason": "their letter of May", **form}, follow=True)


def approve() -> Any:
    User.objects.update(date_joined=now() - timedelta(days=1))
    second = at_the_desk(Role.COMPLIANCE)
    User.objects.update(date_joined=now() - timedelta(days=1))
    page = reverse("admin:staff_approval_row_verb", args=[Approval.objects.get(state="waiting").pk, "approve"])
    shown = second.get(page).content.decode()
    return shown, second.post(page, follow=True).content.decode()


def test_a_company_leaves_a_programme_once_a_second_person_has_seen_what_that_means(
    acme: Company, recorded: Recorded
) -> None:
    Programme.objects.update(on_leaving="withdraw")
    assert b"once somebody else has approved it" in propose(at_the_desk(Role.OPERATOR), programme="csea").content
    assert Membership.objects.get().state == "active"
    shown, done = approve()
    assert "all of them are withdrawn" in shown
    assert "acme-social has left csea." in done
    assert (Membership.objects.get().state, Partner.objects.get().state) == ("ended", "active")
    actions = [event["action"] for event in recorded()]
    assert actions[-3:] == ["membership.ended", "departure.began", "approval.granted"]


def test_a_company_leaves_the_hub_by_two(acme: Company) -> None:
    propose(at_the_desk(Role.OPERATOR))
    shown, done = approve()
    assert "its signing keys are retired" in shown
    assert "acme-social has left the hub." in done
    assert Partner.objects.get().state == "left"
    again = propose(at_the_desk(Role.OPERATOR))
    assert b"has left already" in again.content


def test_nothing_happens_if_the_rule_has_changed_since_it_was_proposed(acme: Company) -> None:
    propose(at_the_desk(Role.OPERATOR), programme="csea")
    Programme.objects.update(on_leaving="withdraw")
    _, done = approve()
    assert "has changed" in done
    assert not Departure.objects.exists()


def test_nothing_happens_if_it_has_come_back_since_for_another_stay(acme: Company, recorded: Recorded) -> None:
    propose(at_the_desk(Role.OPERATOR), programme="csea")
    assert recorded()[-1]["facts"]["facts"] == {"programme": "csea", "generations": {"csea": 1}}
    leave.leave_programme("acme-social", "csea", at=now(), actor="staff:1")
    begin_membership("acme-social", "csea", Terms(), at=now(), actor="staff:1")
    shown, done = approve()
    assert "generation 2" in shown
    assert "has changed" in done
    assert Membership.objects.get().state == "active"


def test_a_word_signed_with_a_key_that_fell_is_late_and_may_be_noted_instead(acme: Company) -> None:
    departure = leave.leave_programme("acme-social", "csea", at=now(), actor="staff:1")
    about: dict[str, Any] = {
        "issuer": "acme-social",
        "hub": settings.HUB_ID,
        "programme": "csea",
        "departure": str(departure.pk),
    }
    line = acme.sign(statements.erasure(**about, at=now()), statements.ERASURE)
    erasure.take_receipt(departure.pk, line, at=now())
    Departure.objects.update(due_at=now())
    client, page = at_the_desk(Role.OPERATOR), f"{LIST}{departure.pk}/change/"
    late = "<strong>1</strong> <span>leavers overdue"

    def shown() -> list[bool]:
        pages = [client.get(address).content.decode() for address in ("/admin/", page, f"{LIST}?erased=")]
        return [late in pages[0], "Note that it cannot sign" in pages[1], str(departure.pk) in pages[2]]

    assert shown() == [False] * 3
    revoke_compromised_key(acme.key.kid, partner_id=acme.partner.pk, compromised_at=None, at=now(), actor="staff:1")
    assert shown() == [True] * 3


def test_the_list_says_how_far_it_is_and_whose_word_is_late(acme: Company) -> None:
    Programme.objects.update(on_leaving="withdraw")
    acme.say(*(acme.sign(acme.signal()) for _ in range(3)))
    departure = leave.leave_programme("acme-social", "csea", at=now(), actor="staff:1")
    client = at_the_desk(Role.OPERATOR)
    page = f"{LIST}{departure.pk}/change/"
    assert "0 withdrawn, 3 to go" in client.get(page).content.decode()
    assert "<h1>acme-social left csea</h1>" in client.get(page).content.decode()
    assert "0 withdrawn, going on" in client.get(LIST).content.decode()
    while leave.settle_departures(at=now()):
        pass
    assert "withdraw: 3 withdrawn" in client.get(page).content.decode()
    assert Signal.objects.filter(state="withdrawn").count() == 3
    Departure.objects.update(due_at=now() - RECEIPT_DUE)
    listed = client.get(f"{LIST}?erased=").content.decode()
    assert "overdue" in listed
    assert "leavers overdue with their deletion receipt" in client.get("/admin/").content.decode()
    noted = client.post(f"{LIST}{departure.pk}/do/note/", {"how": "on-paper", "reason": "a letter"}, follow=True)
    assert b"on-paper" in noted.content


def test_the_list_costs_the_same_for_one_and_for_many(acme: Company) -> None:
    client = at_the_desk(Role.AUDITOR)
    csea = Programme.objects.get()
    counts = []
    for number in range(12):
        leave.leave_programme(a_company(f"leaver-{number}", csea).slug, "csea", at=now(), actor="staff:1")
        if number in {0, 11}:
            client.get(LIST)
            with CaptureQueriesContext(
                connection,
            ) as asked:
                assert client.get(LIST).status_code == 200
            counts.append(len(asked))
    assert counts[1] <= counts[0] <= 12  # the first may still look up what a process remembers
