"""A partner leaves: what ends with it, what becomes of what it said, and how it signs that it has erased the rest."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from io import StringIO
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.conf import settings
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import transaction
from django.test import Client
from heliograph_client import statements

from partners.core.states import KeyState
from partners.lifecycle.begin_membership import Terms, begin_membership
from partners.lifecycle.end_membership import end_membership
from partners.lifecycle.retire_key import retire_key
from partners.models import ApiKey, Membership, Partner, Programme, SigningKey
from signals.compliance.recall import overdue, who_had
from signals.core.leaving import RECEIPT_DUE, Erasure, Fate, Standing, is_key_of_leaver
from signals.core.leaving import standing as standing_of
from signals.core.recall import Standing as Copied
from signals.core.refusals import CannotMove, NotFound, ReceiptRefused
from signals.lifecycle import erasure, leave, review
from signals.lifecycle.effects.take import lock_issuer
from signals.lifecycle.endpoints import add_notice_endpoint
from signals.lifecycle.farewell import close_notices
from signals.lifecycle.notices import post_notices
from signals.lifecycle.quarantine import clear, revoke_compromised_key, settle_fallen_keys
from signals.models import Departure, Endpoint, Notice, Signal, Submission
from tests.builders import KeyPair, a_programme, a_signing_key
from tests.companies import Company, another_key, membership_of, now
from tests.companies import settle as take_in
from tests.lifecycle.conftest import LedgerRefuses, Recorded

pytestmark = pytest.mark.django_db
WHO: dict[str, Any] = {"actor": "staff:1"}


def settle() -> int:
    count = 0
    while done := leave.settle_departures(at=now()):
        count += done
    return count


def signed(company: Company, departure: Departure, *, key: KeyPair | None = None, **members: Any) -> bytes:
    asked = {"programme": "csea", "departure": str(departure.id), "at": now(), **members}
    payload = statements.erasure(issuer=company.slug, hub=settings.HUB_ID, **asked)
    return company.sign(payload, statements.ERASURE, key=key)


def left(company: Company) -> Departure:
    return leave.leave_programme(company.slug, "csea", at=now(), **WHO)


# ---------------------------------------------------------------- leaving
def test_who_leaves_a_programme_keeps_its_keys_and_is_told_what_it_owes(acme: Company, recorded: Recorded) -> None:
    at = now()
    departure = leave.leave_programme("acme-social", "csea", at=at, **WHO)
    member = Membership.objects.get()
    assert (member.state, member.ended_at) == ("ended", departure.left_at)
    assert (SigningKey.objects.get().state, ApiKey.objects.get().revoked_at) == ("active", None)
    assert (departure.fate, departure.due_at, departure.generation) == (
        "keep",
        departure.left_at + RECEIPT_DUE,
        1,
    )
    assert at < departure.left_at < now()
    assert [event["action"] for event in recorded()][-2:] == ["membership.ended", "departure.began"]
    told = Notice.objects.get()
    facts = {"programme": "csea", "departure": str(departure.id), "due_at": departure.due_at.isoformat()}
    assert (told.kind, told.facts) == ("departure.began", facts)
    [shown] = acme.http.get("/api/v1/departures").json()["departures"]
    assert (shown["departure"], shown["state"], shown["known_since"]) == (str(departure.id), "due", None)


def test_leaving_twice_is_leaving_once_and_a_later_stay_ends_by_itself(acme: Company) -> None:
    first = left(acme)
    assert left(acme).id == first.id
    begin_membership("acme-social", "csea", Terms(), at=now(), **WHO)
    assert left(acme).generation == 2
    assert Departure.objects.count() == 2


def test_who_leaves_the_hub_has_no_membership_and_no_key_left(acme: Company, csea: Programme) -> None:
    ncii = a_programme("ncii")
    begin_membership("acme-social", "ncii", Terms(), at=now(), **WHO)
    a_signing_key(acme.partner, state=KeyState.PROPOSED)
    departures = leave.leave_hub("acme-social", at=now(), **WHO)
    assert {each.programme_id for each in departures} == {csea.pk, ncii.pk}
    assert set(Membership.objects.values_list("state", flat=True)) == {"ended"}
    assert set(SigningKey.objects.values_list("state", flat=True)) == {"retired"}
    assert not ApiKey.objects.filter(revoked_at=None).exists()
    assert Partner.objects.get().state == "left"
    assert acme.http.get("/api/v1/departures").status_code == 401


def test_strangers_cannot_leave(acme: Company) -> None:
    a_programme("ncii")
    for partner, programme in (("nobody", "csea"), ("acme-social", "ncii")):
        with pytest.raises(NotFound):
            leave.leave_programme(partner, programme, at=now(), **WHO)
    with pytest.raises(NotFound):
        leave.leave_hub("nobody", at=now(), **WHO)


@pytest.mark.parametrize("verb", ["programme", "hub", "settle", "sign", "note"])
def test_if_the_ledger_cannot_be_written_nothing_happened(
    verb: str, acme: Company, ledger_refuses: LedgerRefuses
) -> None:
    acme.say(acme.sign(acme.signal()))
    Programme.objects.update(on_leaving="withdraw")
    departure = left(acme) if verb in {"settle", "sign", "note"} else None
    acts: dict[str, Callable[[], object]] = {
        "programme": lambda: leave.leave_programme("acme-social", "csea", at=now(), **WHO),
        "hub": lambda: leave.leave_hub("acme-social", at=now(), **WHO),
        "settle": lambda: leave.settle_departures(at=now()),
        "sign": lambda: departure and erasure.take_receipt(departure.id, signed(acme, departure), at=now()),
        "note": lambda: (
            departure and erasure.note_erasure(departure.id, Erasure.ON_PAPER, reason="file 7", at=now(), **WHO)
        ),
    }

    def everything() -> list[list[dict[str, Any]]]:
        tables: list[Any] = [Partner, Membership, SigningKey, ApiKey, Departure, Signal, Notice]
        return [list(table.objects.order_by("pk").values()) for table in tables]

    before = everything()
    with ledger_refuses(), transaction.atomic():
        acts[verb]()
    assert everything() == before
    acts[verb]()
    assert everything() != before


def test_after_a_restore_a_stay_that_the_backup_does_not_know_is_not_counted_twice(acme: Company) -> None:
    Programme.objects.update(on_leaving="withdraw")
    at, first, second = now(), uuid4(), uuid4()
    again: dict[str, Any] = {"fate": Fate.KEEP, "due_at": at + RECEIPT_DUE, "at": at}
    leave.leave_again(first, "acme-social", "csea", generation=1, **again)
    leave.leave_again(second, "acme-social", "csea", generation=2, **again)
    leave.leave_again(second, "acme-social", "csea", generation=2, **again)
    assert set(Departure.objects.values_list("id", "fate")) == {(first, "keep"), (second, "keep")}, "as it was then"
    assert Membership.objects.get().state == "ended"
    begin_membership("acme-social", "csea", Terms(), at=now(), **WHO)
    third = left(acme)
    assert (third.generation, third.fate, Departure.objects.count()) == (3, "withdraw", 3)


# ---------------------------------------------------------------- what it said
def test_by_the_rule_keep_what_was_published_stands_and_what_nobody_saw_goes(acme: Company, birch: Company) -> None:
    [out] = acme.say(acme.sign(acme.signal()))
    Partner.objects.filter(slug="acme-social").update(is_probationary=True)
    [held] = acme.say(acme.sign(acme.signal()))
    departure = left(acme)
    settle()
    departure.refresh_from_db()
    assert (departure.withdrawn, departure.settled_at is not None) == (1, True)
    states = dict(Signal.objects.values_list("id", "state"))
    assert (states[UUID(out["signal"])], states[UUID(held["signal"])]) == ("published", "withdrawn")
    assert [item["id"] for item in birch.feed()["items"]] == [out["signal"]]


def test_by_the_rule_withdraw_every_reader_is_told_of_every_signal(
    acme: Company, birch: Company, recorded: Recorded, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leave, "BATCH", 2)
    Programme.objects.update(on_leaving="withdraw")
    said = acme.say(*(acme.sign(acme.signal()) for _ in range(5)))
    [other] = birch.say(birch.sign(birch.signal()))
    page = birch.feed()
    assert len(page["items"]) == 5
    departure = left(acme)
    assert [leave.settle_departures(at=now()) for _ in range(5)] == [2, 2, 1, 1, 0]
    departure.refresh_from_db()
    assert departure.withdrawn == 5
    states = [item["state"] for item in birch.feed(after=page["next"])["items"]]
    assert states == ["withdrawn"] * 5
    assert Signal.objects.get(id=other["signal"]).state == "published"
    leaves = [event for event in recorded() if event["action"] == "signal.withdrawn"]
    assert {event["actor"] for event in leaves} == {"system:leaving"}
    assert {event["subjects"][0] for event in leaves} == {f"signal:{each['signal']}" for each in said}
    assert recorded()[-1]["facts"] == {"fate": "withdraw", "withdrawn": 5}


def test_what_is_quarantined_is_withdrawn_too_and_does_not_come_back(acme: Company) -> None:
    Programme.objects.update(on_leaving="withdraw")
    [said] = acme.say(acme.sign(acme.signal()))
    Signal.objects.update(state="quarantined", removal="quarantined", removed_at=now())
    left(acme)
    settle()
    assert Signal.objects.get(id=said["signal"]).state == "withdrawn"


def test_what_was_said_while_the_leave_waited_for_its_turn_goes_too(acme: Company) -> None:
    Programme.objects.update(on_leaving="withdraw")
    click = now()
    [said] = acme.say(acme.sign(acme.signal()))
    leave.leave_programme("acme-social", "csea", at=click, **WHO)
    settle()
    assert Signal.objects.get(id=said["signal"]).state == "withdrawn"


def test_a_batch_that_was_found_good_before_the_end_and_waited_for_its_turn_is_refused(
    acme: Company, monkeypatch: pytest.MonkeyPatch
) -> None:
    jws = acme.sign(acme.signal())
    acme.say(jws)

    def turn(partner_id: int) -> None:  # the leave is before it in the queue
        left(acme)
        lock_issuer(partner_id)

    monkeypatch.setattr("signals.lifecycle.verify.lock_issuer", turn)
    verdicts = acme.say(acme.sign(acme.signal()), acme.withdrawal(jws), b"nonsense")
    assert [verdict["code"] for verdict in verdicts] == ["not-a-member", "not-a-member", "malformed-jws"]
    assert Signal.objects.count() == 1


def test_what_a_fallen_key_had_withdrawn_does_not_come_back_after_its_issuer_left(
    acme: Company, birch: Company
) -> None:
    Programme.objects.update(on_leaving="withdraw")
    thief, jws = another_key(acme), acme.sign(acme.signal())
    [said] = acme.say(jws)
    acme.say(acme.withdrawal(jws, key=thief))
    departure = left(acme)
    settle()
    revoke_compromised_key(thief.kid, partner_id=acme.partner.pk, compromised_at=None, at=now(), **WHO)
    while settle_fallen_keys(at=now()):
        pass
    settle()
    assert "published" not in {item["state"] for item in birch.feed()["items"]}
    assert Signal.objects.get(id=said["signal"]).state == "withdrawn"
    departure.refresh_from_db()
    assert departure.settled_at is not None


def test_what_is_hidden_and_nobody_has_seen_goes_under_both_rules(acme: Company) -> None:
    Partner.objects.filter(slug="acme-social").update(is_probationary=True)
    [said] = acme.say(acme.sign(acme.signal()))
    Signal.objects.update(state="quarantined", removal="quarantined", removed_at=now())
    left(acme)
    settle()
    assert Signal.objects.get(id=said["signal"]).state == "withdrawn"
    with pytest.raises(CannotMove):
        clear(UUID(said["signal"]), at=now(), **WHO)


def test_a_refusal_that_is_taken_back_after_its_issuer_left_does_not_bring_the_signal_back(acme: Company) -> None:
    Partner.objects.filter(slug="acme-social").update(is_probationary=True)
    [said] = acme.say(acme.sign(acme.signal()))
    review.refuse(UUID(said["signal"]), at=now(), **WHO)
    left(acme)
    settle()
    review.hold_again(UUID(said["signal"]), at=now(), **WHO)
    settle()
    assert Signal.objects.get(id=said["signal"]).state == "withdrawn"


def test_a_batch_that_came_before_the_end_is_waited_for(acme: Company) -> None:
    submission = acme.submit(acme.sign(acme.signal()))
    departure = left(acme)
    assert settle() == 0
    Submission.objects.filter(id=submission.id).update(state="done", sealed=None, finished_at=now())
    assert settle() == 1
    departure.refresh_from_db()
    assert departure.settled_at is not None


def test_a_batch_that_takes_effect_while_the_sweep_looks_is_not_overlooked(
    acme: Company, monkeypatch: pytest.MonkeyPatch
) -> None:
    Programme.objects.update(on_leaving="withdraw")
    acme.submit(acme.sign(acme.signal()))
    departure = left(acme)
    begin_membership("acme-social", "csea", Terms(), at=now(), **WHO)  # or it would be refused
    look = leave._withdraw

    def look_too_early(departure: Departure, *, at: datetime) -> int:
        found = look(departure, at=at)
        take_in()
        return found

    monkeypatch.setattr(leave, "_withdraw", look_too_early)
    assert leave.settle_departures(at=now()) == 0
    assert Signal.objects.get().state == "published"
    assert settle() > 0
    departure.refresh_from_db()
    assert (Signal.objects.get().state, departure.settled_at is not None) == ("withdrawn", True)


def test_what_is_said_after_coming_back_stays(acme: Company) -> None:
    Programme.objects.update(on_leaving="withdraw")
    [before] = acme.say(acme.sign(acme.signal()))
    left(acme)
    begin_membership("acme-social", "csea", Terms(), at=now(), **WHO)
    [after] = acme.say(acme.sign(acme.signal()))
    settle()
    states = dict(Signal.objects.values_list("id", "state"))
    assert (states[UUID(before["signal"])], states[UUID(after["signal"])]) == ("withdrawn", "published")


# ---------------------------------------------------------------- its word that it has erased the rest
def test_who_left_the_hub_signs_with_the_key_that_leaving_retired_and_needs_no_api_key(
    birch: Company, recorded: Recorded
) -> None:
    [departure] = leave.leave_hub("birch-chat", at=now(), **WHO)
    line = signed(birch, departure, scope=["systems", "backups"])
    address = f"/api/v1/departures/{departure.id}/receipt"
    first = Client().post(address, line, content_type="application/jose")
    assert (first.status_code, first.json()["state"]) == (200, "signed")
    departure.refresh_from_db()
    assert departure.jws is not None
    assert (bytes(departure.jws), departure.noted_by) == (line, "partner:birch-chat")
    event = recorded()[-1]
    assert (event["action"], event["facts"]["how"], event["facts"]["scope"]) == (
        "departure.erased",
        "signed",
        ["systems", "backups"],
    )
    again = Client().post(address, signed(birch, departure), content_type="application/jose")
    assert (again.status_code, again.json()["known_since"]) == (200, first.json()["known_since"])
    assert recorded()[-1] == event


def test_what_is_no_such_receipt_is_refused_with_its_reason(acme: Company, birch: Company) -> None:
    spent = another_key(birch)
    retire_key(spent.kid, partner_slug="birch-chat", actor="partner:birch-chat", at=now() - timedelta(days=1))
    departure = left(birch)
    other = left(acme)
    wrong = {
        "key-not-active": signed(birch, departure, key=spent),
        "unknown-key": signed(acme, departure),
        "wrong-issuer": birch.sign(
            statements.erasure(
                issuer="acme-social", hub=settings.HUB_ID, programme="csea", departure=str(departure.id), at=now()
            ),
            statements.ERASURE,
        ),
        "schema": signed(birch, other),
        "unsupported-type": birch.sign({"v": 1}, "withdrawal+jws"),
        "malformed-jws": b"nonsense",
        "stale": signed(birch, departure, at=now() + timedelta(hours=1)),
    }
    for reason, line in wrong.items():
        with pytest.raises(ReceiptRefused) as refused:
            erasure.take_receipt(departure.id, line, at=now())
        assert refused.value.facts["reason"] == reason
    for told in ({"programme": "ncii"}, {"at": now() - timedelta(hours=1)}):
        with pytest.raises(ReceiptRefused):
            erasure.take_receipt(departure.id, signed(birch, departure, **told), at=now())
    with pytest.raises(NotFound):
        erasure.take_receipt(uuid4(), signed(birch, departure), at=now())
    departure.refresh_from_db()
    assert departure.erasure == ""


def test_a_receipt_under_a_key_that_fell_is_owed_anew(birch: Company) -> None:
    departure = left(birch)
    erasure.take_receipt(departure.id, signed(birch, departure), at=now())
    departure.refresh_from_db()
    assert erasure.standings([departure], at=now())[departure.id] == Standing.SIGNED
    revoke_compromised_key(birch.key.kid, partner_id=birch.partner.pk, compromised_at=None, at=now(), **WHO)
    assert erasure.standings([departure], at=now())[departure.id] == Standing.DUE
    assert erasure.standings([departure], at=now() + 2 * RECEIPT_DUE)[departure.id] == Standing.OVERDUE
    erasure.take_receipt(departure.id, signed(birch, departure, key=another_key(birch)), at=now())
    departure.refresh_from_db()
    assert erasure.standings([departure], at=now())[departure.id] == Standing.SIGNED


def test_what_a_leaver_cannot_sign_is_noted_by_a_person_and_may_be_signed_later(
    birch: Company, recorded: Recorded
) -> None:
    departure = left(birch)
    for how, reason in ((Erasure.SIGNED, "x"), (Erasure.ON_PAPER, " ")):
        with pytest.raises(CannotMove):
            erasure.note_erasure(departure.id, how, reason=reason, at=now(), **WHO)
    erasure.note_erasure(departure.id, Erasure.ON_PAPER, reason="a letter of Jane Roe", at=now(), **WHO)
    assert "Jane" not in str(recorded()[-1])
    assert birch.http.get("/api/v1/departures").json()["departures"][0]["state"] == "on-paper"
    erasure.take_receipt(departure.id, signed(birch, departure), at=now())
    with pytest.raises(CannotMove):
        erasure.note_erasure(departure.id, Erasure.GIVEN_UP, reason="x", at=now(), **WHO)
    with pytest.raises(NotFound):
        erasure.note_erasure(uuid4(), Erasure.GIVEN_UP, reason="x", at=now(), **WHO)


def test_a_recall_counts_a_leavers_word_for_all_that_it_had_until_it_comes_back(acme: Company, birch: Company) -> None:
    jws = acme.sign(acme.signal())
    [said] = acme.say(jws)
    birch.feed()
    acme.say(acme.withdrawal(jws))
    identity, later = UUID(said["signal"]), now() + timedelta(days=2)

    def stands() -> tuple[list[Copied], int]:
        board = who_had(identity, at=later)
        assert board is not None
        return [copy.standing for copy in board.copies], len(overdue(at=later))

    departure = left(birch)
    assert stands() == ([Copied.OVERDUE], 1)
    erasure.take_receipt(departure.id, signed(birch, departure), at=now())
    assert stands() == ([Copied.RECEIPT], 0)
    begin_membership("birch-chat", "csea", Terms(), at=now(), **WHO)
    birch.feed()
    assert membership_of(birch, Programme.objects.get()).generation == 2
    assert stands()[0] == [Copied.OVERDUE]


def test_the_endpoint_of_notices_of_who_left_the_hub_is_closed_once_it_has_said_all(acme: Company) -> None:
    added = add_notice_endpoint(acme.partner.pk, url="https://hooks.example/", at=now(), **WHO)
    rows = Endpoint.objects.filter(id=added.endpoint.id)
    rows.update(verified_at=now())
    assert close_notices(at=now()) == 0
    leave.leave_hub("acme-social", at=now(), **WHO)
    assert close_notices(at=now()) == 0, "that it left, and what it owes, is to be said first"
    post_notices(at=now())
    rows.update(position=Notice.objects.order_by("-position").values_list("position", flat=True)[0])
    assert close_notices(at=now()) == 1
    assert (rows.get().state, rows.get().state_reason) == ("disabled", "membership-ended")


def test_an_endpoint_of_notices_that_never_answers_is_closed_when_the_time_to_sign_is_over(acme: Company) -> None:
    added = add_notice_endpoint(acme.partner.pk, url="https://hooks.example/", at=now(), **WHO)
    Endpoint.objects.filter(id=added.endpoint.id).update(verified_at=now())
    leave.leave_hub("acme-social", at=now(), **WHO)
    assert close_notices(at=now()) == 0
    assert close_notices(at=now() + 2 * RECEIPT_DUE) == 1


def test_the_endpoint_of_notices_of_who_had_left_every_programme_before_is_closed_too(acme: Company) -> None:
    added = add_notice_endpoint(acme.partner.pk, url="https://hooks.example/", at=now(), **WHO)
    Endpoint.objects.filter(id=added.endpoint.id).update(verified_at=now())
    end_membership("acme-social", "csea", at=now(), **WHO)
    assert leave.leave_hub("acme-social", at=now(), **WHO) == []
    assert close_notices(at=now()) == 1


# ---------------------------------------------------------------- rules and the console
T = datetime.fromisoformat("2026-11-02T12:00:00+00:00")
H = timedelta(hours=1)


@pytest.mark.parametrize(
    ("state", "activated_at", "retired_at", "counts"),
    [
        ("active", T - H, None, True),
        ("active", T + H, None, True),  # who left one programme only may have new keys
        ("retired", T - H, T, True),  # by leaving
        ("retired", T - H, T + H, True),
        ("retired", T - H, T - H, False),  # before
        ("retired", T + H, T + 2 * H, False),  # was none when it left
        ("retired", None, T, False),  # a proposal that was given up
        ("revoked", T - H, T, False),
        ("proposed", None, None, False),
    ],
)
def test_which_keys_a_leaver_may_sign_with(
    state: str, activated_at: datetime | None, retired_at: datetime | None, counts: bool
) -> None:
    assert is_key_of_leaver(state=state, activated_at=activated_at, retired_at=retired_at, left_at=T) == counts


@pytest.mark.parametrize(
    ("erasure_said", "is_believed", "at", "expected"),
    [
        (Erasure.OWED, False, T, Standing.DUE),
        (Erasure.OWED, False, T + 2 * H, Standing.OVERDUE),
        (Erasure.SIGNED, True, T + 2 * H, Standing.SIGNED),
        (Erasure.SIGNED, False, T, Standing.DUE),
        (Erasure.ON_PAPER, False, T + 2 * H, Standing.ON_PAPER),
        (Erasure.GIVEN_UP, False, T + 2 * H, Standing.GIVEN_UP),
    ],
)
def test_how_a_leavers_word_stands(erasure_said: Erasure, is_believed: bool, at: datetime, expected: Standing) -> None:
    assert standing_of(erasure_said, is_believed=is_believed, due_at=T + H, at=at) == expected


def test_leaving_by_the_console_says_what_the_leaver_is_to_be_told(acme: Company, recorded: Recorded) -> None:
    out = StringIO()
    call_command("leave", "acme-social", "csea", stdout=out)
    departure = Departure.objects.get()
    assert f"under departure {departure.id}" in out.getvalue()
    assert recorded()[-1]["actor"] == "system:console"
    call_command("leave", "acme-social", "--hub", stdout=out)
    assert Partner.objects.get().state == "left"
    with pytest.raises(CommandError, match="left already"):
        call_command("leave", "acme-social", "--hub", stdout=out)
