"""What one person alone may not do to a company: who proposes and approves it, and what still needs one only."""

from __future__ import annotations

from datetime import date, timedelta
from io import StringIO
from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from django.core.exceptions import PermissionDenied
from django.core.management import call_command
from django.db import transaction
from django.db.models import Model
from django.test import Client

from hub.staff.approvals import ReasonMissing, Stale, approve, description
from hub.staff.models import Approval
from hub.staff.roles import Role
from partners.core.programmes import PRESETS, ProgrammeSettings
from partners.core.refusals import InvalidProgramme, NoSuchMembership, NoSuchPartner, WrongState
from partners.core.states import MembershipState, PartnerState
from partners.lifecycle.begin_membership import Terms
from partners.lifecycle.change_partner import change_partner
from partners.lifecycle.suspend_partner import suspend_partner
from partners.models import Membership, Partner, Programme
from partners.second_person import audience, suspension
from tests.builders import NOON, a_membership, a_partner, a_programme
from tests.partners.conftest import LedgerRefuses, Recorded

pytestmark = pytest.mark.django_db
LATER = NOON + timedelta(hours=1)
REASON = "file 17"
PAIR = ("acme-social", "csea")


def a_person(name: str, role: Role) -> User:
    user = User.objects.create(username=name, is_staff=True, date_joined=NOON - timedelta(days=1))
    user.groups.set([Group.objects.get_or_create(name=role.value)[0]])
    return user


@pytest.fixture
def ann() -> User:
    return a_person("ann", Role.OPERATOR)


@pytest.fixture
def sue() -> User:
    return a_person("sue", Role.SENIOR_ANALYST)


def asked(by: User) -> dict[str, Any]:
    return {"by": by, "reason": REASON, "at": NOON}


def shown(approval: Approval) -> str:
    return "\n".join(f"{name}: {fact}" for name, fact in description(approval))


# ---------------------------------------------------------------- suspension
def test_a_company_is_suspended_once_a_second_person_agrees(ann: User, sue: User, recorded: Recorded) -> None:
    a_membership(a_partner(), a_programme())
    proposal = suspension.propose_suspension("acme-social", **asked(ann))
    assert Partner.objects.get().state == "active"
    assert "Its memberships: csea (active)" in shown(proposal)
    assert approve(proposal.pk, by=sue, at=LATER) == "acme-social is suspended."
    assert Partner.objects.get().state == "suspended"
    told = [(event["action"], event["actor"]) for event in recorded()]
    assert told[-3:] == [
        ("approval.proposed", f"staff:{ann.pk}"),
        ("partner.suspended", f"staff:{sue.pk}"),
        ("approval.granted", f"staff:{sue.pk}"),
    ]


def test_an_analyst_may_propose_a_suspension_and_lets_none_happen(sue: User) -> None:
    a_partner()
    proposal = suspension.propose_suspension("acme-social", **asked(a_person("bob", Role.ANALYST)))
    with pytest.raises(PermissionDenied, match=r"partners\.approve"):
        approve(proposal.pk, by=a_person("eve", Role.ANALYST), at=LATER)
    with pytest.raises(PermissionDenied, match=r"partners\.propose"):
        suspension.propose_suspension("acme-social", **asked(a_person("audrey", Role.AUDITOR)))


def test_letting_a_company_go_on_takes_two_as_well(ann: User, sue: User) -> None:
    a_partner(state=PartnerState.SUSPENDED)
    proposal = suspension.propose_resumption("acme-social", **asked(ann))
    approve(proposal.pk, by=sue, at=LATER)
    assert Partner.objects.get().state == "active"


def test_a_membership_is_suspended_and_goes_on_by_two(ann: User, sue: User) -> None:
    a_membership(a_partner(), a_programme())
    approve(suspension.propose_membership_suspension(*PAIR, **asked(ann)).pk, by=sue, at=LATER)
    assert Membership.objects.get().state == "suspended"
    approve(suspension.propose_membership_resumption(*PAIR, **asked(ann)).pk, by=sue, at=LATER)
    assert Membership.objects.get().state == "active"


def test_what_is_so_already_or_not_there_cannot_be_proposed(ann: User) -> None:
    a_membership(a_partner(), a_programme())
    with pytest.raises(WrongState, match="active"):
        suspension.propose_resumption("acme-social", **asked(ann))
    with pytest.raises(WrongState, match="active"):
        suspension.propose_membership_resumption(*PAIR, **asked(ann))
    with pytest.raises(WrongState, match="already"):
        audience.propose_membership(*PAIR, Terms(), **asked(ann))
    with pytest.raises(NoSuchPartner):
        suspension.propose_suspension("nobody", **asked(ann))
    with pytest.raises(NoSuchMembership):
        suspension.propose_membership_suspension("acme-social", "ncii", **asked(ann))


