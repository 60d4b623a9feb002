"""Two people for one act: who may propose and decide, what the second person sees, and what stops it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied
from django.db import IntegrityError, transaction
from django.test import Client

from hub.ledger.record import record
from hub.refusal import Refusal
from hub.staff import approvals
from hub.staff.accounts import add_account, set_roles, switch_off
from hub.staff.approvals import ACTS, Act, NotWaiting, OwnProposal, ProposerMayNot, Stale
from hub.staff.changes import SET_ROLES, OwnRights
from hub.staff.models import Approval
from hub.staff.roles import Capability, Role, Who, roles_of
from tests.partners.conftest import LedgerRefuses, Recorded
from tests.partners.conftest import ledger_refuses as _ledger_refuses
from tests.partners.conftest import recorded as _recorded

NOON = datetime(2026, 11, 3, 12, tzinfo=UTC)
LATER = NOON + timedelta(hours=1)
pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("admin_alone")]
ledger_refuses, recorded = _ledger_refuses, _recorded
REASON = "file 17 of the legal department"
C = Capability


class Door:
    """Something two people open; its colour is what is shown."""

    def __init__(self) -> None:
        self.colour, self.opened_by, self.held = "green", "", 0
        self.refusal: Refusal | None = None

    def perform(self, approval: Approval, who: Who) -> str:
        if self.refusal is not None:
            raise self.refusal
        record("staff.signed-out", actor=who["actor"], at=who["at"])  # any leaf: of the same transaction
        self.opened_by = who["actor"]
        return f"Opened the {approval.facts['which']} door."

    def describe(self, approval: Approval) -> list[tuple[str, str]]:
        return [("Door", str(approval.facts["which"])), ("Colour", self.colour)]

    def hold(self, _approval: Approval) -> None:
        self.held += 1


@pytest.fixture
def door() -> Iterator[Door]:
    door = Door()
    approvals.register(
        Act(
            name="test.open",
            meaning="Open a door",
            to_propose=C.SIGNALS_TRIAGE,
            to_approve=C.SIGNALS_QUARANTINE,
            perform=door.perform,
            describe=door.describe,
            hold=door.hold,
        )
    )
    yield door
    del ACTS["test.open"]


def a_person(name: str, *roles: Role) -> User:
    add_account(name, roles, actor="system:test", at=NOON - timedelta(days=1), password="a long and pleasant sentence")
    return User.objects.get(username=name)


@pytest.fixture
def ann() -> User:
    return a_person("ann", Role.ANALYST)


@pytest.fixture
def sue() -> User:
    return a_person("sue", Role.SENIOR_ANALYST)


def proposed(by: User, **others: Any) -> Approval:
    said: dict[str, Any] = {"subject": "signal:1", "facts": {"which": "back"}, "reason": REASON, "at": NOON}
    return approvals.propose(ACTS["test.open"], by=by, **(said | others))


def at_the_desk(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def test_a_second_person_lets_it_happen_and_every_step_is_written_down(
    door: Door, ann: User, sue: User, recorded: Recorded
) -> None:
    proposal = proposed(ann)
    assert door.opened_by == ""
    assert approvals.approve(proposal.pk, by=sue, at=LATER) == "Opened the back door."
    assert (door.opened_by, door.held) == (f"staff:{sue.pk}", 1)
    proposal.refresh_from_db()
    assert (proposal.state, proposal.decider, proposal.decided_at) == ("granted", sue, LATER)
    first, _act, last = [event for event in recorded() if event["action"][:5] in {"appro", "staff"}][-3:]
    assert [first["action"], last["action"]] == ["approval.proposed", "approval.granted"]
    assert [first["actor"], last["actor"]] == [f"staff:{ann.pk}", f"staff:{sue.pk}"]
    assert (
        first["facts"]
        == last["facts"]
        == {
            "act": "test.open",
            "facts": {"which": "back"},
            "shown": bytes(proposal.shown).hex(),
        }
    )
    assert last["subjects"] == [f"approval:{proposal.pk}", "signal:1", f"staff:{ann.pk}"]
    assert REASON not in str((first, last)), "what people write may name somebody: only a commitment is kept"
    assert set(first["commitments"]) == {"reason"}


def test_nobody_approves_what_they_proposed(door: Door, sue: User) -> None:
    proposal = proposed(sue)
    with pytest.raises(OwnProposal, match="somebody else"):
        approvals.approve(proposal.pk, by=sue, at=LATER)
    with pytest.raises(OwnProposal):
        approvals.refuse(proposal.pk, by=sue, reason="no", at=LATER)
    assert door.opened_by == ""


@pytest.mark.parametrize("state", ["granted", "refused"])
def test_the_database_holds_it_too(door: Door, sue: User, state: str) -> None:
    proposal = proposed(sue)
    for decider in (sue, None):
        with pytest.raises(IntegrityError, match="an_approver_is_somebody_else"), transaction.atomic():
            Approval.objects.filter(pk=proposal.pk).update(state=state, decider=decider, decided_at=LATER)


@pytest.mark.parametrize("reason", ["", "  \n"])
def test_there_is_no_proposal_without_a_reason(door: Door, ann: User, sue: User, reason: str) -> None:
    with pytest.raises(approvals.ReasonMissing):
        proposed(ann, reason=reason)
    proposal = proposed(ann)
    with pytest.raises(approvals.ReasonMissing):
        approvals.refuse(proposal.pk, by=sue, reason=reason, at=LATER)
    with pytest.raises(IntegrityError, match="a_proposal_has_a_reason"), transaction.atomic():
        Approval.objects.filter(pk=proposal.pk).update(reason=reason)


def test_an_account_made_after_the_proposal_is_no_second_person_to_it(door: Door, ann: User) -> None:
    proposal = proposed(ann)
    add_account("twin", [Role.SENIOR_ANALYST], actor="system:test", at=NOON + timedelta(minutes=1))
    with pytest.raises(OwnProposal, match="younger"):
        approvals.approve(proposal.pk, by=User.objects.get(username="twin"), at=LATER)


def test_both_hold_their_capability_at_the_moment_of_approval(door: Door, ann: User, sue: User) -> None:
    with pytest.raises(PermissionDenied):
        proposed(a_person("oscar", Role.OPERATOR))
    proposal = proposed(ann)
    with pytest.raises(PermissionDenied):
        approvals.approve(proposal.pk, by=a_person("abe", Role.ANALYST), at=LATER)
    roles_of(sue)  # what a page of hers has read before counts for nothing
    set_roles(sue, [Role.ANALYST], actor="system:test", at=NOON)
    with pytest.raises(PermissionDenied):
        approvals.approve(proposal.pk, by=sue, at=LATER)
    set_roles(sue, [Role.SENIOR_ANALYST], actor="system:test", at=NOON)
    switch_off(ann, actor="system:test", at=NOON)
    with pytest.raises(ProposerMayNot, match="ann"):
        approvals.approve(proposal.pk, by=User.objects.get(pk=sue.pk), at=LATER)
    assert door.opened_by == ""


def test_what_changed_meanwhile_is_not_approved(door: Door, ann: User, sue: User) -> None:
    proposal = proposed(ann)
    door.colour = "red"
    with pytest.raises(Stale, match="proposed anew"):
        approvals.approve(proposal.pk, by=sue, at=LATER)
    assert door.opened_by == ""
    page = at_the_desk(sue).get(f"/admin/staff/approval/{proposal.pk}/change/").content.decode()
    assert "must be proposed anew" in page
    assert "red" not in page
    door.colour = "green"
    approvals.approve(proposal.pk, by=sue, at=LATER)


def test_what_the_act_refuses_leaves_the_proposal_waiting(door: Door, ann: User, sue: User) -> None:
    proposal = proposed(ann)
    door.refusal = Refusal("The door is stuck.")
    with pytest.raises(Refusal, match="stuck"):
        approvals.approve(proposal.pk, by=sue, at=LATER)
    proposal.refresh_from_db()
    assert (proposal.state, proposal.decider) == ("waiting", None)


def test_it_is_decided_once(door: Door, ann: User, sue: User, recorded: Recorded) -> None:
    refused, withdrawn = proposed(ann), proposed(ann)
    approvals.refuse(refused.pk, by=sue, reason="not now", at=LATER)
    with pytest.raises(approvals.NotOwnProposal):
        approvals.withdraw(withdrawn.pk, by=sue, at=LATER)
    approvals.withdraw(withdrawn.pk, by=ann, at=LATER)
    for proposal in (refused, withdrawn):
        with pytest.raises(NotWaiting, match=r"refused|withdrawn"):
            approvals.approve(proposal.pk, by=sue, at=LATER)
    assert door.opened_by == ""
    assert [event["action"] for event in recorded()][-2:] == ["approval.refused", "approval.withdrawn"]
    assert "not now" not in str(recorded())


def test_it_expires(door: Door, ann: User, sue: User, recorded: Recorded) -> None:
    asked_late, swept = proposed(ann), proposed(ann)
    late = NOON + timedelta(hours=72)
    assert approvals.expire_proposals(at=late - timedelta(seconds=1)) == 0
    with pytest.raises(NotWaiting, match="expired at 2026-11-06 12:00"):
        approvals.approve(asked_late.pk, by=sue, at=late)
    assert approvals.expire_proposals(at=late) == 1
    assert approvals.expire_proposals(at=late) == 0
    assert set(Approval.objects.values_list("state", flat=True)) == {"expired"}
    assert [event["actor"] for event in recorded() if event["action"] == "approval.expired"] == 2 * ["system:approvals"]
    assert swept.pk != asked_late.pk


def test_what_waits_in_a_backup_is_over_since_it_may_have_been_refused(
    door: Door, ann: User, sue: User, recorded: Recorded
) -> None:
    done, waits = proposed(ann), proposed(ann)
    approvals.approve(done.pk, by=sue, at=LATER)
    for expected in ([waits], []):
        assert approvals.expire_restored(actor="system:restore", at=LATER) == expected
    with pytest.raises(NotWaiting, match="expired"):
        approvals.approve(waits.pk, by=sue, at=LATER)
    assert set(Approval.objects.values_list("pk", "state")) == {(done.pk, "granted"), (waits.pk, "expired")}
    assert (recorded()[-1]["action"], recorded()[-1]["actor"]) == ("approval.expired", "system:restore")


def test_without_the_ledger_nothing_is_proposed_or_done(
    door: Door, ann: User, sue: User, ledger_refuses: LedgerRefuses
) -> None:
    proposal = proposed(ann)
    for step in (
        lambda: proposed(ann),
        lambda: approvals.approve(proposal.pk, by=sue, at=LATER),
        lambda: approvals.refuse(proposal.pk, by=sue, reason="no", at=LATER),
        lambda: approvals.withdraw(proposal.pk, by=ann, at=LATER),
        lambda: approvals.expire_proposals(at=NOON + timedelta(days=30)),
        lambda: approvals.expire_restored(actor="system:restore", at=LATER),
    ):
        with ledger_refuses(), transaction.atomic():
            step()
    assert list(Approval.objects.values_list("state", flat=True)) == ["waiting"]


# ---------------------------------------------------------------- the page
def test_the_page_shows_exactly_what_will_happen_and_does_it(door: Door, ann: User, sue: User) -> None:
    proposal = proposed(ann, at=datetime.now(UTC))
    desk, address = at_the_desk(sue), f"/admin/staff/approval/{proposal.pk}"
    front = desk.get("/admin/").content.decode()
    assert "wait for you as the second person" in front
    assert "Waiting for a second person" in front
    assert "Open a door" in desk.get("/admin/staff/approval/").content.decode()
    for page in (f"{address}/change/", f"{address}/do/approve/"):
        text = desk.get(page).content.decode()
        assert all(said in text for said in ("back", "green", REASON, "ann"))
        assert "Withdraw" not in text
    answer = desk.post(f"{address}/do/approve/", follow=True)
    assert "Opened the back door." in answer.content.decode()
    assert door.opened_by == f"staff:{sue.pk}"
    assert "Open a door" not in desk.get("/admin/staff/approval/").content.decode(), "it waits no longer"
    assert "Open a door" in desk.get("/admin/staff/approval/?state=decided").content.decode()


def test_who_proposed_it_sees_no_button_but_to_withdraw(door: Door, sue: User) -> None:
    proposal = proposed(sue, at=datetime.now(UTC))
    desk, address = at_the_desk(sue), f"/admin/staff/approval/{proposal.pk}"
    page = desk.get(f"{address}/change/").content.decode()
    assert f"{address}/do/withdraw/" in page
    assert f"{address}/do/approve/" not in page
    assert "of yours wait for a second person" in desk.get("/admin/").content.decode()
    assert "somebody else decides" in desk.post(f"{address}/do/approve/").content.decode()
    assert door.opened_by == ""


def test_a_forged_role_or_approver_changes_nothing(door: Door, ann: User, sue: User) -> None:
    proposal = proposed(ann, at=datetime.now(UTC))
    forged = {
        "by": sue.pk,
        "user": sue.pk,
        "decider": sue.pk,
        "decider_id": sue.pk,
        "approver": sue.pk,
        "role": "senior analyst",
        "roles": "senior analyst",
        "actor": f"staff:{sue.pk}",
        "state": "granted",
        "is_superuser": "1",
        "act": "test.other",
        "proposer": sue.pk,
        "expires_at": "2099-01-01",
    }
    address = f"/admin/staff/approval/{proposal.pk}"
    before = Approval.objects.values().get()
    for somebody in (ann, a_person("abe", Role.ANALYST), a_person("audrey", Role.AUDITOR)):
        desk = at_the_desk(somebody)
        for page in (f"{address}/do/approve/", f"{address}/change/", f"{address}/do/refuse/"):
            assert desk.post(page, forged | {"reason": "x"}).status_code == 403
    assert Approval.objects.values().get() == before
    at_the_desk(sue).post(f"{address}/do/approve/", forged | {"decider": ann.pk})
    proposal.refresh_from_db()
    assert (proposal.state, proposal.decider) == ("granted", sue)


def test_an_act_of_another_version_cannot_be_approved(door: Door, ann: User, sue: User) -> None:
    proposal = proposed(ann, at=datetime.now(UTC))
    Approval.objects.update(act="test.gone")
    desk, address = at_the_desk(sue), f"/admin/staff/approval/{proposal.pk}"
    assert desk.get(f"{address}/change/").status_code == 200
    assert "does not know" in desk.post(f"{address}/do/approve/").content.decode()


# ---------------------------------------------------------------- roles, by two
def test_other_roles_need_somebody_else(recorded: Recorded) -> None:
    olga, pat = a_person("olga", Role.OPERATOR), a_person("pat", Role.OPERATOR)
    robin = a_person("robin", Role.ANALYST)
    address = f"/admin/auth/user/{robin.pk}/do/set-roles/"
    given = {"roles": ["auditor", "analyst"], "reason": REASON}
    assert at_the_desk(robin).post(address, given).status_code in {403, 404}
    assert at_the_desk(olga).post(address, given).status_code == 302
    assert roles_of(User.objects.get(pk=robin.pk)) == {Role.ANALYST}
    proposal = Approval.objects.get()
    text = at_the_desk(pat).get(f"/admin/staff/approval/{proposal.pk}/do/approve/").content.decode()
    assert "analyst, auditor" in text
    approvals.approve(proposal.pk, by=pat, at=datetime.now(UTC))
    assert roles_of(User.objects.get(pk=robin.pk)) == {Role.ANALYST, Role.AUDITOR}
    actions = [event["action"] for event in recorded()]
    assert actions[-3:] == ["approval.proposed", "staff.roles-changed", "approval.granted"]


@pytest.mark.parametrize("role", ["superuser", "root", "Operator", "operator "])
def test_a_role_that_a_form_was_made_to_send_is_refused_in_words(role: str) -> None:
    robin, desk = a_person("robin", Role.ANALYST), at_the_desk(a_person("olga", Role.OPERATOR))
    forged = {"roles": ["analyst", role], "reason": REASON, "groups": "1", "is_superuser": "on", "is_staff": "on"}
    page = desk.post(f"/admin/auth/user/{robin.pk}/do/set-roles/", forged).content.decode()
    assert f"{role} is not one of the available choices" in page
    assert REASON in page, "nothing typed is lost"
    assert not Approval.objects.exists()
    for address in (f"/admin/auth/user/{robin.pk}/change/", "/admin/auth/user/add/"):
        assert desk.post(address, forged | {"username": "robin"}).status_code == 403, "no form writes accounts"
    robin.refresh_from_db()
    assert not robin.is_superuser
    assert roles_of(User.objects.get(pk=robin.pk)) == {Role.ANALYST}


def test_nobody_is_the_second_person_to_their_own_rights() -> None:
    olga, pat = a_person("olga", Role.OPERATOR), a_person("pat", Role.OPERATOR)
    facts = {"roles": ["operator", "compliance"]}
    proposal = approvals.propose(SET_ROLES, by=olga, subject=f"staff:{pat.pk}", facts=facts, reason=REASON, at=NOON)
    with pytest.raises(OwnRights):
        approvals.approve(proposal.pk, by=pat, at=LATER)
    assert roles_of(User.objects.get(pk=pat.pk)) == {Role.OPERATOR}


def test_an_operator_switches_somebody_off_alone() -> None:
    robin = a_person("robin", Role.ANALYST)
    desk = at_the_desk(a_person("olga", Role.OPERATOR))
    assert desk.post(f"/admin/auth/user/{robin.pk}/do/switch-off/").status_code == 302
    robin.refresh_from_db()
    assert not robin.is_active
