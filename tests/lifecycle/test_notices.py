"""Notices: told with what they tell of, posted in commit order, read by cursor; recalls from the change log."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
from django.db import transaction
from heliograph_client import statements

from partners.core.states import KeyState
from partners.lifecycle.activate_key import activate_key
from partners.lifecycle.end_membership import end_membership
from partners.lifecycle.part_with_partner import part_with_partner
from partners.lifecycle.suspend_membership import suspend_membership
from signals.compliance.minutes import rows_of
from signals.core.notices import NoticeKind
from signals.lifecycle import notice_feed, recalls
from signals.lifecycle.expire import expire_due
from signals.lifecycle.key_news import tell_key_events
from signals.lifecycle.notice_feed import read_notices, start_notices
from signals.lifecycle.notices import notify, post_notices
from signals.lifecycle.quarantine import clear, revoke_compromised_key, settle_fallen_keys
from signals.lifecycle.recalls import tell_recalls
from signals.lifecycle.review import approve, refuse
from signals.lifecycle.roll_up import roll_up
from signals.models import DisclosedMinute, Disclosure, Notice, Signal, Unsummed
from tests.builders import NOON, Who, a_membership, a_programme, a_signing_key
from tests.companies import Company, a_company, now, settle, signal_id
from tests.lifecycle.conftest import LedgerRefuses, Recorded
from tests.races.following import Follower

pytestmark = pytest.mark.django_db

YEAR = timedelta(days=366)
WHO: Who = {"actor": "staff:1", "at": NOON}


@pytest.fixture
def acme(db: None) -> Company:
    programme = a_programme("csea")
    a_company("birch-chat", programme)
    return a_company("acme-social", programme)


def tell() -> None:
    while tell_recalls(at=now()) + post_notices(at=now()):
        pass


def told(company: Company) -> list[dict[str, Any]]:
    """Everything that a company is told, from the start."""
    place, items, more = start_notices(company.partner.pk, channel="notices", at=now()), [], True
    while more:
        page = read_notices(place, limit=100, at=now())
        place, more = page.place, page.more
        items += [json.loads(item) for item in page.items]
    return items


def test_what_is_told_is_read_in_order_once_it_is_posted(acme: Company) -> None:
    for number in range(3):
        with transaction.atomic():
            notify(acme.partner.pk, NoticeKind.KEY_RETIRED, {"kid": f"key-{number}"}, at=now())
    assert told(acme) == []
    tell()
    assert [item["facts"] for item in told(acme)] == [{"kid": f"key-{number}"} for number in range(3)]
    assert set(told(acme)[0]) == {"id", "kind", "at", "facts"}


def test_a_notice_goes_the_way_of_what_it_tells(acme: Company) -> None:
    with transaction.atomic():
        notify(acme.partner.pk, NoticeKind.KEY_RETIRED, {"kid": "k"}, at=now())
        transaction.set_rollback(True)
    tell()
    assert told(acme) == []
    assert not Notice.objects.exists()


# ---------------------------------------------------------------- recalls
def recalled(company: Company) -> list[tuple[str, int, str]]:
    """Every (signal, revision, state) that a company was told to recall, in order."""
    return [
        (each["id"], each["revision"], each["state"])
        for item in told(company)
        if item["kind"] == "recall"
        for each in item["facts"]["signals"]
    ]


@dataclass
class Room:
    """One programme: acme says, birch and cedar read, dune reads and is left out."""

    acme: Company
    birch: Follower
    cedar: Follower
    dune: Follower

    @property
    def readers(self) -> list[Follower]:
        return [self.birch, self.cedar, self.dune]

    def catch_up(self) -> None:
        for reader in self.readers:
            reader.catch_up()


@pytest.fixture
def room(db: None) -> Room:
    programme = a_programme("csea")
    names = ("acme-social", "birch-chat", "cedar-video", "dune-games")
    acme, *others = [a_company(name, programme) for name in names]
    return Room(acme, *[Follower(other, "csea") for other in others])


def test_whoever_was_in_the_audience_is_told_of_a_withdrawal_before_it_pulls_again(room: Room) -> None:
    open_to_all = room.acme.sign(room.acme.signal())
    named = room.acme.sign(room.acme.signal(audience="routed"))
    [first] = room.acme.say(open_to_all)
    second, _ = room.acme.say(named, room.acme.routing(named, only=["birch-chat"]))
    room.catch_up()
    room.acme.say(room.acme.withdrawal(open_to_all), room.acme.withdrawal(named))
    tell()
    all_of_it = [(first["signal"], 2, "withdrawn"), (second["signal"], 2, "withdrawn")]
    assert sorted(recalled(room.birch.company)) == sorted(all_of_it)
    assert recalled(room.cedar.company) == recalled(room.dune.company) == all_of_it[:1]
    assert recalled(room.acme) == []
    assert told(room.birch.company)[0]["facts"]["epoch"] == 1
    tell()
    assert len(recalled(room.birch.company)) == 2, "looking again tells nothing twice"


def test_who_is_left_out_or_never_read_is_told_nothing(room: Room) -> None:
    jws = room.acme.sign(room.acme.signal(audience="routed"))
    room.acme.say(jws, room.acme.routing(jws, leave_out=["dune-games"]))
    room.birch.catch_up()
    room.dune.catch_up()
    room.acme.say(room.acme.withdrawal(jws))
    tell()
    assert len(recalled(room.birch.company)) == 1
    assert set(Notice.objects.values_list("partner_id", flat=True)) == {room.birch.company.partner.pk}


def test_a_suspended_member_is_told_of_what_it_had_and_of_nothing_said_since(room: Room) -> None:
    had, since = (room.acme.sign(room.acme.signal()) for _ in range(2))
    [verdict] = room.acme.say(had)
    room.catch_up()
    suspend_membership("birch-chat", "csea", **WHO)
    room.acme.say(since)
    room.acme.say(room.acme.withdrawal(had), room.acme.withdrawal(since))
    tell()
    assert recalled(room.birch.company) == [(verdict["signal"], 2, "withdrawn")]
    assert len(recalled(room.cedar.company)) == 2


def test_a_partner_that_has_left_is_told_until_it_has_nothing_that_counts(room: Room) -> None:
    had = room.acme.sign(room.acme.signal())
    [verdict] = room.acme.say(had)
    room.catch_up()
    end_membership("birch-chat", "csea", **WHO)
    end_membership("cedar-video", "csea", **WHO)
    part_with_partner("cedar-video", **WHO)
    expire_due(at=now() + YEAR)
    tell()
    for left in (room.birch, room.cedar):
        assert recalled(left.company) == [(verdict["signal"], 2, "expired")]
    later = room.acme.sign(room.acme.signal())
    room.acme.say(later)
    room.acme.say(room.acme.withdrawal(later))
    tell()
    assert len(recalled(room.birch.company)) == 1


def test_an_author_that_follows_its_own_signals_is_told_too(room: Room) -> None:
    own = Follower(room.acme, "csea", filter={"own": True})
    jws = room.acme.sign(room.acme.signal())
    room.acme.say(jws)
    own.catch_up()
    room.acme.say(room.acme.withdrawal(jws))
    tell()
    assert len(recalled(room.acme)) == 1


def test_a_thousand_removals_are_one_row_for_each_reader(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recalls, "BATCH", 4)
    said = [room.acme.sign(room.acme.signal()) for _ in range(10)]
    room.acme.say(*said)
    room.catch_up()
    room.acme.say(*(room.acme.withdrawal(jws) for jws in said))
    assert tell_recalls(at=now()) == 4
    assert tell_recalls(at=now()) == 4
    tell()
    assert len(recalled(room.birch.company)) == len(set(recalled(room.birch.company))) == 10
    assert Notice.objects.count() == 3 * len(room.readers)
    assert set(Notice.objects.values_list("signal_count", flat=True)) == {4, 2}


def test_a_page_ends_before_recalls_would_fill_it(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notice_feed, "MAX_SIGNALS", 5)
    said = [room.acme.sign(room.acme.signal()) for _ in range(12)]
    room.acme.say(*said)
    room.catch_up()
    for first in (0, 4, 8):
        room.acme.say(*(room.acme.withdrawal(jws) for jws in said[first : first + 4]))
        tell()
    place = start_notices(room.birch.company.partner.pk, channel="notices", at=now())
    page = read_notices(place, limit=10, at=now())
    assert page.count == 1
    assert page.more
    assert len(recalled(room.birch.company)) == 12


def test_a_page_of_notices_is_recorded_like_every_disclosure(acme: Company, recorded: Recorded) -> None:
    with transaction.atomic():
        notify(acme.partner.pk, NoticeKind.KEY_RETIRED, {"kid": "k"}, at=now())
    tell()
    told(acme)
    disclosure = Disclosure.objects.get()
    assert Unsummed.objects.get().disclosure_id == disclosure.id
    roll_up(until=now() + timedelta(days=1), at=now())
    [event] = [event for event in recorded() if event["action"] == "notices.disclosed"]
    assert event["actor"] == "partner:acme-social"
    [row] = rows_of(DisclosedMinute.objects.get().id)
    assert bytes(disclosure.root).hex() == json.loads(row)["root"]
    assert event["facts"]["count"] == disclosure.count == 1


def test_what_the_ledger_cannot_record_is_not_recalled(room: Room, ledger_refuses: LedgerRefuses) -> None:
    jws = room.acme.sign(room.acme.signal())
    room.acme.say(jws)
    room.catch_up()
    room.acme.say(room.acme.withdrawal(jws))
    with ledger_refuses():
        tell_recalls(at=now())
    assert not Notice.objects.exists()
    assert tell_recalls(at=now()) == 1


# ---------------------------------------------------------------- late verdicts
def late(company: Company) -> list[dict[str, Any]]:
    tell()
    return [item["facts"] for item in told(company) if item["kind"] == "verdict.late"]


def test_the_author_of_a_held_signal_hears_that_it_was_approved_and_is_out(room: Room) -> None:
    room.acme.partner.is_probationary = True
    room.acme.partner.save()
    signal = room.acme.signal()
    room.acme.say(room.acme.sign(signal))
    assert late(room.acme) == []
    identity = Signal.objects.get().id
    approve(identity, **WHO)
    settle()
    statement = {"type": "signal", "jti": signal["jti"], "signal": str(identity)}
    verdict = {"programme": "csea", "verdict": "accepted", "statements": [statement]}
    assert late(room.acme) == [{**verdict, "state": "verified"}, {**verdict, "state": "published"}]
    assert told(room.birch.company) == []


def test_the_author_of_a_held_signal_hears_that_it_was_refused(room: Room) -> None:
    room.acme.partner.is_probationary = True
    room.acme.partner.save()
    room.acme.say(room.acme.sign(room.acme.signal()))
    refuse(Signal.objects.get().id, **WHO)
    [verdict] = late(room.acme)
    assert (verdict["verdict"], verdict["state"], verdict["code"]) == ("refused", "refused", "refused-by-review")


def test_a_withdrawal_that_waited_is_told_when_it_met_its_signal_or_was_refused(room: Room) -> None:
    first, second = (room.acme.sign(room.acme.signal()) for _ in range(2))
    meets, fails = room.acme.withdrawal(first), room.acme.withdrawal(second)
    a_membership(room.acme.partner, a_programme("ncii"))
    wrong = json.loads(statements.read(fails).payload) | {"programme": "ncii"}
    room.acme.say(meets, room.acme.sign(wrong, "withdrawal+jws"))
    assert late(room.acme) == []
    room.acme.say(first, second)
    accepted, refused = sorted(late(room.acme), key=lambda verdict: verdict["verdict"])
    assert accepted["statements"][0]["jti"] == json.loads(statements.read(meets).payload)["jti"]
    assert accepted["statements"][0]["signal"]
    assert (refused["code"], refused["programme"]) == ("unknown-signal", "ncii")


def test_an_author_hears_what_the_fall_of_its_key_did_to_its_signals_and_what_was_cleared(room: Room) -> None:
    verdicts = room.acme.say(*(room.acme.sign(room.acme.signal()) for _ in range(3)))
    room.catch_up()
    revoke_compromised_key(room.acme.key.kid, partner_id=room.acme.partner.pk, compromised_at=None, **WHO)
    settle_fallen_keys(at=now())
    [hidden] = late(room.acme)
    assert hidden["state"] == "quarantined"
    ids = {verdict["signal"] for verdict in verdicts}
    assert {statement["signal"] for statement in hidden["statements"]} == ids
    assert {told[0] for told in recalled(room.birch.company)} == ids
    clear(signal_id(verdicts[0]), **WHO)
    cleared = late(room.acme)[-1]
    assert (cleared["state"], cleared["statements"][0]["signal"]) == ("published", verdicts[0]["signal"])


# ---------------------------------------------------------------- keys
def test_a_partner_hears_of_every_step_of_its_keys_once(acme: Company) -> None:
    tell_key_events(at=now())
    tell()
    known = len(told(acme))
    key = a_signing_key(acme.partner, state=KeyState.PROPOSED)
    tell_key_events(at=now())
    activate_key(key.kid, partner_slug="acme-social", **WHO)
    revoke_compromised_key(key.kid, partner_id=acme.partner.pk, compromised_at=None, **WHO)
    tell_key_events(at=now())
    assert tell_key_events(at=now()) == 0
    tell()
    fresh = told(acme)[known:]
    assert [item["kind"] for item in fresh] == ["key.proposed", "key.activated", "key.revoked"]
    assert {item["facts"]["kid"] for item in fresh} == {key.kid}
    assert "birch" not in json.dumps(fresh)