def test_nothing_is_done_to_a_company_that_has_changed_since(ann: User, sue: User) -> None:
    a_partner()
    proposal = suspension.propose_suspension("acme-social", **asked(ann))
    change_partner("acme-social", name="Another", actor="staff:1", at=NOON)
    with pytest.raises(Stale):
        approve(proposal.pk, by=sue, at=LATER)
    assert Partner.objects.get().state == "active"


# ---------------------------------------------------------------- audiences
def test_a_company_sees_what_a_programme_shares_once_two_people_let_it(ann: User, sue: User) -> None:
    a_partner()
    a_programme()
    terms = Terms(may_submit=False, agreement_version=2, training_valid_until=date(2026, 1, 31))
    proposal = audience.propose_membership(*PAIR, terms, **asked(ann))
    assert not Membership.objects.exists()
    assert "it was never in it" in shown(proposal)
    assert "may receive; agreement 2; training valid until 2026-01-31" in shown(proposal)
    approve(proposal.pk, by=sue, at=LATER)
    row = Membership.objects.get()
    found = (row.may_submit, row.may_receive, row.agreement_version, row.training_valid_until, row.generation)
    assert found == (False, True, 2, date(2026, 1, 31), 1)


LAPSED, FRESH = date(2025, 6, 1), date(2026, 6, 1)  # before and after NOON


@pytest.mark.parametrize(
    ("before", "after", "takes_two"),
    [
        (Terms(may_receive=False), Terms(), True),
        (Terms(), Terms(may_receive=False), False),
        (Terms(), Terms(may_submit=False), False),
        (Terms(training_valid_until=LAPSED), Terms(training_valid_until=FRESH), True),
        (Terms(training_valid_until=FRESH), Terms(training_valid_until=date(2027, 6, 1)), False),
        (Terms(training_valid_until=LAPSED), Terms(may_submit=False, training_valid_until=LAPSED), False),
        (Terms(may_receive=False), Terms(may_receive=False, training_valid_until=FRESH), False),
    ],
    ids=str,
)
def test_other_terms_take_two_people_exactly_where_a_member_comes_to_receive(
    before: Terms, after: Terms, takes_two: bool, ann: User, sue: User
) -> None:
    a_membership(
        a_partner(),
        a_programme(),
        may_submit=before.may_submit,
        may_receive=before.may_receive,
        training_valid_until=before.training_valid_until,
    )
    proposal = audience.change_membership_or_propose(*PAIR, after, **asked(ann))
    assert (proposal is not None) == takes_two
    if proposal is not None:
        assert _terms() == before
        approve(proposal.pk, by=sue, at=LATER)
    assert _terms() == after


def _terms() -> Terms:
    row = Membership.objects.get()
    return Terms(row.may_submit, row.may_receive, row.agreement_version, row.training_valid_until)


def test_an_older_agreement_that_is_renewed_takes_two(ann: User) -> None:
    a_membership(a_partner(), a_programme(agreement_version=2), agreement_version=1)
    assert audience.change_membership_or_propose(*PAIR, Terms(agreement_version=2), **asked(ann)) is not None


@pytest.mark.parametrize(
    ("agreement", "is_training", "takes_two"), [(2, True, False), (3, True, False), (1, True, True), (2, False, True)]
)
def test_asking_less_of_members_takes_two_and_the_rest_is_changed_at_once(
    agreement: int, is_training: bool, takes_two: bool, ann: User, sue: User
) -> None:
    a_programme(agreement_version=2, is_training_required=True)
    wanted = ProgrammeSettings(("other",), ("md5",), {"*": 30}, {}, agreement, is_training)
    proposal = audience.change_programme_or_propose("csea", "Renamed", wanted, **asked(ann))
    row = Programme.objects.get()
    assert (proposal is not None, row.name, row.violations) == (takes_two, "Renamed", ["other"])
    if proposal is not None:
        assert (row.agreement_version, row.is_training_required) == (2, True)
        approve(proposal.pk, by=sue, at=LATER)
        row.refresh_from_db()
    assert (row.agreement_version, row.is_training_required) == (agreement, is_training)


