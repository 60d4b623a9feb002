"""A decision about many: seen before it happens, by two people where it is large, each signal once, and taken back."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import IntegrityError, connection, transaction
from django.test.utils import CaptureQueriesContext
from pytest_django import Settings

from hub.staff import approvals
from hub.staff.models import Approval
from hub.staff.roles import Role
from partners.models import Programme
from signals.bulk import deeds, drafting, running, second_person, working
from signals.bulk.refusals import NotNow, TakesTwo, TooManyChosen
from signals.cases import claiming, talking
from signals.cases.opening import open_case, open_held
from signals.cases.refusals import InvalidDecision, NotIndependent
from signals.core.bulk import DECIDES, MEANINGS, SENTENCES, STATES, Deed, Filter, ItemState, Skip, reasons_of
from signals.core.cases import CaseKind, PauseReason
from signals.core.refusals import ParameterInvalid
from signals.lifecycle import rule
from signals.models import BulkItem, BulkRun, Case, CaseEvent, Signal, Weight
from signals.voices import standing_ruling
from tests.admin.scene import a_person, hold_many
from tests.builders import a_programme
from tests.bulk.conftest import LedgerRefuses, Recorded
from tests.companies import Company, a_company, now, settle

pytestmark = pytest.mark.django_db
ANN, BEN = "staff:7", "staff:8"
POLICY = "CSEA handbook 4.2"
CSEA = Filter(programme="csea")
REASON = {
    Deed.APPROVE: "sound",
    Deed.REFUSE: "flood",
    Deed.DISPUTE: "benign-value",
    Deed.REFUTE: "benign-value",
    Deed.LIFT: "unfounded-dispute",
}


@pytest.fixture
def csea(db: None) -> Programme:
    return a_programme("csea")


@pytest.fixture
def cedar(csea: Programme) -> Company:
    """On probation: what it says is held."""
    return a_company("cedar-video", csea, is_probationary=True)


@pytest.fixture
def acme(csea: Programme) -> Company:
    """In good standing: what it says is published."""
    return a_company("acme-social", csea)


def published(company: Company, count: int) -> list[Signal]:
    company.say(*(company.sign(company.signal(f"https://bad.example/{company.slug}/{n}")) for n in range(count)))
    settle()
    return list(Signal.objects.filter(issuer_id=company.partner.pk).order_by("id"))


def draft(deed: Deed, wanted: Filter = CSEA, *, actor: str = ANN, **how: Any) -> BulkRun:
    return drafting.draft(deed, wanted, **{"reason": REASON[deed], "policy": POLICY, "at": now(), **how}, actor=actor)


def run_all(run: BulkRun) -> BulkRun:
    while working.work_next(clock=now):
        pass
    run.refresh_from_db()
    return run


def applied(run: BulkRun, *, at: datetime | None = None) -> BulkRun:
    running.apply(run.pk, actor=run.asked_by, at=at or now())
    return run_all(run)


def undone(run: BulkRun, *, actor: str = BEN, at: datetime | None = None) -> BulkRun:
    running.undo(run.pk, actor=actor, at=at or now())
    return run_all(run)


def states() -> list[str]:
    return sorted(Signal.objects.values_list("state", flat=True))


def counts(run: BulkRun) -> dict[str, dict[str, int]]:
    return {heading: dict(rows) for heading, rows in run.counts}


def test_a_dry_run_says_what_would_change_and_touches_nothing(cedar: Company, recorded: Recorded) -> None:
    hold_many(cedar, 3)
    before = len(recorded())
    run = draft(Deed.REFUSE)
    run.refresh_from_db()
    assert (run.would, run.left_out, run.state, run.needs_two) == (3, 0, "draft", False)
    assert counts(run) == {
        "What becomes of them": {"held, unreviewed → refused": 3},
        "Said by": {"cedar-video": 3},
        "Type": {"username": 3},
        "Violation": {Signal.objects.all()[0].violation: 3},
        "Held because": {"probation": 3},
    }
    assert states() == ["held"] * 3
    assert not Case.objects.exists()
    [leaf] = recorded()[before:]
    assert (leaf["action"], leaf["facts"]["would"], leaf["facts"]["root"]) == ("bulk.drafted", 3, run.root)
    assert not working.work_next(clock=now), "nothing is to be done"


def test_each_signal_is_decided_as_a_person_decides_one(cedar: Company, recorded: Recorded) -> None:
    hold_many(cedar, 3)
    open_held(at=now())
    run = applied(draft(Deed.REFUSE))
    assert states() == ["refused"] * 3
    assert (run.state, run.done, run.skipped) == ("done", 3, 0)
    for case in Case.objects.all():
        assert (case.state, case.outcome, case.reason, case.decided_by) == ("decided", "refused", "flood", ANN)
        assert CaseEvent.objects.get(case=case, kind="decided").facts["bulk"] == str(run.pk)
    said = [event["action"] for event in recorded()]
    assert [said.count(action) for action in ("bulk.started", "hold.refused", "case.decided", "bulk.ended")] == [
        *(1, 3, 3, 1)
    ]
    started, ended = (next(e for e in recorded() if e["action"] == f"bulk.{name}") for name in ("started", "ended"))
    assert (started["facts"]["root"], set(started["commitments"])) == (run.root, {"policy"})
    assert (ended["facts"]["done"], ended["facts"]["skipped"]) == (3, 0)


def test_what_happened_since_the_dry_run_is_left_out_and_listed(cedar: Company) -> None:
    hold_many(cedar, 7)
    open_held(at=now())
    run = draft(Deed.REFUSE)
    first, second, third, fourth, fifth, *_ = Case.objects.order_by("signal_id")
    assert first.signal_id is not None
    Signal.objects.filter(pk=first.signal_id).update(state="withdrawn", removal="withdrawn", removed_at=now())
    talking.comment(second.pk, "Wait", actor=BEN, at=now())
    claiming.claim(third.pk, actor=BEN, at=now())
    Signal.objects.filter(pk__in=[fourth.signal_id]).update(held_reasons=["probation", "flood"])
    Signal.objects.filter(pk__in=[fifth.signal_id]).update(received_at=now())  # said anew, and held anew
    run = applied(run)
    assert (run.state, run.done, run.skipped) == ("done", 2, 5)
    left = BulkItem.objects.filter(run=run, state="skipped")
    assert {(item.signal_id, item.why) for item in left} == {
        (case.signal_id, "changed") for case in (first, second, third, fourth, fifth)
    }
    assert "since the dry run" in left[0].said
    assert states() == [*["held"] * 4, *["refused"] * 2, "withdrawn"]


def test_weighing_what_a_run_decided_is_no_change_to_the_others_of_the_value(
    acme: Company, csea: Programme, monkeypatch: pytest.MonkeyPatch
) -> None:
    for company in (acme, *(a_company(f"other-{number}", csea) for number in range(3))):
        company.say(company.sign(company.signal("https://bad.example/same")))
    settle()
    assert set(Weight.objects.values_list("standing", flat=True)) == {"corroborated"}
    run, decide = draft(Deed.DISPUTE), deeds.do

    def and_weigh(*args: Any, **how: Any) -> Any:
        done = decide(*args, **how)
        settle()
        return done

    monkeypatch.setattr(deeds, "do", and_weigh)
    run = applied(run)
    assert (run.done, run.skipped) == (4, 0)


def test_what_was_said_of_a_signal_since_the_dry_run_is_a_change(acme: Company, csea: Programme) -> None:
    birch = a_company("birch-chat", csea)
    said = [acme.sign(acme.signal(f"https://bad.example/{n}")) for n in range(4)]
    acme.say(*said)
    settle()
    before, taken_back = (birch.opinion(each, "false-positive") for each in said[:2])
    birch.say(before, taken_back)
    settle()
    run = draft(Deed.REFUTE)
    birch.say(birch.retraction(taken_back), birch.opinion(said[2], "false-positive"))
    settle()
    run = applied(run)
    assert (run.done, run.skipped) == (2, 2), "what was said before, and of the last nothing"


def test_a_case_that_the_sweep_opened_since_is_no_change(cedar: Company) -> None:
    hold_many(cedar, 2)
    run = draft(Deed.REFUSE)
    assert open_held(at=now()) == 2
    assert applied(run).done == 2


def test_a_dry_run_leaves_out_what_others_are_at_and_says_so(cedar: Company) -> None:
    hold_many(cedar, 4)
    open_held(at=now())
    first, second, third, _ = Case.objects.order_by("signal_id")
    claiming.claim(first.pk, actor=BEN, at=now())
    claiming.claim(second.pk, actor=ANN, at=now())
    talking.pause(third.pk, PauseReason.PARTNER, text="", actor=BEN, at=now())
    run = draft(Deed.REFUSE)
    assert counts(run)["Left out"] == {"claimed": 1, "paused": 1}
    run = applied(run)
    assert (run.done, run.skipped) == (2, 0), "one's own claim is no hindrance"


def test_what_would_not_be_taken_today_is_not_approved(cedar: Company) -> None:
    first, *_ = hold_many(cedar, 2)
    Signal.objects.filter(pk=first.pk).update(expires_at=now() - timedelta(seconds=1))
    run = draft(Deed.APPROVE)
    [item] = BulkItem.objects.filter(run=run, state="skipped")
    assert (item.signal_id, item.why) == (first.pk, "not-publishable")
    assert "expired" in item.said
    applied(run)
    settle()
    assert states() == ["held", "published"]


@pytest.mark.parametrize(
    ("wanted", "count"),
    [
        (Filter(programme="csea", partner="acme-social"), 2),
        (Filter(programme="csea", partner="nobody"), 0),
        (Filter(programme="ncii"), 0),
        (Filter(programme="csea", type="url"), 2),
        (Filter(programme="csea", type="email"), 0),
        (Filter(programme="csea", held="probation"), 0),
        (Filter(programme="csea", violation="no-such"), 0),
        (Filter(programme="csea", since="2020-01-01T00:00:00+00:00", until="2100-01-01T00:00:00+00:00"), 2),
        (Filter(programme="csea", until="2020-01-01T00:00:00+00:00"), 0),
        (Filter(programme="csea", key="A" * 43), 0),
        (Filter(programme="csea", case="dispute"), 1),
        (Filter(programme="csea", cause="benign-value"), 0),
    ],
)
def test_what_a_filter_finds(acme: Company, wanted: Filter, count: int) -> None:
    [first, _] = published(acme, 2)
    Case.objects.create(kind="dispute", signal_id=first.pk, opened_at=now(), due_at=now())
    if count:
        assert draft(Deed.REFUTE, wanted).would == count
    else:
        with pytest.raises(InvalidDecision, match="finds no signal"):
            draft(Deed.REFUTE, wanted)


def test_a_filter_by_key_finds_what_that_key_signed(acme: Company) -> None:
    published(acme, 2)
    assert draft(Deed.DISPUTE, Filter(programme="csea", key=acme.key.row.kid)).would == 2


@pytest.mark.parametrize("bad", [{"programme": ""}, {"partner": "No Slug"}, {"held": "a b"}, {"since": "2026-01-01"}])
def test_a_filter_takes_the_hubs_own_words_only(bad: dict[str, str]) -> None:
    with pytest.raises(ParameterInvalid):
        Filter(**{"programme": "csea", **bad})


def test_a_dry_run_names_a_reason_and_a_policy_and_is_bounded(cedar: Company, settings: Settings) -> None:
    hold_many(cedar, 3)
    bad: list[dict[str, Any]] = [{"reason": "poor"}, {"policy": ""}]
    for how in bad:
        with pytest.raises(InvalidDecision):
            draft(Deed.REFUSE, **how)
    settings.BULK_MOST = 2
    with pytest.raises(TooManyChosen, match="Narrow it"):
        draft(Deed.REFUSE)
    assert not BulkRun.objects.exists()


def test_served_signals_are_disputed_refuted_and_lifted_and_each_is_undone(acme: Company) -> None:
    first, *_ = published(acme, 3)
    rule.dispute(first.pk, reason="account-closed", actor=BEN, at=now())
    run = applied(draft(Deed.DISPUTE))
    assert (run.done, states()) == (2, ["restricted"] * 3)
    run = undone(run)
    assert (run.state, run.undone, run.kept) == ("undone", 2, 0)
    assert states() == ["published"] * 2 + ["restricted"]

    run = applied(draft(Deed.REFUTE))
    assert {row.standing for row in Weight.objects.all()} == {"refuted"}
    with pytest.raises(InvalidDecision):
        draft(Deed.DISPUTE)
    assert counts(draft(Deed.REFUTE))["Left out"] == {"ruled-already": 3}
    undone(run)
    assert states() == ["published"] * 2 + ["restricted"]
    ruling = standing_ruling(first.pk)
    assert ruling is not None
    assert (ruling.ruled, ruling.reason) == ("disputed", "account-closed"), "exactly where it was"

    run = draft(Deed.LIFT)
    assert (run.would, run.left_out) == (1, 0), "only what is disputed"
    applied(run)
    assert states() == ["published"] * 3
    undone(run)
    assert states() == ["published"] * 2 + ["restricted"]


def test_what_is_appealed_is_left_to_whoever_judges_the_appeal(acme: Company) -> None:
    first, *_ = published(acme, 2)
    Case.objects.create(kind="appeal", signal_id=first.pk, opened_at=now(), due_at=now())
    run = draft(Deed.REFUTE)
    assert (run.would, counts(run)["Left out"]) == (1, {"appealed": 1})


@pytest.mark.parametrize("deed", [Deed.REFUTE, Deed.LIFT])
def test_what_is_appealed_since_the_dry_run_is_left_to_that_judge_too(acme: Company, deed: Deed) -> None:
    first, second = published(acme, 2)
    for signal in (first, second):
        rule.dispute(signal.pk, reason="benign-value", actor=BEN, at=now())
    run = draft(deed)
    Case.objects.create(kind="appeal", signal_id=first.pk, opened_at=now(), due_at=now())
    run = applied(run)
    assert (run.done, run.skipped) == (1, 1)
    assert "appeal" in run.items.get(signal_id=first.pk).said


def test_undoing_says_what_could_not_be_undone(cedar: Company) -> None:
    hold_many(cedar, 3)
    run = applied(draft(Deed.APPROVE))
    settle()
    assert states() == ["published"] * 3
    run = undone(run)
    assert (run.state, run.undone, run.kept) == ("undone", 0, 3)
    assert {item.state for item in run.items.all()} == {"kept"}
    assert "published" in run.items.all()[0].said


def test_a_case_decided_anew_since_is_not_undone(cedar: Company) -> None:
    hold_many(cedar, 2)
    run = applied(draft(Deed.REFUSE))
    case = Case.objects.order_by("signal_id")[0]
    Case.objects.filter(pk=case.pk).update(decided_by=BEN)
    run = undone(run)
    assert (run.undone, run.kept) == (1, 1)


def test_the_window_is_that_of_each_decision_by_when_undoing_was_asked_for(cedar: Company) -> None:
    hold_many(cedar, 2)
    run = applied(draft(Deed.REFUSE))
    item = run.items.order_by("number")[0]
    long_ago = now() - timedelta(minutes=31)
    BulkItem.objects.filter(pk=item.pk).update(at=long_ago)
    Case.objects.filter(pk__in=[item.case_id]).update(decided_at=long_ago)
    running.undo(run.pk, actor=BEN, at=now())
    later = now() + timedelta(hours=2)
    while working.work_next(clock=lambda: later):
        pass
    run.refresh_from_db()
    assert (run.undone, run.kept) == (1, 1)
    with pytest.raises(NotNow, match="within 30 minutes"):
        running.undo(run.pk, actor=BEN, at=now() + timedelta(minutes=31))


def test_undoing_that_failed_and_is_taken_up_later_counts_from_when_it_was_first_asked_for(
    acme: Company, monkeypatch: pytest.MonkeyPatch
) -> None:
    published(acme, 2)
    run = applied(draft(Deed.DISPUTE))
    running.undo(run.pk, actor=BEN, at=now())
    BulkRun.objects.update(attempts=7)

    def failing(*_: Any, **__: Any) -> None:
        raise RuntimeError("out of order")

    with monkeypatch.context() as broken:
        broken.setattr(deeds, "undo", failing)
        working.work_next(clock=now)
    run.refresh_from_db()
    assert run.state == "stopped"
    running.undo(run.pk, actor=BEN, at=now() + timedelta(minutes=40))
    BulkRun.objects.update(next_attempt_at=now())
    run = run_all(run)
    assert (run.state, run.undone, run.kept) == ("undone", 2, 0)


def test_a_run_stops_between_two_signals_and_goes_on(cedar: Company, monkeypatch: pytest.MonkeyPatch) -> None:
    hold_many(cedar, 4)
    run = draft(Deed.REFUSE)
    running.apply(run.pk, actor=ANN, at=now())
    decide = deeds.do

    def stopping(row: BulkRun, item: BulkItem, *, at: datetime) -> Any:
        done = decide(row, item, at=at)
        if item.number == 2:
            BulkRun.objects.filter(pk=row.pk).update(state="stopped", ended_at=at, lease_token=None, lease_until=None)
        return done

    monkeypatch.setattr(deeds, "do", stopping)
    run = run_all(run)
    assert (run.state, run.done, states()) == ("stopped", 2, ["held"] * 2 + ["refused"] * 2)
    running.go_on(run.pk, actor=BEN, at=now())
    running.stop(run.pk, actor=BEN, at=now())
    assert not working.work_next(clock=now)
    running.go_on(run.pk, actor=BEN, at=now())
    run = run_all(run)
    assert (run.state, run.done) == ("done", 4)


def test_a_stopped_run_is_undone_as_far_as_it_came(cedar: Company) -> None:
    hold_many(cedar, 3)
    run = draft(Deed.REFUSE)
    running.apply(run.pk, actor=ANN, at=now())
    assert working.work_next(clock=now, seconds=0.0)
    assert BulkRun.objects.get().lease_token is None, "given back, for others"
    running.stop(run.pk, actor=ANN, at=now())
    with pytest.raises(NotNow):
        running.undo(run.pk, actor=ANN, at=now())
    running.go_on(run.pk, actor=ANN, at=now())
    run = run_all(run)
    undone(run)
    assert states() == ["held"] * 3


def test_a_run_whose_workers_all_die_is_stopped(cedar: Company, recorded: Recorded) -> None:
    hold_many(cedar, 2)
    run = draft(Deed.REFUSE)
    running.apply(run.pk, actor=ANN, at=now())
    BulkRun.objects.update(attempts=8)  # each time it was claimed, and no word since
    assert working.work_next(clock=now)
    run.refresh_from_db()
    assert (run.state, run.done, run.next_attempt_at) == ("stopped", 0, None)
    assert "a worker that died" in run.failure
    assert recorded()[-1]["action"] == "bulk.stopped"
    running.go_on(run.pk, actor=ANN, at=now())
    assert run_all(run).done == 2


def test_what_a_backup_has_at_work_waits_for_a_person(
    cedar: Company, recorded: Recorded, ledger_refuses: LedgerRefuses
) -> None:
    hold_many(cedar, 2)
    drafted, run = draft(Deed.APPROVE), draft(Deed.REFUSE)
    running.apply(run.pk, actor=ANN, at=now())
    with ledger_refuses():
        running.stop_restored(actor="system:restore", at=now())
    assert BulkRun.objects.get(pk=run.pk).state == "applying"
    assert [each.pk for each in running.stop_restored(actor="system:restore", at=now())] == [run.pk]
    assert running.stop_restored(actor="system:restore", at=now()) == []
    assert not working.work_next(clock=now)
    run.refresh_from_db()
    assert (run.state, recorded()[-1]["action"]) == ("stopped", "bulk.stopped")
    assert "restored from a backup" in run.failure
    assert BulkRun.objects.get(pk=drafted.pk).state == "draft"
    running.go_on(run.pk, actor=BEN, at=now())
    assert run_all(run).done == 2


def test_who_was_overtaken_does_nothing_more(cedar: Company, monkeypatch: pytest.MonkeyPatch) -> None:
    hold_many(cedar, 2)
    run = draft(Deed.REFUSE)
    running.apply(run.pk, actor=ANN, at=now())
    read = working._items

    def overtaken(run_id: Any) -> list[BulkItem]:
        items = read(run_id)
        monkeypatch.setattr(working, "_items", read)
        BulkRun.objects.filter(pk=run_id).update(lease_until=now() - timedelta(seconds=1))
        working.work_next(clock=now)  # the lease had run out: another does it all
        return items

    monkeypatch.setattr(working, "_items", overtaken)
    run = run_all(run)
    assert (run.state, run.done, run.skipped) == ("done", 2, 0)
    assert CaseEvent.objects.filter(kind="decided").count() == 2


def test_what_fails_again_and_again_stops_and_says_so(cedar: Company, monkeypatch: pytest.MonkeyPatch) -> None:
    hold_many(cedar, 2)
    run = draft(Deed.REFUSE)
    running.apply(run.pk, actor=ANN, at=now())

    def failing(*_: Any, **__: Any) -> None:
        raise RuntimeError("out of order")

    with monkeypatch.context() as broken:
        broken.setattr(deeds, "do", failing)
        for _ in range(20):
            BulkRun.objects.filter(next_attempt_at__isnull=False).update(next_attempt_at=now())
            if not working.work_next(clock=now):
                break
    run.refresh_from_db()
    assert (run.state, run.done) == ("stopped", 0)
    assert run.failure == "It failed 8 times at one signal, at last of RuntimeError."
    running.go_on(run.pk, actor=ANN, at=now())
    assert run_all(run).done == 2


# ---------------------------------------------------------------- two people
def test_many_take_two_people_and_the_second_sees_the_dry_run(
    cedar: Company, settings: Settings, recorded: Recorded
) -> None:
    rosa, otto = a_person("rosa", Role.ANALYST), a_person("otto", Role.ANALYST)
    settings.BULK_ALONE = 2
    hold_many(cedar, 3)
    run = draft(Deed.REFUSE, actor=f"staff:{rosa.pk}")
    assert run.needs_two
    with pytest.raises(TakesTwo, match="2 signals an hour"):
        running.apply(run.pk, actor=run.asked_by, at=now())
    second_person.propose(run.pk, why="A burst", by=rosa, at=now())
    waiting = Approval.objects.get()
    shown = dict(approvals.description(waiting))
    assert shown["Signals"] == "3 would change, 0 are left out"
    assert (shown["Said by"], shown["Frozen as"]) == ("3 cedar-video", run.root)
    with pytest.raises(approvals.OwnProposal):
        approvals.approve(waiting.pk, by=rosa, at=now())
    with pytest.raises(NotNow):
        running.apply(run.pk, actor=run.asked_by, at=now())
    assert approvals.approve(waiting.pk, by=otto, at=now()) == "3 signals are being decided."
    run = run_all(run)
    assert (run.state, run.done, run.approved_by) == ("done", 3, f"staff:{otto.pk}")
    assert Case.objects.all()[0].decided_by == f"staff:{rosa.pk}"
    [started] = [event for event in recorded() if event["action"] == "bulk.started"]
    assert started["facts"]["approved_by"] == f"staff:{otto.pk}"


def test_who_proposes_is_locked_before_the_run_as_whoever_approves_locks(cedar: Company) -> None:
    rosa = a_person("rosa", Role.ANALYST)
    hold_many(cedar, 1)
    run = draft(Deed.REFUSE, actor=f"staff:{rosa.pk}")
    with CaptureQueriesContext(connection) as asked:
        second_person.propose(run.pk, why="Look, please", by=rosa, at=now())
    locked = [query["sql"] for query in asked if " FOR " in query["sql"] and "UPDATE" in query["sql"]]
    tables = [next(name for name in ("auth_user", "signals_bulkrun") if name in sql) for sql in locked[:2]]
    assert tables == ["auth_user", "signals_bulkrun"]


def test_a_proposal_that_comes_to_nothing_leaves_the_dry_run(cedar: Company) -> None:
    rosa, otto = a_person("rosa", Role.ANALYST), a_person("otto", Role.ANALYST)
    hold_many(cedar, 1)
    run = draft(Deed.REFUSE, actor=f"staff:{rosa.pk}")
    second_person.propose(run.pk, why="Look, please", by=rosa, at=now())
    with pytest.raises(NotNow):
        second_person.propose(run.pk, why="again", by=rosa, at=now())
    approvals.refuse(Approval.objects.get().pk, by=otto, reason="no", at=now())
    assert BulkRun.objects.get().state == "draft"
    assert applied(run).done == 1


def test_who_agreed_to_a_run_does_not_judge_an_appeal_about_what_it_decided(acme: Company, settings: Settings) -> None:
    settings.BULK_ALONE = 0
    rosa, otto = a_person("rosa", Role.ANALYST), a_person("otto", Role.ANALYST)
    [signal] = published(acme, 1)
    run = draft(Deed.DISPUTE, actor=f"staff:{rosa.pk}")
    second_person.propose(run.pk, why="A burst", by=rosa, at=now())
    approvals.approve(Approval.objects.get().pk, by=otto, at=now())
    assert run_all(run).done == 1
    case = open_case(CaseKind.APPEAL, signal_id=signal.pk, programme_id=run.programme_id, actor=BEN, at=now())
    for state in (ItemState.DONE, ItemState.UNDONE):
        assert BulkItem.objects.get().state == state
        for person in (rosa, otto):
            assert claiming.claim_next(actor=f"staff:{person.pk}", at=now(), kinds=[CaseKind.APPEAL]) is None
            with pytest.raises(NotIndependent):
                claiming.claim(case.pk, actor=f"staff:{person.pk}", at=now())
        if state is ItemState.DONE:
            undone(run)
    BulkItem.objects.update(state=ItemState.SKIPPED.value)
    assert claiming.claim_next(actor=f"staff:{otto.pk}", at=now()) == case, "it decided nothing about that one"


def test_many_small_runs_in_a_row_take_two_people_too(cedar: Company, settings: Settings) -> None:
    settings.BULK_ALONE = 3
    hold_many(cedar, 2)
    applied(draft(Deed.REFUSE))
    cedar.say(*(cedar.sign(cedar.signal(f"https://bad.example/{n}")) for n in range(2)))
    settle()
    run = draft(Deed.REFUSE)
    assert not run.needs_two
    with pytest.raises(TakesTwo):
        running.apply(run.pk, actor=ANN, at=now())
    BulkRun.objects.filter(state="done").update(started_at=now() - timedelta(minutes=61))
    assert applied(run).done == 2


def test_runs_that_were_stopped_at_once_do_not_all_go_on_in_one_hour(cedar: Company, settings: Settings) -> None:
    settings.BULK_ALONE = 3
    hold_many(cedar, 2)
    one, other = draft(Deed.REFUSE), draft(Deed.REFUSE)
    for run, hours in ((one, 3), (other, 2)):
        running.apply(run.pk, actor=ANN, at=now() - timedelta(hours=hours))
        running.stop(run.pk, actor=ANN, at=now() - timedelta(hours=hours))
    running.go_on(one.pk, actor=ANN, at=now())
    with pytest.raises(TakesTwo, match="Somebody else lets it go on"):
        running.go_on(other.pk, actor=ANN, at=now())
    assert BulkRun.objects.get(pk=other.pk).state == "stopped"
    running.go_on(other.pk, actor=BEN, at=now())


def test_what_others_bear_out_is_refuted_by_two_people_however_few(acme: Company, csea: Programme) -> None:
    birch = a_company("birch-chat", csea)
    rosa, otto = a_person("rosa", Role.ANALYST), a_person("otto", Role.ANALYST)
    published(acme, 2)
    birch.say(birch.sign(birch.signal("https://bad.example/acme-social/0")))
    settle()
    run = draft(Deed.REFUTE, Filter(programme="csea", partner="acme-social"), actor=f"staff:{rosa.pk}")
    assert run.needs_two
    assert counts(run)["Borne out by others"] == {"seen by an independent partner itself": 1}
    second_person.propose(run.pk, why="Wrong", by=rosa, at=now())
    approvals.approve(Approval.objects.get().pk, by=otto, at=now())
    assert run_all(run).done == 2


def test_what_others_bore_out_after_the_dry_run_of_one_person_is_left_out(acme: Company, csea: Programme) -> None:
    birch = a_company("birch-chat", csea)
    published(acme, 2)
    run = draft(Deed.REFUTE, Filter(programme="csea", partner="acme-social"))
    birch.say(birch.sign(birch.signal("https://bad.example/acme-social/0")))
    settle()
    run = applied(run)
    assert (run.done, run.skipped) == (1, 1)


def test_the_database_refuses_a_run_of_many_that_nobody_else_agreed_to(cedar: Company, settings: Settings) -> None:
    settings.BULK_ALONE = 0
    hold_many(cedar, 1)
    run = draft(Deed.REFUSE)
    for approved_by in ("", ANN):
        with pytest.raises(IntegrityError, match="who_decides_about_many"), transaction.atomic():
            BulkRun.objects.filter(pk=run.pk).update(state="applying", started_at=now(), approved_by=approved_by)


def test_only_whoever_made_a_dry_run_applies_it_and_only_what_changes_something(cedar: Company) -> None:
    first, *_ = hold_many(cedar, 1)
    run = draft(Deed.REFUSE)
    with pytest.raises(NotNow):
        running.apply(run.pk, actor=BEN, at=now())
    for verb in (running.stop, running.go_on, running.undo):
        with pytest.raises(NotNow):
            verb(run.pk, actor=ANN, at=now())
    Signal.objects.filter(pk=first.pk).update(expires_at=now() - timedelta(seconds=1))
    with pytest.raises(NotNow, match="change nothing"):
        running.apply(draft(Deed.APPROVE).pk, actor=ANN, at=now())


def test_a_dry_run_that_nobody_applies_is_forgotten_and_a_run_is_not(cedar: Company) -> None:
    hold_many(cedar, 2)
    run = applied(draft(Deed.REFUSE))
    cedar.say(cedar.sign(cedar.signal()))
    settle()
    draft(Deed.REFUSE)
    assert drafting.forget_drafts(at=now() + timedelta(days=6)) == 0
    assert drafting.forget_drafts(at=now() + timedelta(days=8)) == 1
    assert list(BulkRun.objects.values_list("pk", flat=True)) == [run.pk]
    assert BulkItem.objects.count() == 2


def test_if_the_ledger_cannot_be_written_nothing_happened(cedar: Company, ledger_refuses: LedgerRefuses) -> None:
    hold_many(cedar, 2)
    with ledger_refuses():
        draft(Deed.REFUSE)
    assert not BulkRun.objects.exists()
    run = draft(Deed.REFUSE)
    with ledger_refuses():
        running.apply(run.pk, actor=ANN, at=now())
    assert BulkRun.objects.get().state == "draft"
    running.apply(run.pk, actor=ANN, at=now())
    with ledger_refuses():
        running.stop(run.pk, actor=ANN, at=now())
    assert BulkRun.objects.get().state == "applying"
    running.stop(run.pk, actor=ANN, at=now())
    with ledger_refuses():
        running.go_on(run.pk, actor=ANN, at=now())
    assert BulkRun.objects.get().state == "stopped"
    running.go_on(run.pk, actor=ANN, at=now())
    run_all(run)
    with ledger_refuses():
        running.undo(run.pk, actor=ANN, at=now())
    assert BulkRun.objects.get().state == "done"
    rosa = a_person("rosa", Role.ANALYST)
    BulkRun.objects.update(state="draft", asked_by=f"staff:{rosa.pk}")
    with ledger_refuses():
        second_person.propose(run.pk, why="x", by=rosa, at=now())
    assert BulkRun.objects.get().state == "draft"


def test_every_deed_has_its_states_its_reasons_and_its_words() -> None:
    assert set(SENTENCES) == set(STATES) == set(drafting.BECOMES) == set(Deed)
    assert set(DECIDES) == set(Deed) - {Deed.DISPUTE}
    assert all(REASON[deed] in reasons_of(deed) for deed in Deed)
    assert set(Skip) <= set(MEANINGS)
