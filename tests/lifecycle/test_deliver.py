"""deliver: endpoints are brought up to their feeds over real sockets, and what goes wrong is nobody else's affair."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import chain, repeat
from typing import Any

import pytest
from heliograph_client.feed import read_page
from heliograph_client.store import Store
from pytest_django import Settings

from partners import public
from partners.lifecycle.end_membership import end_membership
from partners.lifecycle.resume_membership import resume_membership
from partners.lifecycle.suspend_membership import suspend_membership
from signals import tasks
from signals.core.refusals import NotFound
from signals.delivery.outcome import Failure, Outcome
from signals.lifecycle.deliver import claim_due, deliver_due
from signals.lifecycle.endpoints import Added, add_endpoint, change_endpoint, remove_endpoint
from signals.lifecycle.farewell import mark_leaving
from signals.lifecycle.publish import publish
from signals.lifecycle.render import render
from signals.lifecycle.settle import settle
from signals.lifecycle.verify import verify_next
from signals.models import Attempt, Disclosure, Endpoint, Signal, Statement, Submission
from signals.queries import due
from tests.builders import a_programme, verified
from tests.companies import Company, a_company, now
from tests.lifecycle.conftest import LedgerRefuses, Recorded
from tests.receivers import Receiver, accepts, hangs, in_turn, refuses, unused_port

pytestmark = pytest.mark.django_db

BY: dict[str, Any] = {"actor": "partner:birch-chat"}


@dataclass
class Hooked:
    """Acme says; birch has an endpoint at a receiver."""

    acme: Company
    birch: Company
    receiver: Receiver
    added: list[Added] = field(default_factory=list)

    def add(self, company: Company | None = None, **asked: Any) -> Endpoint:
        company = company or self.birch
        member = public.membership(company.partner.pk, "csea", at=now())
        assert member is not None
        wanted: dict[str, Any] = {"url": self.receiver.url, "filter": {}, "batch_size": 100, **asked}
        self.added.append(add_endpoint(member, **wanted, actor=f"partner:{company.slug}", at=now()))
        verified(self.added[-1].endpoint)
        return self.added[-1].endpoint

    def say(self, count: int = 1, **members: Any) -> list[bytes]:
        lines = [self.acme.sign(self.acme.signal(**members)) for _ in range(count)]
        self.acme.say(*lines)
        return lines

    def bodies(self) -> list[dict[str, Any]]:
        return [json.loads(received.body) for received in self.receiver.received]


@pytest.fixture
def world(db: None) -> Iterator[Hooked]:
    programme = a_programme("csea")
    acme, birch = a_company("acme-social", programme), a_company("birch-chat", programme)
    with Receiver() as receiver:
        yield Hooked(acme, birch, receiver)


def go() -> int:
    """Deliver whatever is due, whatever its wait."""
    Endpoint.objects.update(next_attempt_at=now() - timedelta(seconds=1))
    return deliver_due(clock=now, for_at_most=timedelta(seconds=3))


def row(endpoint: Endpoint) -> Endpoint:
    return Endpoint.objects.get(id=endpoint.id)


def test_a_batch_arrives_and_the_members_own_store_applies_it(world: Hooked) -> None:
    endpoint = world.add()
    lines = world.say(3)
    assert go() == 1
    store = Store(":memory:")
    for received in world.receiver.received:
        page = read_page(json.loads(received.body))
        store.apply_batch(page, webhook_id=received.headers["webhook-id"], at=now())
    held = store.live("csea", channel=f"endpoint:{endpoint.id}", include_unverified=True)
    assert {entry.item["jws"] for entry in held} == {line.decode() for line in lines}
    assert go() == 0


def test_the_first_batch_says_listed_even_of_an_empty_feed(world: Hooked) -> None:
    world.add()
    assert go() == 1
    [body] = world.bodies()
    assert (body["items"], body["listed"], body["type"]) == ([], True, "feed.batch")


def test_every_attempt_is_noted_with_what_came_of_it(world: Hooked) -> None:
    endpoint = world.add()
    world.receiver.behave(in_turn(refuses(503, body=b"the https://bad.example/ you sent"), accepts()))
    world.say()
    go()
    go()
    first, second = Attempt.objects.filter(endpoint=endpoint).order_by("id")
    assert (first.status, first.error, first.is_delivered) == (503, "http-status", False)
    assert b"bad.example" not in bytes(first.sealed_excerpt or b"")
    assert (second.status, second.is_delivered) == (200, True)
    assert first.webhook_id == second.webhook_id
    assert row(endpoint).failures == 0


def test_a_failure_waits_before_it_is_tried_again(world: Hooked) -> None:
    endpoint = world.add(url=f"http://127.0.0.1:{unused_port()}/")
    deliver_due(clock=now, for_at_most=timedelta(seconds=3))
    assert row(endpoint).failures == 1
    assert row(endpoint).next_attempt_at > now()
    assert claim_due(limit=10)[0] == []


def test_410_switches_the_endpoint_off(world: Hooked, recorded: Recorded) -> None:
    endpoint = world.add()
    world.receiver.behave(refuses(410))
    go()
    assert (row(endpoint).state, row(endpoint).state_reason) == ("disabled", "gone")
    assert "endpoint.disabled" in {event["action"] for event in recorded()}
    world.say()
    assert go() == 0


def test_413_shrinks_the_batch_until_it_fits(world: Hooked) -> None:
    endpoint = world.add(batch_size=4)
    go()
    world.say(5)
    world.receiver.behave(in_turn(refuses(413), refuses(413), accepts()))
    for _ in range(4):
        go()
    assert [len(body["items"]) for body in world.bodies()[1:]][:3] == [4, 2, 1]
    assert sum(len(body["items"]) for body in world.bodies()[3:]) == 5
    assert row(endpoint).batch_size == 1  # two were too large


def test_a_batch_that_was_too_large_is_not_tried_again_and_again(world: Hooked) -> None:
    endpoint = world.add(batch_size=8)
    go()
    world.say(20)
    world.receiver.behave(in_turn(refuses(413), accepts()))
    for _ in range(4):
        go()
    assert [len(body["items"]) for body in world.bodies()[1:]] == [8, 4, 7, 7, 2]
    change_endpoint(endpoint.id, partner_id=endpoint.partner_id, batch_size=8, actor="partner:birch-chat", at=now())
    world.say(20)
    go()
    assert [len(body["items"]) for body in world.bodies()[6:8]] == [7, 8]


def test_a_receiver_that_hangs_is_left_after_less_than_half_the_lease_and_its_batch_shrinks(
    world: Hooked, settings: Settings
) -> None:
    settings.LEASE_SECONDS = 3
    endpoint = world.add(batch_size=8)
    world.receiver.behave(hangs())
    go()
    assert Attempt.objects.get().error == "total-timeout"
    assert Attempt.objects.get().latency_ms < 1500
    assert row(endpoint).batch_size == 4


@pytest.mark.parametrize("failure", [Failure.HOST_BUSY, Failure.PROXY])
def test_what_is_the_hubs_own_fault_does_not_count_against_an_endpoint(world: Hooked, failure: Failure) -> None:
    endpoint = world.add(batch_size=8)
    claimed, token = claim_due(limit=1)
    [batch] = render(claimed, token=token, at=now())
    settle([(batch, Outcome(failure=failure, latency=timedelta()))], at=now())
    assert (row(endpoint).failures, row(endpoint).batch_size) == (0, 8)
    assert row(endpoint).next_attempt_at > now()


def test_what_is_wrong_with_one_endpoint_does_not_keep_the_others_waiting(
    world: Hooked, monkeypatch: pytest.MonkeyPatch
) -> None:
    cedar = a_company("cedar-video", *[m.programme for m in world.birch.partner.memberships.all()])
    bad, good = world.add(), world.add(cedar)
    Endpoint.objects.filter(id=bad.id).update(sealed_secret=b"damaged")
    assert deliver_due(clock=now) == 1
    assert Attempt.objects.get().endpoint_id == good.id
    assert row(bad).next_attempt_at > now()


def test_a_suspended_member_gets_no_post_and_then_everything(world: Hooked) -> None:
    world.add()
    go()
    suspend_membership("birch-chat", "csea", actor="staff:1", at=now())
    world.say(2)
    assert go() == 0
    resume_membership("birch-chat", "csea", actor="staff:1", at=now())
    assert go() == 1
    assert len(world.bodies()[-1]["items"]) == 2


def test_a_partner_that_left_gets_one_last_word(world: Hooked, recorded: Recorded) -> None:
    endpoint = world.add()
    world.say()
    go()
    end_membership("birch-chat", "csea", actor="staff:1", at=now())
    assert not due().deliver
    mark_leaving(at=now())
    assert due().deliver
    assert go() == 1
    last = world.bodies()[-1]
    assert (last["type"], last["erase"], last["channel"]) == ("membership.ended", "all", f"endpoint:{endpoint.id}")
    assert row(endpoint).state_reason == "membership-ended"
    assert go() == 0
    assert [event["facts"]["reason"] for event in recorded() if event["action"] == "endpoint.disabled"] == [
        "membership-ended"
    ]


def test_who_left_before_anything_was_sent_hears_nothing(world: Hooked) -> None:
    endpoint = world.add()
    end_membership("birch-chat", "csea", actor="staff:1", at=now())
    assert go() == 0
    assert row(endpoint).state == "disabled"
    assert world.receiver.count == 0


def test_who_changed_its_filter_and_left_is_told_to_erase_all_the_same(world: Hooked) -> None:
    endpoint = world.add()
    world.say()
    go()
    change_endpoint(endpoint.id, partner_id=world.birch.partner.pk, filter={"types": ["md5"]}, **BY, at=now())
    end_membership("birch-chat", "csea", actor="staff:1", at=now())
    go()
    assert world.bodies()[-1]["type"] == "membership.ended"


def test_a_filter_holds_back_what_it_does_not_name(world: Hooked) -> None:
    world.add(filter={"types": ["md5"]})
    world.say(2)
    world.say(1, value="0" * 31 + "1", type="md5")
    go()
    assert [item["indicator"]["type"] for body in world.bodies() for item in body["items"]] == ["md5"]


def test_a_paused_endpoint_keeps_its_place_and_a_removed_one_forgets_its_secret(world: Hooked) -> None:
    endpoint = world.add()
    go()
    whose: dict[str, Any] = {"partner_id": world.birch.partner.pk, **BY}
    change_endpoint(endpoint.id, state="paused", **whose, at=now())
    world.say(2)
    assert go() == 0
    change_endpoint(endpoint.id, state="active", **whose, at=now())
    assert go() == 1
    assert len(world.bodies()[-1]["items"]) == 2
    remove_endpoint(endpoint.id, **whose, at=now())
    assert (bytes(row(endpoint).sealed_secret), row(endpoint).url) == (b"", "")
    world.say()
    assert go() == 0


def test_nobody_touches_anothers_endpoint(world: Hooked) -> None:
    endpoint = world.add()
    theirs: dict[str, Any] = {"partner_id": world.acme.partner.pk, "actor": "partner:acme-social", "at": now()}
    for attempt in (change_endpoint, remove_endpoint):
        with pytest.raises(NotFound):
            attempt(endpoint.id, **theirs)


def test_a_retry_after_a_lost_answer_carries_no_value_that_was_withdrawn_meanwhile(world: Hooked) -> None:
    world.add()
    world.receiver.behave(in_turn(refuses(500), accepts()))
    [jws] = world.say()
    go()
    world.acme.say(world.acme.withdrawal(jws))
    go()
    assert jws.decode() in world.receiver.received[0].body.decode()
    assert jws.decode() not in world.receiver.received[1].body.decode()


def test_every_rendering_is_recorded_also_of_retries(world: Hooked) -> None:
    world.add()
    world.receiver.behave(in_turn(refuses(500), refuses(500), accepts()))
    world.say(2)
    for _ in range(3):
        go()
    assert list(Disclosure.objects.values_list("count", flat=True)) == [2, 2, 2]


def test_if_the_ledger_cannot_be_written_nothing_is_sent_or_changed(
    world: Hooked, ledger_refuses: LedgerRefuses, no_leaf_to_come: LedgerRefuses
) -> None:
    with ledger_refuses():
        world.add()
    assert not Endpoint.objects.exists()
    endpoint = world.add()
    claimed, token = claim_due(limit=1)
    with no_leaf_to_come():
        render(claimed, token=token, at=now())
    assert world.receiver.count == 0
    assert row(endpoint).walk is None
    whose: dict[str, Any] = {"partner_id": world.birch.partner.pk, **BY, "at": now()}
    with ledger_refuses():
        change_endpoint(endpoint.id, batch_size=1, **whose)
    with ledger_refuses():
        remove_endpoint(endpoint.id, **whose)
    assert (row(endpoint).max_batch_size, row(endpoint).state) == (100, "active")


def test_if_the_ledger_cannot_be_written_nothing_was_submitted_or_published(
    world: Hooked, ledger_refuses: LedgerRefuses
) -> None:
    jws = world.acme.sign(world.acme.signal())
    with ledger_refuses():
        world.acme.submit(jws)
    assert not Submission.objects.exists()
    world.acme.submit(jws)
    verify_next(at=now())
    with ledger_refuses():
        publish(Signal.objects.get().programme_id, at=now())
    assert Signal.objects.get().state == "verified"
    tasks.publish()
    assert Signal.objects.get().state == "published"
    assert Statement.objects.count() == 1


HOUR = timedelta(hours=1)


@pytest.mark.parametrize("jumps", [(HOUR, HOUR, timedelta()), (timedelta(), timedelta(), HOUR)], ids=["back", "ahead"])
@pytest.mark.parametrize("status", [200, 500])
def test_a_clock_that_jumps_while_a_batch_is_in_the_air_makes_no_endpoint_wait_for_it(
    world: Hooked, jumps: tuple[timedelta, ...], status: int
) -> None:
    endpoint = world.add(posts_per_minute=600)
    world.say()
    world.receiver.behave(refuses(status))
    ticks = chain(jumps, repeat(jumps[-1]))  # to render, to sign, to settle

    deliver_due(clock=lambda: now() + next(ticks))

    endpoint.refresh_from_db()
    assert world.receiver.count == 1
    assert endpoint.next_attempt_at < now() + timedelta(seconds=10)
