"""A key falls: what it said is hidden at once, what it undid is done again, and a person may let things stand."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest

from signals.core.refusals import CannotMove
from signals.lifecycle import quarantine
from signals.lifecycle.expire import expire_due
from signals.lifecycle.quarantine import clear, revoke_compromised_key, settle_fallen_keys
from signals.lifecycle.review import approve
from signals.lifecycle.verify import verify_next
from signals.models import Change, Distrust, Signal, Statement
from tests.builders import KeyPair, a_programme, a_signing_key
from tests.companies import Company, a_company, now, settle
from tests.lifecycle.conftest import LedgerRefuses, Recorded
from tests.races.following import Follower

pytestmark = pytest.mark.django_db

STAFF = "staff:7"


@dataclass
class Fallen:
    """Acme with a good key and one that will fall; birch follows."""

    acme: Company
    birch: Follower
    bad: KeyPair

    def say(self, key: KeyPair | None = None, **members: Any) -> bytes:
        jws = self.acme.sign(self.acme.signal(**members), key=key)
        self.acme.say(jws)
        return jws

    def falls(self, *, hours_ago: float | None = None, kid: str = "") -> None:
        since = None if hours_ago is None else now() - timedelta(hours=hours_ago)
        revoke_compromised_key(
            kid or self.bad.kid, partner_id=self.acme.partner.pk, compromised_at=since, actor="partner:acme", at=now()
        )

    def held_by_birch(self) -> set[str]:
        return set(self.birch.catch_up().live.values())


@pytest.fixture
def fallen(db: None) -> Fallen:
    programme = a_programme("csea")
    acme, birch = a_company("acme-social", programme), a_company("birch-chat", programme)
    return Fallen(acme, Follower(birch, "csea"), a_signing_key(acme.partner))


def finish() -> None:
    while settle_fallen_keys(at=now()):
        pass
    settle()


def test_what_it_said_goes_and_what_another_key_said_stays(fallen: Fallen) -> None:
    good, bad = fallen.say(), fallen.say(fallen.bad)
    assert fallen.held_by_birch() == {good.decode(), bad.decode()}
    fallen.falls()
    assert bad.decode() not in str(fallen.birch.company.feed())
    finish()
    assert fallen.held_by_birch() == {good.decode()}
    assert Distrust.objects.get().is_settled


def test_what_the_hub_received_before_the_compromise_stays(fallen: Fallen) -> None:
    then = now() - timedelta(hours=3)
    old = fallen.acme.sign(fallen.acme.signal(at=then), key=fallen.bad)
    fallen.acme.submit(old, at=then)
    new = fallen.say(fallen.bad)
    fallen.falls(hours_ago=1)
    finish()
    assert fallen.held_by_birch() == {old.decode()}
    assert new.decode() not in str(fallen.birch.copy.shown)


def test_the_fall_takes_a_place_of_its_own_for_each_key_that_fell(fallen: Fallen) -> None:
    endorsed = a_signing_key(fallen.acme.partner, endorsed_by=fallen.bad.row)
    theirs = a_signing_key(fallen.acme.partner, endorsed_by=endorsed.row)
    fallen.say()
    fallen.falls()
    falls = Change.objects.filter(kind="key-fell").order_by("position")
    assert {fall.key_id for fall in falls} == {fallen.bad.row.pk, endorsed.row.pk, theirs.row.pk}
    assert [fall.position for fall in falls] == [2, 3, 4]


def test_keys_that_it_endorsed_fall_with_it_and_so_does_what_they_said(fallen: Fallen) -> None:
    endorsed = a_signing_key(fallen.acme.partner, endorsed_by=fallen.bad.row)
    theirs = a_signing_key(fallen.acme.partner, endorsed_by=endorsed.row)
    good = fallen.say()
    for key in (fallen.bad, endorsed, theirs):
        fallen.say(key)
    fallen.held_by_birch()
    fallen.falls()
    finish()
    assert fallen.held_by_birch() == {good.decode()}


def test_its_withdrawals_are_undone_and_another_keys_stand(fallen: Fallen) -> None:
    kept, gone = fallen.say(), fallen.say()
    fallen.acme.say(fallen.acme.withdrawal(kept, key=fallen.bad), fallen.acme.withdrawal(gone))
    assert fallen.held_by_birch() == set()
    fallen.falls()
    finish()
    assert fallen.held_by_birch() == {kept.decode()}
    assert Signal.objects.get(state="published").revision == 3


def test_a_withdrawal_repeated_with_a_good_key_is_not_undone(fallen: Fallen) -> None:
    jws = fallen.say()
    fallen.acme.say(fallen.acme.withdrawal(jws, key=fallen.bad))
    fallen.acme.say(fallen.acme.withdrawal(jws))
    fallen.falls()
    finish()
    assert fallen.held_by_birch() == set()


def test_a_withdrawal_under_it_that_still_waits_never_takes_effect(fallen: Fallen) -> None:
    jws = fallen.acme.sign(fallen.acme.signal())
    fallen.acme.say(fallen.acme.withdrawal(jws, key=fallen.bad))
    fallen.falls()
    fallen.acme.say(jws)
    finish()
    assert fallen.held_by_birch() == {jws.decode()}


def test_a_held_signal_that_it_withdrew_is_held_again_and_not_published(fallen: Fallen) -> None:
    fallen.acme.partner.is_probationary = True
    fallen.acme.partner.save()
    jws = fallen.say()
    fallen.acme.say(fallen.acme.withdrawal(jws, key=fallen.bad))
    assert Signal.objects.get().state == "withdrawn"
    fallen.falls()
    finish()
    assert Signal.objects.get().state == "held"
    assert fallen.held_by_birch() == set()


def test_a_signal_whose_own_key_fell_does_not_come_back_with_its_withdrawal(fallen: Fallen) -> None:
    jws = fallen.say(fallen.bad)
    fallen.acme.say(fallen.acme.withdrawal(jws, key=fallen.bad))
    fallen.falls()
    finish()
    assert fallen.held_by_birch() == set()
    assert Signal.objects.get().revision == 2, "a change between removed states took a place"


def test_nothing_new_is_taken_under_it_even_what_was_received_before_it_fell(fallen: Fallen) -> None:
    submission = fallen.acme.submit(fallen.acme.sign(fallen.acme.signal(), key=fallen.bad))
    fallen.falls()
    finish()
    submission.refresh_from_db()
    assert not Signal.objects.exists()


def test_what_was_verified_and_not_yet_published_is_quarantined_without_a_place(fallen: Fallen) -> None:
    fallen.acme.submit(fallen.acme.sign(fallen.acme.signal(), key=fallen.bad))
    verify_next(at=now())
    fallen.falls()
    finish()
    signal = Signal.objects.get()
    assert (signal.state, signal.removal, signal.position) == ("quarantined", "quarantined", None)


def test_an_audience_is_not_widened_while_the_signal_is_hidden(fallen: Fallen) -> None:
    jws = fallen.acme.sign(fallen.acme.signal(audience="routed"), key=fallen.bad)
    fallen.acme.say(jws, fallen.acme.routing(jws, leave_out=["birch-chat"]))
    fallen.falls()
    [before] = fallen.acme.say(fallen.acme.routing(jws, leave_out=[]))
    finish()
    [after] = fallen.acme.say(fallen.acme.routing(jws, leave_out=[]))
    assert (before["code"], after["code"]) == ("cannot-move", "cannot-move")
    assert fallen.birch.catch_up().shown == []


def test_many_are_moved_in_chunks_each_in_a_transaction_of_its_own(
    fallen: Fallen, monkeypatch: pytest.MonkeyPatch
) -> None:
    fallen.acme.say(*(fallen.acme.sign(fallen.acme.signal(), key=fallen.bad) for _ in range(5)))
    monkeypatch.setattr(quarantine, "BATCH", 2)
    fallen.falls()
    assert [settle_fallen_keys(at=now()) for _ in range(4)] == [2, 2, 1, 0]
    assert Change.objects.filter(kind="quarantined").count() == 5


def test_said_again_under_a_good_key_it_is_served_again(fallen: Fallen) -> None:
    said = fallen.acme.signal("https://bad.example/x")
    fallen.acme.say(fallen.acme.sign(said, key=fallen.bad))
    fallen.falls()
    finish()
    again = fallen.acme.sign(fallen.acme.signal("https://bad.example/x", supersedes=said["jti"]))
    fallen.acme.say(again)
    assert fallen.held_by_birch() == {again.decode()}


# ---------------------------------------------------------------- clear
def test_a_person_may_let_it_stand_and_it_moves(fallen: Fallen) -> None:
    jws = fallen.say(fallen.bad)
    fallen.held_by_birch()
    fallen.falls()
    finish()
    assert fallen.held_by_birch() == set()
    clear(Signal.objects.get().id, actor=STAFF, at=now())
    assert fallen.held_by_birch() == {jws.decode()}
    assert Signal.objects.get().revision == 3


def test_what_was_cleared_falls_again_with_the_key_of_its_revision(fallen: Fallen) -> None:
    said = fallen.acme.signal("https://bad.example/x")
    fallen.acme.say(fallen.acme.sign(said, key=fallen.bad))
    fallen.falls()
    finish()
    clear(Signal.objects.get().id, actor=STAFF, at=now())
    worse = a_signing_key(fallen.acme.partner)
    fallen.acme.say(fallen.acme.sign(fallen.acme.signal("https://bad.example/x", supersedes=said["jti"]), key=worse))
    assert len(fallen.held_by_birch()) == 1
    fallen.falls(kid=worse.kid)
    finish()
    assert fallen.held_by_birch() == set()


def test_a_held_signal_that_is_cleared_is_held_again_and_can_be_approved(fallen: Fallen) -> None:
    fallen.acme.partner.is_probationary = True
    fallen.acme.partner.save()
    fallen.say(fallen.bad)
    fallen.falls()
    finish()
    signal = clear(Signal.objects.get().id, actor=STAFF, at=now())
    assert signal.state == "held"
    approve(signal.id, actor=STAFF, at=now())
    settle()
    assert len(fallen.held_by_birch()) == 1


def test_only_a_quarantined_signal_in_time_is_cleared(fallen: Fallen) -> None:
    fallen.say(fallen.bad)
    identity = Signal.objects.get().id
    with pytest.raises(CannotMove):
        clear(identity, actor=STAFF, at=now())
    fallen.falls()
    finish()
    with pytest.raises(CannotMove):
        clear(identity, actor=STAFF, at=now() + timedelta(days=400))


# ---------------------------------------------------------------- the ledger
def test_if_the_ledger_cannot_be_written_nothing_happened(fallen: Fallen, ledger_refuses: LedgerRefuses) -> None:
    jws = fallen.say(fallen.bad)
    with ledger_refuses():
        fallen.falls()
    assert not Distrust.objects.exists()
    assert fallen.held_by_birch() == {jws.decode()}
    fallen.falls()
    with ledger_refuses():
        settle_fallen_keys(at=now())
    assert Signal.objects.get().state == "published"
    finish()
    identity = Signal.objects.get().id
    with ledger_refuses():
        clear(identity, actor=STAFF, at=now())
    assert Signal.objects.get().state == "quarantined"


def test_the_ledger_names_what_nobody_had_seen_one_by_one(fallen: Fallen, recorded: Recorded) -> None:
    fallen.acme.submit(fallen.acme.sign(fallen.acme.signal(), key=fallen.bad))
    verify_next(at=now())
    fallen.falls()
    finish()
    signal = Signal.objects.get()
    [event] = [event for event in recorded() if event["action"] == "signal.quarantined"]
    assert f"signal:{signal.id}" in event["subjects"]
    assert expire_due(at=now() + timedelta(days=400)) == 0
    assert Statement.objects.count() == 1
