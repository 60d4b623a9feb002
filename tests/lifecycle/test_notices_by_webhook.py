"""Notices reach an endpoint of their own, ahead of every feed and whatever becomes of the partner's other endpoints."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
from django.db import transaction
from heliograph_client.feed import read_page
from heliograph_client.receiver import Receiver as MembersReceiver
from heliograph_client.store import Store
from standardwebhooks import Webhook

from hub.ledger.epochs import renew_epoch
from partners import public
from partners.lifecycle.suspend_membership import suspend_membership
from partners.lifecycle.suspend_partner import suspend_partner
from signals import monitoring, tasks
from signals.core.notices import NoticeKind
from signals.endpoint_health import health
from signals.lifecycle import deliver
from signals.lifecycle.deliver import claim_due, deliver_due
from signals.lifecycle.endpoints import (
    Added,
    add_endpoint,
    add_notice_endpoint,
    pause_endpoint,
    replay,
    resume_endpoint,
)
from signals.lifecycle.notices import forget_notices, notify, post_notices
from signals.lifecycle.recalls import tell_recalls
from signals.models import Attempt, Disclosure, Endpoint, Head
from tests.builders import NOON, Who, a_programme, verified
from tests.companies import Company, a_company, now
from tests.lifecycle.conftest import LedgerRefuses
from tests.receivers import Receiver, accepts, in_turn, refuses

pytestmark = pytest.mark.django_db

WHO: Who = {"actor": "staff:1", "at": NOON}


@dataclass
class Hooked:
    """Acme says; birch has one receiver for its notices and one for the feed."""

    acme: Company
    birch: Company
    notices: Receiver
    feed: Receiver

    def add_notices(self, **asked: Any) -> Added:
        wanted = {"url": self.notices.url, "actor": "partner:birch-chat", "at": now(), **asked}
        added = add_notice_endpoint(self.birch.partner.pk, **wanted)
        verified(added.endpoint)
        return added

    def add_feed(self) -> Endpoint:
        member = public.membership(self.birch.partner.pk, "csea", at=now())
        assert member is not None
        added = add_endpoint(member, url=self.feed.url, filter={}, batch_size=100, actor="partner:birch-chat", at=now())
        verified(added.endpoint)
        return added.endpoint

    def tell(self, *kids: str) -> None:
        for kid in kids:
            with transaction.atomic():
                notify(self.birch.partner.pk, NoticeKind.KEY_RETIRED, {"kid": kid}, at=now())
        post_notices(at=now())

    def told(self) -> list[dict[str, Any]]:
        return [item for received in self.notices.received for item in json.loads(received.body)["items"]]

    def withdraw(self) -> str:
        """Acme says a signal that birch reads, and withdraws it; its id."""
        jws = self.acme.sign(self.acme.signal())
        [verdict] = self.acme.say(jws)
        go()
        self.birch.feed()
        self.acme.say(self.acme.withdrawal(jws))
        return str(verdict["signal"])


@pytest.fixture
def world(db: None) -> Iterator[Hooked]:
    programme = a_programme("csea")
    acme, birch = a_company("acme-social", programme), a_company("birch-chat", programme)
    with Receiver() as notices, Receiver() as feed:
        yield Hooked(acme, birch, notices, feed)


def go() -> int:
    Endpoint.objects.update(next_attempt_at=now() - timedelta(seconds=1))
    return deliver_due(clock=now, for_at_most=timedelta(seconds=3))


def recall_and_go() -> None:
    while tell_recalls(at=now()) + post_notices(at=now()):
        pass
    go()


def test_notices_arrive_signed_in_order_and_once(world: Hooked) -> None:
    added = world.add_notices(batch_size=2)
    world.tell("a", "b", "c")
    go()
    first, second = world.notices.received
    Webhook(added.secret).verify(first.body, dict(first.headers))
    body = json.loads(first.body)
    assert (body["type"], body["channel"], body["listed"]) == ("notice.batch", f"endpoint:{added.endpoint.id}", False)
    assert "programme" not in body
    assert [item["facts"]["kid"] for item in world.told()] == ["a", "b", "c"]
    assert json.loads(second.body)["listed"]
    assert go() == 0
    world.tell("d")
    go()
    assert len(world.told()) == 4


def test_the_members_own_receiver_takes_what_is_recalled_out_of_its_copy(world: Hooked) -> None:
    added, feed = world.add_notices(), world.add_feed()
    world.withdraw()
    held = {entry.id for entry in _store_of(world.feed).live(include_unverified=True)}
    assert len(held) == 1
    recall_and_go()
    store = _store_of(world.feed)
    with MembersReceiver(("127.0.0.1", 0), store, [added.secret]) as receiver:
        for received in world.notices.received:
            assert receiver.take(dict(received.headers), received.body)[0] == 200
    assert list(store.live(channel=f"endpoint:{feed.id}", include_unverified=True)) == []


def _store_of(receiver: Receiver) -> Store:
    store = Store(":memory:")
    for received in receiver.received[:2]:
        store.apply_batch(read_page(json.loads(received.body)), webhook_id=received.headers["webhook-id"], at=now())
    return store


def test_a_recall_comes_while_the_feeds_endpoint_is_paused_failing_or_far_behind(world: Hooked) -> None:
    world.add_notices()
    feed = world.add_feed()
    paused = world.withdraw()
    pause_endpoint(feed.id, partner_id=world.birch.partner.pk, **WHO)
    recall_and_go()
    resume_endpoint(feed.id, partner_id=world.birch.partner.pk, **WHO)
    world.feed.behave(refuses(503))
    failing = world.withdraw()
    recall_and_go()
    Endpoint.objects.filter(id=feed.id).update(position=-1, batch_size=1)
    behind = world.withdraw()
    recall_and_go()
    recalled = [each["id"] for item in world.told() for each in item["facts"].get("signals", ())]
    assert recalled == [paused, failing, behind]


def test_a_recall_comes_to_a_suspended_member_and_to_a_suspended_partner(world: Hooked) -> None:
    world.add_notices()
    world.add_feed()
    had = [world.acme.sign(world.acme.signal()) for _ in range(2)]
    world.acme.say(*had)
    go()
    bodies = world.feed.count
    suspend_membership("birch-chat", "csea", **WHO)
    world.acme.say(world.acme.withdrawal(had[0]))
    recall_and_go()
    suspend_partner("birch-chat", **WHO)
    world.acme.say(world.acme.withdrawal(had[1]))
    recall_and_go()
    assert len([each for item in world.told() for each in item["facts"]["signals"]]) == 2
    assert world.feed.count == bodies, "a suspension stops the feed"


def test_endpoints_of_notices_are_claimed_first(world: Hooked) -> None:
    for _ in range(3):
        world.add_feed()
    notices = world.add_notices().endpoint
    Endpoint.objects.exclude(id=notices.id).update(next_attempt_at=now() - timedelta(hours=1))
    [claimed], _ = claim_due(limit=1)
    assert claimed.id == notices.id


def test_a_batch_that_failed_is_made_again_under_its_id(world: Hooked) -> None:
    world.add_notices()
    world.notices.behave(in_turn(refuses(503), accepts()))
    world.tell("a")
    go()
    world.tell("b")
    go()
    first, second, third = world.notices.received
    assert first.headers["webhook-id"] == second.headers["webhook-id"] != third.headers["webhook-id"]
    assert [item["facts"]["kid"] for item in json.loads(second.body)["items"]] == ["a"], "a range only shrinks"
    assert Attempt.objects.filter(is_delivered=False).count() == 1


def test_it_walks_anew_after_a_restore_and_behind_what_was_forgotten_and_when_asked(world: Hooked) -> None:
    endpoint = world.add_notices().endpoint
    world.tell("a")
    go()
    with transaction.atomic():
        renew_epoch("restored", actor="system:restore", at=now())
    go()
    Endpoint.objects.update(state="paused")
    world.tell("b")
    assert forget_notices(at=now() + timedelta(days=91)) == 2
    Endpoint.objects.update(state="active")
    world.tell("c")
    before = now()
    world.tell("d")
    go()
    replay(endpoint.id, partner_id=world.birch.partner.pk, since=None, **WHO)
    go()
    replay(endpoint.id, partner_id=world.birch.partner.pk, since=before, **WHO)
    go()
    bodies = [json.loads(received.body) for received in world.notices.received]
    assert [[item["facts"]["kid"] for item in body["items"]] for body in bodies] == [
        *(["a"], ["a"], ["c", "d"], ["c", "d"], ["d"]),
    ]
    assert len({(body["epoch"], body["walk"]) for body in bodies}) == 5


def test_what_waits_for_it_is_seen(world: Hooked) -> None:
    endpoint = world.add_notices().endpoint
    world.tell("a", "b")
    waiting = health(endpoint, at=now() + timedelta(seconds=5)).lag
    assert (waiting.signals, waiting.seconds >= 5) == (2, True)
    assert [lag.positions for lag in monitoring.endpoint_lags()] == [2]
    assert monitoring.overdue()["deliver"] >= 0
    go()
    assert health(Endpoint.objects.get(), at=now()).lag.signals == 0


def test_a_walk_of_a_feed_that_is_over_is_told(world: Hooked) -> None:
    world.add_notices()
    feed = world.add_feed()
    world.withdraw()
    Head.objects.update(purged_to=2)  # as if the withdrawal's tombstone had been forgotten while nothing was sent
    go()
    post_notices(at=now())
    go()
    resets = [item["facts"] for item in world.told() if item["kind"] == "feed.reset"]
    assert resets == [{"reason": "forgotten", "channel": f"endpoint:{feed.id}", "programme": "csea"}]


def test_what_the_ledger_cannot_record_is_not_sent(world: Hooked, no_leaf_to_come: LedgerRefuses) -> None:
    world.add_notices()
    world.tell("a")
    with no_leaf_to_come():
        go()
    assert world.notices.count == 0
    assert not Disclosure.objects.exists()


def test_the_tasks_tell_and_deliver_by_themselves(world: Hooked, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deliver, "ROUND", timedelta(seconds=1))
    world.add_notices()
    identity = world.withdraw()
    tasks.deliver()
    assert identity in [each["id"] for item in world.told() for each in item["facts"].get("signals", ())]
