"""Rules 6 to 8 and 13 of docs/decisions/0050: endpoints, attempts, receivers. Each scenario fails without its rule."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest

from partners import public
from partners.lifecycle.begin_membership import Terms, begin_membership
from partners.lifecycle.end_membership import end_membership
from signals.core.endpoints import Letter
from signals.delivery.outcome import Failure, Outcome
from signals.lifecycle import settle as settling
from signals.lifecycle.deliver import claim_due
from signals.lifecycle.endpoints import add_endpoint, change_endpoint, resume_endpoint
from signals.lifecycle.farewell import mark_leaving
from signals.lifecycle.letters import Post
from signals.lifecycle.render import render
from signals.models import Disclosure, Endpoint
from tests.builders import a_programme, verified
from tests.companies import Company, a_company, now
from tests.races import broken
from tests.races.broken import needs
from tests.races.following import Copy

pytestmark = pytest.mark.django_db

TAKEN = Outcome(failure=None, latency=timedelta(), status=200)
LOST = Outcome(failure=Failure.TOTAL_TIMEOUT, latency=timedelta())  # it may have arrived
TOO_LARGE = Outcome(failure=Failure.HTTP_STATUS, latency=timedelta(), status=413)
BY: dict[str, Any] = {"actor": "partner:birch-chat"}


@dataclass
class Hooked:
    """Acme says, birch has an endpoint, and its receiver applies what it takes by the rules."""

    acme: Company
    birch: Company
    endpoint: Endpoint
    copy: Copy = field(default_factory=Copy)
    bodies: list[tuple[str, dict[str, Any]]] = field(default_factory=list)

    def say(self, count: int = 1, **audience: Any) -> list[bytes]:
        """Publish signals for everybody, or routed as the audience says."""
        asked: dict[str, Any] = {"audience": "routed"} if audience else {}
        lines = [self.acme.sign(self.acme.signal(**asked)) for _ in range(count)]
        for line in lines:
            self.acme.say(line, *([self.acme.routing(line, **audience)] if audience else []))
        return lines

    def take_off(self) -> Post | None:
        """Claim the endpoint and render what it is owed; None when there is nothing for it."""
        Endpoint.objects.filter(id=self.endpoint.id).update(next_attempt_at=now() - timedelta(seconds=1))
        claimed, token = claim_due(limit=10)
        for batch in render(claimed, token=token, at=now()):
            self.bodies.append((batch.webhook_id, json.loads(batch.whole)))
            return batch
        return None

    def post(self, outcome: Outcome = TAKEN, *, arrives: bool = True) -> Post | None:
        """One attempt; the receiver applies what arrives."""
        batch = self.take_off()
        if batch is not None:
            body = json.loads(batch.whole)
            if batch.letter is Letter.FAREWELL:
                self.copy.erase()
            elif arrives:
                self.copy.apply(body)
            settling.settle([(batch, outcome)], at=now())
        return batch

    def lose_lease(self) -> None:
        Endpoint.objects.filter(id=self.endpoint.id).update(lease_until=now() - timedelta(seconds=1))

    @property
    def row(self) -> Endpoint:
        return Endpoint.objects.get(id=self.endpoint.id)


def hooked(**asked: Any) -> Hooked:
    programme = a_programme("csea")
    acme, birch = a_company("acme-social", programme), a_company("birch-chat", programme)
    member = public.membership(birch.partner.pk, "csea", at=now())
    assert member is not None
    wanted: dict[str, Any] = {"url": "http://127.0.0.1:8080/hook", "filter": {}, "batch_size": 200, **asked}
    return Hooked(acme, birch, verified(add_endpoint(member, **wanted, **BY, at=now()).endpoint))


# ---------------------------------------------------------------- rule 6
def test_6_a_listed_batch_is_sent_even_if_it_is_empty() -> None:
    """Else a receiver whose signals were all withdrawn while it was away would keep them."""

    def scenario() -> None:
        world = hooked()
        [jws] = world.say()
        world.post()
        assert len(world.copy.live) == 1
        world.acme.say(world.acme.withdrawal(jws))
        change_endpoint(world.endpoint.id, partner_id=world.birch.partner.pk, filter={}, **BY, at=now())
        world.post()
        assert world.copy.live == {}

    needs(broken.silence_about_listing, scenario)


def test_6_an_endpoint_of_a_partner_that_comes_back_walks_anew() -> None:
    def scenario() -> None:
        world = hooked()
        world.say()
        world.post()
        end_membership("birch-chat", "csea", actor="staff:1", at=now())
        world.copy.erase()  # as every answer about the programme told it to
        begin_membership("birch-chat", "csea", Terms(), actor="staff:1", at=now())
        assert mark_leaving(at=now()) == 1
        world.post()
        assert len(world.copy.live) == 1
        assert world.take_off() is None, "a quiet endpoint is claimed again and again"

    needs(broken.generation_ignored, scenario)


def test_6_the_last_word_to_who_left_and_a_fresh_start_should_it_return() -> None:
    world = hooked()
    world.say()
    world.post()
    end_membership("birch-chat", "csea", actor="staff:1", at=now())
    mark_leaving(at=now())
    world.post(LOST)
    world.post()
    last = world.bodies[-1][1]
    assert (last["type"], last["erase"]) == ("membership.ended", "all")
    assert world.bodies[-2][0] == world.bodies[-1][0], "the retry has another id"
    assert (world.row.state, world.row.state_reason) == ("disabled", "membership-ended")
    begin_membership("birch-chat", "csea", Terms(), actor="staff:1", at=now())
    resume_endpoint(world.endpoint.id, partner_id=world.birch.partner.pk, **BY, at=now())
    world.post()
    assert len(world.bodies[-1][1]["items"]) == 1
    assert world.bodies[-1][1]["listed"]


def test_6_who_comes_back_while_its_last_word_is_in_the_air_goes_on_without_being_asked() -> None:
    world = hooked()
    world.say()
    world.post()
    end_membership("birch-chat", "csea", actor="staff:1", at=now())
    mark_leaving(at=now())
    last = world.take_off()
    assert last is not None
    begin_membership("birch-chat", "csea", Terms(), actor="staff:1", at=now())
    settling.settle([(last, TAKEN)], at=now())
    world.post()
    assert world.row.state == "active"
    assert len(world.bodies[-1][1]["items"]) == 1


# ---------------------------------------------------------------- rule 7
def test_7_a_retry_keeps_its_id_and_never_reaches_further() -> None:
    def scenario() -> None:
        world = hooked()
        world.post()
        world.say(2)
        world.post(LOST)
        world.say(2)
        world.post()
        world.post()
        ids = [webhook_id for webhook_id, _ in world.bodies[1:]]
        assert ids[0] == ids[1]
        assert [len(body["items"]) for _, body in world.bodies[1:]] == [2, 2, 2]
        assert ids[2] != ids[0]

    needs(broken.in_flight_ignored, scenario)


def test_7_a_range_that_was_too_large_shrinks_and_keeps_its_id() -> None:
    world = hooked()
    world.post()
    world.say(4)
    Endpoint.objects.update(batch_size=4, max_batch_size=4)
    world.post(TOO_LARGE)
    world.post(LOST)
    world.post()
    world.post()
    ids, bodies = zip(*world.bodies[1:], strict=True)
    assert [len(body["items"]) for body in bodies] == [4, 2, 1, 2]
    assert ids[0] == ids[1] == ids[2] != ids[3]
    assert world.row.batch_size == 3  # four were too large


def test_7_an_overtaken_attempt_changes_nothing() -> None:
    def scenario() -> None:
        world = hooked()
        world.post()
        world.say()
        slow = world.take_off()
        assert slow is not None
        world.lose_lease()
        world.acme.say(world.acme.sign(world.acme.signal()))
        quick = world.take_off()
        assert quick is not None
        settling.settle([(slow, TAKEN)], at=now())
        assert world.row.position < quick.to
        assert world.row.lease_token == quick.token
        settling.settle([(quick, TAKEN)], at=now())
        assert world.row.position == quick.to

    needs(broken.delivery_token_ignored, scenario)


def test_7_a_retry_is_rendered_anew_and_never_carries_what_was_withdrawn_meanwhile() -> None:
    def scenario() -> None:
        world = hooked()
        [jws] = world.say()
        world.post(LOST, arrives=False)
        world.acme.say(world.acme.withdrawal(jws))
        world.post()
        assert jws.decode() not in json.dumps(world.bodies[-1][1])

    needs(broken.bodies_kept, scenario)


def test_7_what_is_changed_between_claim_and_rendering_is_neither_shown_nor_recorded() -> None:
    world = hooked()
    world.say()
    claimed, token = claim_due(limit=1)
    change_endpoint(world.endpoint.id, partner_id=world.birch.partner.pk, filter={"types": ["md5"]}, **BY, at=now())
    assert render(claimed, token=token, at=now()) == []
    assert not Disclosure.objects.exists()


def test_7_a_batch_size_lowered_while_a_post_is_in_the_air_holds() -> None:
    world = hooked()
    world.say(3)
    batch = world.take_off()
    assert batch is not None
    Endpoint.objects.update(max_batch_size=1, batch_size=1)
    settling.settle([(batch, TAKEN)], at=now())
    assert world.row.batch_size == 1


# ---------------------------------------------------------------- rule 8
@pytest.mark.parametrize("comes_last", [True, False])
def test_8_a_receiver_that_applies_by_revision_is_never_set_back(*, comes_last: bool) -> None:
    """Batches come late, doubled and out of order; the last word stands. Taken as they come, they would set it back."""
    world = hooked()
    [jws] = world.say()
    old = world.take_off()
    assert old is not None
    world.lose_lease()
    world.acme.say(world.acme.withdrawal(jws))
    world.post()
    late = json.loads(old.whole)
    if comes_last:
        world.post()
    world.copy.apply(late)
    world.copy.apply(late)
    if not comes_last:
        world.post()
    assert world.copy.live == {}
    arrived = [item["state"] for item in world.copy.shown]
    assert arrived == (
        ["withdrawn", "published", "published"] if comes_last else ["published", "published", "withdrawn"]
    )


def test_8_a_batch_of_an_older_walk_does_not_bring_back_what_the_new_walk_dropped() -> None:
    world = hooked()
    [jws] = world.say()
    old = world.take_off()
    assert old is not None
    world.acme.say(world.acme.withdrawal(jws))
    change_endpoint(world.endpoint.id, partner_id=world.birch.partner.pk, filter={}, **BY, at=now())
    world.post()
    world.copy.apply(json.loads(old.whole))
    assert world.copy.live == {}


# ---------------------------------------------------------------- rule 13
def test_13_nothing_is_posted_for_a_range_in_which_the_partner_may_see_nothing() -> None:
    def scenario() -> None:
        world = hooked()
        world.post()
        [jws] = world.say(leave_out=["birch-chat"])
        world.acme.say(world.acme.withdrawal(jws))
        assert world.post() is None
        assert len(world.bodies) == 1
        assert Disclosure.objects.count() == 1

    needs(broken.silence_is_posted, scenario)
