"""Two of everything at the same moment: batches, verifiers, publishers, deliverers, and the ends of a signal."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from datetime import timedelta
from itertools import combinations
from threading import Barrier, Event, Thread
from typing import Any
from uuid import uuid4

import pytest
from django.db import connection, transaction

from partners import public
from partners.models import Programme
from signals.compliance.minutes import waiting
from signals.lifecycle import activity, roll_up, verify
from signals.lifecycle.deliver import claim_due, deliver_due
from signals.lifecycle.endpoints import add_endpoint, replay
from signals.lifecycle.expire import expire_due
from signals.lifecycle.publish import publish
from signals.lifecycle.quarantine import revoke_compromised_key, settle_fallen_keys
from signals.lifecycle.render import render
from signals.lifecycle.verify import verify_next
from signals.models import (
    Attempt,
    Change,
    DisclosedMinute,
    Disclosure,
    Endpoint,
    Signal,
    Statement,
    Submission,
    Verdict,
)
from signals.queries import submission_document
from tests.builders import a_programme, verified
from tests.companies import Company, a_company, now, settle
from tests.races.actors import Actor, let_all_end
from tests.races.following import Copy, Follower
from tests.receivers import Receiver, accepts

pytestmark = pytest.mark.usefixtures("committed_db")


def two() -> tuple[Programme, Company, Company]:
    """A programme of this test's own, with one who says and one who reads."""
    tag = uuid4().hex[:8]
    programme = a_programme(f"csea-{tag}")
    return programme, a_company(f"acme-{tag}", programme), a_company(f"birch-{tag}", programme)