def test_settings_that_make_no_sense_are_not_even_proposed(ann: User) -> None:
    a_programme(agreement_version=2)
    with pytest.raises(InvalidProgramme):
        audience.change_programme_or_propose("csea", "CSEA", ProgrammeSettings((), ("md5",), {"*": 30}), **asked(ann))


def test_without_a_reason_nothing_of_it_happens(ann: User) -> None:
    a_programme(agreement_version=2)
    with pytest.raises(ReasonMissing):
        audience.change_programme_or_propose("csea", "Renamed", PRESETS["csea"], by=ann, reason=" ", at=NOON)
    assert Programme.objects.get().name == "CSEA"


PROPOSALS: dict[str, Any] = {
    "suspend": lambda who: suspension.propose_suspension("acme-social", **who),
    "resume": lambda who: suspension.propose_resumption("asleep", **who),
    "suspend a membership": lambda who: suspension.propose_membership_suspension(*PAIR, **who),
    "resume a membership": lambda who: suspension.propose_membership_resumption("asleep", "csea", **who),
    "begin": lambda who: audience.propose_membership("newcomer", "csea", Terms(), **who),
    "change": lambda who: audience.change_membership_or_propose("deaf", "csea", Terms(), **who),
    "ask less": lambda who: audience.change_programme_or_propose("csea", "New", PRESETS["csea"], **who),
}


@pytest.mark.parametrize("proposal", PROPOSALS)
def test_if_the_ledger_cannot_be_written_nothing_was_proposed_or_done(
    proposal: str, ann: User, sue: User, ledger_refuses: LedgerRefuses
) -> None:
    csea = a_programme(agreement_version=0, is_training_required=False)
    a_membership(a_partner(), csea)
    a_membership(a_partner("asleep"), csea, state=MembershipState.SUSPENDED)
    a_membership(a_partner("deaf"), csea, may_receive=False)
    a_partner("newcomer")
    suspend_partner("asleep", actor="staff:1", at=NOON)
    if proposal == "ask less":
        Programme.objects.update(agreement_version=2)
    with ledger_refuses(), transaction.atomic():
        PROPOSALS[proposal](asked(ann))
    assert (Approval.objects.count(), Programme.objects.get().name) == (0, "CSEA")
    found = PROPOSALS[proposal](asked(ann))
    before = _everything()
    with ledger_refuses(), transaction.atomic():
        approve(found.pk, by=sue, at=LATER)
    assert _everything() == before
    approve(found.pk, by=sue, at=LATER)
    assert _everything() != before


def _everything() -> list[list[dict[str, Any]]]:
    tables: list[type[Model]] = [Partner, Programme, Membership]
    return [list(table._default_manager.order_by("pk").values()) for table in tables]


# ---------------------------------------------------------------- at the desk and at the console
def test_the_buttons_propose_and_change_nothing(ann: User) -> None:
    csea = a_programme()
    acme = a_partner()
    row = a_membership(acme, csea)
    client = Client()
    client.force_login(ann)
    for page in (f"partner/{acme.pk}/do/suspend", f"membership/{row.pk}/do/suspend"):
        assert b"required" in client.post(f"/admin/partners/{page}/", {}).content
        answer = client.post(f"/admin/partners/{page}/", {"reason": REASON}, follow=True)
        assert b"somebody else has approved it" in answer.content
    Membership.objects.update(may_receive=False)
    terms = {"may_submit": "on", "may_receive": "on", "agreement_version": "0", "reason": ""}
    refused = client.post(f"/admin/partners/membership/{row.pk}/do/change/", terms)
    assert b"Say why" in refused.content
    client.post(f"/admin/partners/membership/{row.pk}/do/change/", {**terms, "reason": REASON})
    assert [each.act for each in Approval.objects.order_by("pk", "proposed_at")].count("membership.change") == 1
    assert (Partner.objects.get().state, Membership.objects.get().may_receive) == ("active", False)


def test_the_console_needs_one_person_and_the_ledger_says_that_it_was_the_console(recorded: Recorded) -> None:
    a_partner()
    out = StringIO()
    call_command("suspend_partner", "acme-social", stdout=out)
    assert Partner.objects.get().state == "suspended"
    call_command("suspend_partner", "acme-social", "--lift", stdout=out)
    told = [(event["action"], event["actor"]) for event in recorded()]
    assert told == [("partner.suspended", "system:console"), ("partner.resumed", "system:console")]