def at_once(*verbs: Callable[[], object]) -> list[object]:
    """Run verbs in threads of their own that set out together; their results, in order."""
    barrier = Barrier(len(verbs))
    results: list[object] = [None] * len(verbs)
    errors: list[BaseException] = []

    def run(number: int, verb: Callable[[], object]) -> None:
        try:
            barrier.wait(10)
            results[number] = verb()
        except BaseException as error:  # noqa: BLE001  raised again in the test's thread
            errors.append(error)
        finally:
            connection.close()

    threads = [Thread(target=run, args=pair) for pair in enumerate(verbs)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    if errors:
        raise errors[0]
    return results


def test_the_same_batch_twice_at_once_gets_the_same_verdicts_and_no_doubles() -> None:
    programme, acme, _ = two()
    kept = acme.sign(acme.signal(programme=programme.slug))
    lines = [kept, kept[:-4] + b"AAAA", *(acme.sign(acme.signal(programme=programme.slug)) for _ in range(8))]
    lines.append(acme.withdrawal(kept))

    at_once(lambda: acme.submit(*lines), lambda: acme.submit(*lines))
    at_once(*[lambda: verify_next(at=now())] * 2)
    settle()

    documents = [submission_document(row) for row in Submission.objects.filter(partner_id=acme.partner.pk)]
    assert [document["status"] for document in documents] == ["done", "done"]
    assert documents[0]["verdicts"] == documents[1]["verdicts"]
    assert documents[0]["counts"] == {"accepted": 10, "held": 0, "refused": 1, "pending": 0}
    assert Signal.objects.filter(programme_id=programme.pk).count() == 9
    assert Statement.objects.filter(programme_id=programme.pk).count() == 10


@pytest.mark.parametrize("first_settles", [True, False])
def test_two_verifiers_of_one_submission_settle_it_once(*, first_settles: bool) -> None:
    """The first's lease has run out and the second has claimed it; whoever comes first, the owner alone settles."""
    programme, acme, _ = two()
    submission = acme.submit(*(acme.sign(acme.signal(programme=programme.slug)) for _ in range(3)))
    overtaken = verify.claim()
    Submission.objects.update(lease_until=now() - timedelta(seconds=1))
    claims = [overtaken, verify.claim()] if first_settles else [verify.claim(), overtaken]
    with Actor("first") as first, Actor("second") as second, pytest.MonkeyPatch.context() as patch:
        patch.setattr(verify, "claim", lambda: claims.pop(0))
        assert first.begin(lambda: verify_next(at=now()))
        assert not second.begin(lambda: verify_next(at=now())), "two batches of one partner at once"
        let_all_end(first, second)
        assert sorted([first.result != set(), second.result != set()]) == [False, True]
    assert Verdict.objects.filter(submission_id=submission.id).count() == 3
    submission.refresh_from_db()
    assert submission.state == "done"
    settle()
    assert Signal.objects.filter(programme_id=programme.pk, state="published").count() == 3


def test_two_publishers_take_turns_and_leave_no_gap() -> None:
    programme, acme, birch = two()
    for company in (acme, birch):
        company.submit(*(company.sign(company.signal(programme=programme.slug)) for _ in range(20)))
        while verify_next(at=now()) is not None:
            pass
    while sum(int(str(count)) for count in at_once(*[lambda: publish(programme.pk, at=now())] * 3)):
        pass
    places = Change.objects.filter(programme_id=programme.pk).order_by("position").values_list("position", flat=True)
    assert list(places) == list(range(1, 41))


def test_a_publisher_that_rolls_back_leaves_its_places_to_the_next() -> None:
    programme, acme, birch = two()
    reader = Follower(birch, programme.slug)
    acme.submit(acme.sign(acme.signal(programme=programme.slug)))
    verify_next(at=now())
    with Actor("one") as one:
        one.begin(lambda: publish(programme.pk, at=now()))
        reader.catch_up()
        one.end(commit=False)
    settle()
    assert len(reader.catch_up().live) == 1
    assert Change.objects.get(programme_id=programme.pk).position == 1


def test_two_deliverers_post_one_batch_once() -> None:
    programme, acme, birch = two()
    with Receiver(accepts(after=0.2)) as receiver:
        endpoint = hook(programme, birch, receiver.url)
        acme.say(*(acme.sign(acme.signal(programme=programme.slug)) for _ in range(3)))
        posted = at_once(*[lambda: deliver_due(clock=now)] * 2)
        assert sum(int(str(count)) for count in posted) == receiver.count == 1
        assert [len(received.json()["items"]) for received in receiver.received] == [3]
    assert Attempt.objects.filter(endpoint=endpoint).count() == 1


def test_a_deliverer_that_was_overtaken_changes_nothing() -> None:
    """Its POST is answered after another worker has taken over: the receiver copes, and the row is the other's."""
    programme, acme, birch = two()
    copy = Copy()
    with Receiver(accepts(after=0.5)) as receiver:
        endpoint = hook(programme, birch, receiver.url)
        acme.say(acme.sign(acme.signal(programme=programme.slug)))

        def take_over() -> int:
            receiver.wait_for(1)
            receiver.behave(accepts())
            Endpoint.objects.filter(id=endpoint.id).update(lease_until=now() - timedelta(seconds=1))
            acme.say(acme.sign(acme.signal(programme=programme.slug)))
            return deliver_due(clock=now)

        at_once(lambda: deliver_due(clock=now), take_over)
        bodies = [json.loads(received.body) for received in receiver.received]
        ids = [received.headers["webhook-id"] for received in receiver.received]
    for body in (*bodies, *bodies):
        copy.apply(body)
    assert len(copy.live) == 2
    assert ids[0] == ids[1] != ids[2]
    settled = Attempt.objects.filter(endpoint=endpoint).order_by("id").values_list("settled", flat=True)
    assert sorted(settled) == [False, True, True]
    assert claim_due(limit=10)[0] == []


def test_who_changes_several_endpoints_and_a_deliverer_of_the_same_do_not_wait_for_each_other() -> None:
    programme, acme, birch = two()
    has_first, is_taking_off = Event(), Event()
    with Receiver(accepts()) as receiver:
        endpoints = [hook(programme, birch, receiver.url) for _ in range(2)]
        first, last = sorted(endpoints, key=lambda endpoint: endpoint.id)
        acme.say(acme.sign(acme.signal(programme=programme.slug)))
        claimed, token = claim_due(limit=2)
        assert {endpoint.id for endpoint in claimed} == {first.id, last.id}

        def replay_both() -> None:
            with transaction.atomic():
                replay(first.id, partner_id=birch.partner.pk, since=None, actor="partner:birch", at=now())
                has_first.set()
                is_taking_off.wait(10)
                time.sleep(0.3)  # until it waits for the first, with or without the last in its hands
                replay(last.id, partner_id=birch.partner.pk, since=None, actor="partner:birch", at=now())

        def take_off() -> int:
            has_first.wait(10)
            is_taking_off.set()
            return len(render(sorted(claimed, key=lambda endpoint: endpoint.id, reverse=True), token=token, at=now()))

        [_, rendered] = at_once(replay_both, take_off)
    assert rendered == 0  # a walk anew takes the lease away


ENDS = ("publish", "withdraw", "expire", "fall")


@pytest.mark.parametrize("order", [*combinations(ENDS, 2), ENDS, ENDS[::-1]])
def test_however_its_ends_overlap_a_signal_comes_to_one_and_everybody_hears_of_it(order: tuple[str, ...]) -> None:
    """Each verb begins while those before it stand before their commit; the first rolls back and comes again."""
    programme, acme, birch = two()
    reader = Follower(birch, programme.slug)
    early, late = (acme.sign(acme.signal(programme=programme.slug)) for _ in range(2))
    acme.say(early)
    reader.catch_up()
    acme.submit(late)
    verify_next(at=now())
    acme.submit(acme.withdrawal(early), acme.withdrawal(late))
    far = now() + timedelta(days=400)
    verbs: dict[str, Callable[[], Any]] = {
        "publish": lambda: publish(programme.pk, at=now()),
        "withdraw": lambda: verify_next(at=now()),
        "expire": lambda: expire_due(at=far),
        "fall": lambda: fall(acme),
    }
    actors = [Actor(name) for name in order]
    try:
        for actor, name in zip(actors, order, strict=True):
            actor.begin(verbs[name])
            reader.pull(limit=1)
        if actors[0].is_holding:
            actors[0].end(commit=False)
        let_all_end(*actors)
        actors[0].do(verbs[order[0]])
    finally:
        for actor in actors:
            actor.__exit__(None, None, None)
    while settle_fallen_keys(at=now()):
        pass
    settle()
    assert reader.catch_up().live == {
        str(signal.id): (early if signal.arrival == min_arrival(programme) else late).decode()
        for signal in Signal.objects.filter(programme_id=programme.pk, state="published")
    }
    for signal in Signal.objects.filter(programme_id=programme.pk):
        assert Change.objects.filter(signal_id=signal.id).count() == signal.revision
        assert (signal.removal != "") == (signal.state in {"withdrawn", "expired", "quarantined"})
    if "expire" in order or "withdraw" in order or "fall" in order:
        assert reader.copy.live == {}


def min_arrival(programme: Programme) -> int:
    return min(Signal.objects.filter(programme_id=programme.pk).values_list("arrival", flat=True))


def fall(company: Company) -> None:
    revoke_compromised_key(
        company.key.kid, partner_id=company.partner.pk, compromised_at=None, actor=f"partner:{company.slug}", at=now()
    )


def hook(programme: Programme, company: Company, url: str) -> Endpoint:
    member = public.membership(company.partner.pk, programme.slug, at=now())
    assert member is not None
    asked: dict[str, Any] = {"url": url, "filter": {}, "batch_size": 100, "actor": "partner:x", "at": now()}
    return verified(add_endpoint(member, **asked).endpoint)


def test_two_workers_sum_each_disclosure_once() -> None:
    programme, acme, birch = two()
    acme.say(*(acme.sign(acme.signal(programme=programme.slug)) for _ in range(12)))
    page: dict[str, Any] = {"next": None}
    for _ in range(12):
        page = birch.feed(programme.slug, limit=1, **({"after": page["next"]} if page["next"] else {}))
    until = now() + timedelta(days=1)
    while waiting():
        at_once(*([lambda: roll_up.roll_up(until=until, at=now())] * 3))
    summed = [each for minute in DisclosedMinute.objects.all() for each in minute.disclosure_ids]
    assert sorted(summed) == sorted(Disclosure.objects.values_list("id", flat=True))


def test_a_worker_that_dies_while_it_sums_leaves_all_of_it_waiting() -> None:
    programme, acme, birch = two()
    acme.say(acme.sign(acme.signal(programme=programme.slug)))
    birch.feed(programme.slug)
    before, summed = waiting(), DisclosedMinute.objects.count()
    with Actor("dies") as actor:
        assert actor.begin(lambda: roll_up.roll_up(until=now() + timedelta(days=1), at=now()))
        assert roll_up.roll_up(until=now() + timedelta(days=1), at=now()) == 0  # the other holds the right to sum
        actor.end(commit=False)
    assert (waiting(), DisclosedMinute.objects.count()) == (before, summed)
    assert roll_up.roll_up(until=now() + timedelta(days=1), at=now()) == before


def test_what_one_worker_counts_ahead_another_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(activity, "AT_ONCE", -1)
    with Actor("counts") as actor:
        assert actor.begin(lambda: activity.count_ahead(at=now()))
        assert activity.count_ahead(at=now()) == 0, "the other is at it"
        actor.end(commit=False)
    assert activity.count_ahead(at=now()) == len(activity.Activity)
