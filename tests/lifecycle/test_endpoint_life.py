"""The life of an endpoint: challenged, verified, paced, rotated, replayed, broken and mended, given up on loudly."""

from __future__ import annotations

import json
import socketserver
import threading
from collections.abc import Collection, Iterator, Mapping
from datetime import timedelta
from typing import Any

import pytest
from django.core import mail
from django.db.models import F
from heliograph_client.feed import read_page
from heliograph_client.store import Store
from heliograph_client.webhooks import WebhookRefused, verify
from pytest_django import Settings

from partners import public
from partners.lifecycle.begin_membership import Terms, begin_membership
from partners.lifecycle.end_membership import end_membership
from signals import endpoint_health, monitoring
from signals.core.notices import NoticeKind
from signals.core.refusals import EndpointHeld, EndpointTlsRefused
from signals.delivery.outcome import Failure, Outcome
from signals.lifecycle import endpoints
from signals.lifecycle.deliver import claim_due, deliver_due
from signals.lifecycle.endpoints import Added, add_endpoint, change_endpoint, replay, rotate_secret, send_test
from signals.lifecycle.failing import mail_failing, mark_failing
from signals.lifecycle.farewell import mark_leaving
from signals.lifecycle.letters import challenge_of, hub_public_keys
from signals.lifecycle.render import render
from signals.lifecycle.settle import settle
from signals.lifecycle.shared_pages import SharedPage, SharedPages, Sheet
from signals.models import Attempt, Change, Endpoint, Head, Notice, Walk
from tests.builders import a_programme
from tests.companies import Company, a_company, now
from tests.lifecycle.conftest import LedgerRefuses, Recorded
from tests.receivers import Received, Receiver, accepts, in_turn, refuses

pytestmark = pytest.mark.django_db


class World:
    """Acme says; birch has receivers."""

    def __init__(self, receiver: Receiver) -> None:
        self.programme = a_programme("csea")
        self.acme = a_company("acme-social", self.programme)
        self.birch = a_company("birch-chat", self.programme)
        self.receiver = receiver

    @property
    def whose(self) -> dict[str, Any]:
        return {"partner_id": self.birch.partner.pk, "actor": "partner:birch-chat", "at": now()}

    def add(self, company: Company | None = None, *, is_verified: bool = True, **terms: Any) -> Added:
        company = company or self.birch
        member = public.membership(company.partner.pk, "csea", at=now())
        assert member is not None
        asked = {"url": self.receiver.url, "filter": {}, "actor": f"partner:{company.slug}", "at": now(), **terms}
        added = add_endpoint(member, **asked)
        if is_verified:
            Endpoint.objects.filter(id=added.endpoint.id).update(verified_at=now())
        return added

    def say(self, count: int = 1, **members: Any) -> list[bytes]:
        lines = [self.acme.sign(self.acme.signal(**members)) for _ in range(count)]
        self.acme.say(*lines)
        return lines

    @property
    def letters(self) -> list[dict[str, Any]]:
        return [json.loads(received.body) for received in self.receiver.received]


@pytest.fixture
def world(db: None) -> Iterator[World]:
    with Receiver() as receiver:
        yield World(receiver)


def go() -> int:
    Endpoint.objects.update(next_attempt_at=now() - timedelta(seconds=1))
    return deliver_due(clock=now, for_at_most=timedelta(seconds=3))


def row(added: Added) -> Endpoint:
    return Endpoint.objects.get(id=added.endpoint.id)


def kinds(world: World) -> list[str]:
    return [letter["type"] for letter in world.letters]


def verified_by(secret: str, received: Received) -> bool:
    try:
        verify(dict(received.headers), received.body, [secret], at=now())
    except WebhookRefused:
        return False
    return True


def told(company: Company) -> list[str]:
    return list(Notice.objects.filter(partner_id=company.partner.pk).order_by("number").values_list("kind", flat=True))


# ---------------------------------------------------------------- the challenge
def test_a_new_address_gets_nothing_but_a_signed_challenge_until_it_repeats_it(
    world: World, recorded: Recorded
) -> None:
    world.receiver.behave(in_turn(accepts(204), refuses(200, body=b"thanks"), accepts()))
    added = world.add(is_verified=False)
    world.say()
    go()
    go()
    assert kinds(world) == ["endpoint.challenge"] * 2
    assert [attempt.error for attempt in Attempt.objects.all()] == [Failure.NO_ECHO.value] * 2
    assert row(added).verified_at is None
    go()
    assert kinds(world)[2:] == ["endpoint.challenge", "feed.batch"]
    assert world.letters[2]["challenge"] == challenge_of(row(added))
    assert all(verified_by(added.secret, received) for received in world.receiver.received)
    assert row(added).verified_at is not None
    assert "endpoint.verified" in {event["action"] for event in recorded()}
    assert told(world.birch) == [NoticeKind.ENDPOINT_VERIFIED.value]


def test_another_address_is_challenged_anew_and_the_place_in_the_feed_stays(world: World) -> None:
    added = world.add()
    world.say()
    go()
    change_endpoint(added.endpoint.id, url=world.receiver.url + "/else", **world.whose)
    world.say()
    go()
    assert kinds(world) == ["feed.batch", "endpoint.challenge", "feed.batch"]
    assert len(world.letters[-1]["items"]) == 1
    assert challenge_of(added.endpoint) != challenge_of(row(added))


def test_the_answer_of_the_old_address_does_not_verify_the_new_one(world: World) -> None:
    added = world.add(is_verified=False)
    claimed, token = claim_due(limit=1)
    [post] = render(claimed, token=token, at=now())
    change_endpoint(added.endpoint.id, url=world.receiver.url + "/else", **world.whose)
    settle([(post, Outcome(failure=None, status=200, excerpt=post.expects, latency=timedelta()))], at=now())
    assert row(added).verified_at is None


def test_an_address_that_never_repeated_its_challenge_gets_nothing_after_a_membership_began_anew(
    world: World,
) -> None:
    added = world.add()
    world.say()
    go()
    change_endpoint(added.endpoint.id, url=world.receiver.url + "/else", **world.whose)
    world.receiver.behave(accepts(204))
    end_membership("birch-chat", "csea", actor="staff:1", at=now())
    begin_membership("birch-chat", "csea", Terms(), actor="staff:1", at=now())
    mark_leaving(at=now())
    send_test(added.endpoint.id, **world.whose)
    for _ in range(3):
        go()
    assert set(kinds(world)[1:]) == {"endpoint.challenge"}


def test_an_address_that_never_repeated_its_challenge_gets_no_last_word_either(world: World) -> None:
    added = world.add()
    world.say()
    go()
    change_endpoint(added.endpoint.id, url=world.receiver.url + "/else", **world.whose)
    world.receiver.behave(accepts(204))
    end_membership("birch-chat", "csea", actor="staff:1", at=now())
    mark_leaving(at=now())
    go()
    assert (row(added).state, row(added).state_reason) == ("disabled", "membership-ended")
    assert "membership.ended" not in kinds(world)


def test_a_challenged_address_that_is_gone_switches_the_endpoint_off(world: World) -> None:
    world.receiver.behave(refuses(410))
    added = world.add(is_verified=False)
    go()
    assert row(added).state_reason == "gone"
    assert told(world.birch) == [NoticeKind.ENDPOINT_DISABLED.value]


# ---------------------------------------------------------------- signatures
def test_both_secrets_sign_while_the_old_one_is_valid_and_then_the_new_one_alone(world: World) -> None:
    added = world.add()
    changed = rotate_secret(added.endpoint.id, old_valid_for=timedelta(hours=1), **world.whose)
    go()
    [first] = world.receiver.received
    assert verified_by(added.secret, first)
    assert verified_by(changed.secret, first)
    assert len(first.headers["webhook-signature"].split(" ")) == 2
    row(added).former_secrets.update(valid_until=now())
    world.say()
    go()
    assert not verified_by(added.secret, world.receiver.received[-1])
    assert verified_by(changed.secret, world.receiver.received[-1])


def test_an_old_secret_may_end_at_once_and_stays_valid_for_seven_days_at_most(world: World) -> None:
    added = world.add()
    rotate_secret(added.endpoint.id, old_valid_for=timedelta(), **world.whose)
    assert not row(added).former_secrets.exists()
    with pytest.raises(ValueError, match="seven days"):
        rotate_secret(added.endpoint.id, old_valid_for=timedelta(days=8), **world.whose)
    for _ in range(9):
        rotate_secret(added.endpoint.id, **world.whose)
    assert row(added).former_secrets.count() == 4
    assert set(told(world.birch)) == {NoticeKind.ENDPOINT_SECRET_ROTATED.value}


def test_v1a_is_signed_with_the_hubs_key_and_goes_on_for_a_day_after_it_is_given_up(world: World) -> None:
    added = world.add(signatures=["v1", "v1a"])
    go()
    [public_key] = hub_public_keys()
    assert verified_by(public_key, world.receiver.received[0])
    assert verified_by(added.secret, world.receiver.received[0])
    change_endpoint(added.endpoint.id, signatures=["v1"], **world.whose)
    world.say()
    go()
    assert verified_by(public_key, world.receiver.received[1])
    Endpoint.objects.update(v1a_until=now())
    world.say()
    go()
    assert not verified_by(public_key, world.receiver.received[2])


def test_if_the_ledger_cannot_be_written_no_secret_is_rotated_and_nothing_is_replayed(
    world: World, ledger_refuses: LedgerRefuses
) -> None:
    added = world.add()
    go()
    before = row(added)
    with ledger_refuses():
        rotate_secret(added.endpoint.id, **world.whose)
    with ledger_refuses():
        replay(added.endpoint.id, since=None, **world.whose)
    after = row(added)
    assert (bytes(after.sealed_secret), after.walk) == (bytes(before.sealed_secret), before.walk)


# ---------------------------------------------------------------- terms
def test_a_thin_batch_says_what_changed_and_not_what_it_is(world: World) -> None:
    world.add(payload="thin")
    [line] = world.say()
    go()
    [letter] = world.letters
    assert letter["type"] == "feed.changes"
    assert [sorted(item) for item in letter["items"]] == [["changed_at", "id", "revision", "state"]]
    assert line not in world.receiver.received[0].body


def test_an_endpoint_gets_no_more_posts_a_minute_than_it_asked_for(world: World) -> None:
    added = world.add(batch_size=1, posts_per_minute=60)
    world.say(3)
    Endpoint.objects.update(next_attempt_at=now() - timedelta(seconds=1))
    assert deliver_due(clock=now, for_at_most=timedelta(seconds=0.4)) == 1
    waits = row(added).next_attempt_at - Attempt.objects.get().at
    assert timedelta(seconds=0.5) < waits <= timedelta(seconds=1)


def test_retries_keep_to_the_posts_a_minute_that_were_asked_for(world: World) -> None:
    added = world.add(posts_per_minute=1)
    fail(1)
    assert row(added).next_attempt_at > now() + timedelta(seconds=50)


def test_a_bundle_of_roots_that_is_none_is_refused(world: World) -> None:
    with pytest.raises(EndpointTlsRefused):
        world.add(ca_pem="-----BEGIN CERTIFICATE-----\nnonsense\n-----END CERTIFICATE-----\n")


# ---------------------------------------------------------------- replay and test
def test_a_replay_from_the_start_lists_everything_again_under_other_ids(world: World) -> None:
    added = world.add()
    lines = world.say(2)
    go()
    replay(added.endpoint.id, since=None, **world.whose)
    go()
    first, again = world.letters
    assert [item["jws"] for item in again["items"]] == [line.decode() for line in lines]
    assert (again["listed"], again["walk"] > first["walk"]) == (True, True)
    assert world.receiver.received[0].headers["webhook-id"] != world.receiver.received[1].headers["webhook-id"]


def test_a_replay_from_a_time_sends_what_changed_since_and_never_says_listed(world: World) -> None:
    added = world.add(batch_size=1)
    for _ in range(4):
        world.say()
    go()
    since = Change.objects.get(position=3).at
    change_endpoint(added.endpoint.id, state="paused", **world.whose)
    replay(added.endpoint.id, since=since, **world.whose)
    before = len(world.letters)
    assert go() == 0
    change_endpoint(added.endpoint.id, state="active", **world.whose)
    go()
    again = world.letters[before:]
    wanted = Change.objects.filter(at__gte=since).order_by("position").values_list("signal_id", flat=True)
    assert [item["id"] for letter in again for item in letter["items"]] == [str(identity) for identity in wanted]
    assert not any(letter["listed"] for letter in again)
    store = Store(":memory:")
    for received in world.receiver.received:
        store.apply_batch(read_page(json.loads(received.body)), webhook_id=received.headers["webhook-id"], at=now())
    assert len(list(store.live("csea", include_unverified=True))) == 4  # nothing that was held is dropped by it


def test_a_replay_from_before_everything_is_one_from_the_start(world: World) -> None:
    added = world.add()
    world.say()
    replay(added.endpoint.id, since=now() - timedelta(days=4000), **world.whose)
    go()
    assert world.letters[-1]["listed"]


def test_a_replay_from_a_time_passes_over_no_tombstone_that_was_not_taken(world: World) -> None:
    added = world.add()
    [line] = world.say()
    go()
    change_endpoint(added.endpoint.id, state="paused", **world.whose)
    world.acme.say(world.acme.withdrawal(line))
    replay(added.endpoint.id, since=now() + timedelta(days=1), **world.whose)
    change_endpoint(added.endpoint.id, state="active", **world.whose)
    go()
    assert [item["state"] for item in world.letters[-1]["items"]] == ["withdrawn"]


def test_a_test_event_is_sent_at_once_also_to_a_paused_endpoint_and_moves_nothing(world: World) -> None:
    added = world.add()
    go()
    change_endpoint(added.endpoint.id, state="paused", **world.whose)
    world.say()
    place = row(added).position
    send_test(added.endpoint.id, **world.whose)
    assert deliver_due(clock=now, for_at_most=timedelta(seconds=2)) == 1
    assert kinds(world)[-1] == "endpoint.test"
    assert (row(added).position, row(added).test_asked_at, row(added).state) == (place, None, "paused")
    endpoints.disable_endpoint(added.endpoint.id, partner_id=world.birch.partner.pk, actor="staff:1", at=now())
    with pytest.raises(EndpointHeld):
        send_test(added.endpoint.id, **world.whose)


def test_what_the_operator_paused_is_sent_no_test_of_its_partners(world: World) -> None:
    added = world.add()
    send_test(added.endpoint.id, **world.whose)
    endpoints.pause_endpoint(added.endpoint.id, partner_id=world.birch.partner.pk, actor="staff:1", at=now())
    with pytest.raises(EndpointHeld):
        send_test(added.endpoint.id, **world.whose)
    assert go() == 0
    send_test(added.endpoint.id, **{**world.whose, "actor": "staff:1"})
    assert go() == 1


# ---------------------------------------------------------------- the breaker
def fail(times: int, outcome: Outcome | None = None) -> None:
    for _ in range(times):
        Endpoint.objects.update(next_attempt_at=now() - timedelta(seconds=1))
        claimed, token = claim_due(limit=1)
        [post] = render(claimed, token=token, at=now())
        settle([(post, outcome or Outcome(failure=Failure.CONNECT_REFUSED, latency=timedelta()))], at=now())


def test_the_breaker_opens_when_the_quick_retries_are_used_up_and_a_small_probe_closes_it(world: World) -> None:
    added = world.add()
    world.say(30)
    fail(4)
    assert row(added).breaker == "closed"
    fail(1)
    assert row(added).breaker == "open"
    assert row(added).next_attempt_at > now() + timedelta(minutes=11)
    Endpoint.objects.update(next_attempt_at=now() - timedelta(seconds=1))
    claimed, token = claim_due(limit=1)
    assert (claimed[0].breaker, row(added).breaker) == ("half-open", "half-open")
    [probe] = render(claimed, token=token, at=now())
    assert probe.count == 10
    settle([(probe, Outcome(failure=Failure.CONNECT_REFUSED, latency=timedelta()))], at=now())
    assert row(added).breaker == "open"
    go()
    assert [len(letter["items"]) for letter in world.letters] == [10, 20]
    assert (row(added).breaker, row(added).failures) == ("closed", 0)


@pytest.mark.parametrize("status", [429, 502, 504])
def test_an_answer_that_says_too_much_slows_the_endpoint_down(world: World, status: int) -> None:
    added = world.add(batch_size=8)
    fail(1, Outcome(failure=Failure.HTTP_STATUS, latency=timedelta(), status=status))
    assert row(added).next_attempt_at > now() + timedelta(seconds=45)
    assert row(added).batch_size == 4


def test_the_schedule_is_the_deployments(world: World, settings: Settings) -> None:
    settings.RETRY_QUICK_SECONDS, settings.RETRY_JITTER_PERCENT = [100], 0
    added = world.add()
    fail(1)
    assert timedelta(seconds=95) < row(added).next_attempt_at - now() <= timedelta(seconds=100)


def test_failing_endpoints_have_places_of_their_own_however_many_they_are(world: World) -> None:
    for _ in range(4):
        world.add()
    sound = world.add()
    Endpoint.objects.exclude(id=sound.endpoint.id).update(failures=1)
    claimed, _ = claim_due(limit=10, suspects=2)
    assert len(claimed) == 3
    assert sound.endpoint.id in {each.id for each in claimed}


# ---------------------------------------------------------------- failing for days
def test_after_five_days_of_failure_it_is_said_loudly_once_and_a_success_ends_it(
    world: World, recorded: Recorded, settings: Settings
) -> None:
    settings.OPERATOR_EMAILS = ["ops@hub.example"]
    added = world.add(alert_email="oncall@birch.example")
    fail(1)
    assert mark_failing(at=now() + timedelta(days=4)) == 0
    assert mark_failing(at=now() + timedelta(days=5, minutes=1)) == 1
    assert mark_failing(at=now() + timedelta(days=6)) == 0
    assert mail_failing(at=now() + timedelta(days=6)) == 1
    assert mail_failing(at=now() + timedelta(days=6)) == 0
    assert [letter.to for letter in mail.outbox] == [["oncall@birch.example"], ["ops@hub.example"]]
    assert "/hook" not in mail.outbox[0].body
    assert "endpoint.failing" in {event["action"] for event in recorded()}
    go()
    assert "endpoint.recovered" in {event["action"] for event in recorded()}
    assert told(world.birch) == [NoticeKind.ENDPOINT_FAILING.value, NoticeKind.ENDPOINT_RECOVERED.value]
    assert (row(added).failing_since, row(added).failing_told_at) == (None, None)


def test_while_the_mail_server_is_away_it_is_tried_again_and_nobody_is_held_up(
    world: World, settings: Settings
) -> None:
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT, settings.EMAIL_TIMEOUT = "127.0.0.1", 9, 1
    settings.OPERATOR_EMAILS = ["ops@hub.example"]
    added = world.add()
    Endpoint.objects.update(failing_since=now() - timedelta(days=6), failures=30)
    assert mark_failing(at=now()) == 1
    assert mail_failing(at=now()) == 0
    assert row(added).failing_mailed_at is None


# ---------------------------------------------------------------- pages shared
def test_an_endpoint_is_not_marked_while_a_post_to_it_is_in_the_air(world: World) -> None:
    world.add()
    fail(1)
    Endpoint.objects.update(next_attempt_at=now() - timedelta(seconds=1))
    claimed, token = claim_due(limit=1)
    [post] = render(claimed, token=token, at=now())
    assert mark_failing(at=now() + timedelta(days=6)) == 0
    settle([(post, Outcome(failure=None, status=200, latency=timedelta()))], at=now())
    assert mark_failing(at=now() + timedelta(days=6)) == 0
    assert told(world.birch) == []


def _mail_server(refuses: bytes) -> tuple[socketserver.ThreadingTCPServer, list[bytes]]:
    """One that refuses a recipient; with the recipients whose letters it took."""
    taken: list[bytes] = []

    class Session(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            asked, is_body = b"", False
            self.wfile.write(b"220 here\r\n")
            for line in self.rfile:
                if is_body and line != b".\r\n":
                    continue
                if is_body:
                    taken.append(asked)
                    is_body = False
                elif line.upper().startswith(b"RCPT TO:"):
                    asked = line[8:].strip(b"<>\r\n ")
                    if asked == refuses:
                        self.wfile.write(b"550 nobody here\r\n")
                        continue
                elif line.upper().startswith(b"DATA"):
                    is_body = True
                    self.wfile.write(b"354 go on\r\n")
                    continue
                self.wfile.write(b"250 yes\r\n")

    server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Session)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    return server, taken


def test_an_address_that_cannot_be_mailed_holds_up_no_other(world: World, settings: Settings) -> None:
    server, taken = _mail_server(b"nobody@birch.example")
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT, settings.EMAIL_TIMEOUT = "127.0.0.1", server.server_address[1], 2
    settings.EMAIL_HOST_USER, settings.EMAIL_USE_TLS, settings.EMAIL_USE_SSL = "", False, False
    settings.OPERATOR_EMAILS = ["ops@hub.example"]
    for address in ("nobody@birch.example", f"x@{60 * 'ü'}.example", "oncall@birch.example"):
        world.add(alert_email=address)
        Endpoint.objects.filter(failing_since=None).update(failing_since=now() - timedelta(days=6))
        mark_failing(at=now())
    with server:
        assert mail_failing(at=now()) == 3
        assert mail_failing(at=now()) == 0
        server.shutdown()
    assert taken == [b"ops@hub.example", b"ops@hub.example", b"oncall@birch.example", b"ops@hub.example"]


def test_who_may_see_the_same_is_sent_the_same_and_who_may_not_its_own(world: World) -> None:
    cedar = a_company("cedar-video", world.programme)
    dogwood = a_company("dogwood-live", world.programme)
    for company in (world.birch, cedar, dogwood, world.acme):
        world.add(company)
    world.say(2)
    [line] = [world.acme.sign(world.acme.signal(audience="routed"))]
    world.acme.say(line, world.acme.routing(line, only=["cedar-video"]))
    [left] = [world.acme.sign(world.acme.signal(audience="routed"))]
    world.acme.say(left, world.acme.routing(left, leave_out=["dogwood-live"]))
    pages = SharedPages()
    claimed, token = claim_due(limit=10)
    posts = {
        post.endpoint.partner_id: json.loads(post.whole) for post in render(claimed, token=token, at=now(), pages=pages)
    }
    seen = {
        company.slug: len(posts[company.partner.pk]["items"]) for company in (world.birch, cedar, dogwood, world.acme)
    }
    assert seen == {"birch-chat": 3, "cedar-video": 4, "dogwood-live": 2, "acme-social": 0}


def test_a_kept_page_is_used_again_only_while_nothing_in_it_has_moved(world: World) -> None:
    cedar = a_company("cedar-video", world.programme)
    lines = world.say(3)
    pages = SharedPages()

    def render_one(company: Company) -> list[str]:
        world.add(company, batch_size=2)
        claimed, token = claim_due(limit=10)
        [post] = render(claimed, token=token, at=now(), pages=pages)
        return [item.get("jws", "") for item in json.loads(post.whole)["items"]]

    first = render_one(world.birch)
    world.say()
    assert render_one(cedar) == first == [line.decode() for line in lines[:2]]
    world.acme.say(world.acme.withdrawal(lines[0]))
    assert render_one(world.birch) == [line.decode() for line in lines[1:]]


def test_a_programme_in_which_nothing_was_ever_published_is_listed_to_one_after_the_other(world: World) -> None:
    pages = SharedPages()
    for company in (world.birch, world.acme):
        world.add(company)
        claimed, token = claim_due(limit=10)
        [post] = render(claimed, token=token, at=now(), pages=pages)
        assert json.loads(post.whole)["listed"]


class _Forgetful(SharedPages):
    """Tombstones are forgotten after a round has looked where memory begins, and before it reads its page."""

    def page(
        self, sheet: Sheet, partner_ids: Collection[int], *, slugs: Mapping[int, str]
    ) -> tuple[SharedPage, frozenset[int]]:
        Head.objects.update(purged_to=F("position"))
        return super().page(sheet, partner_ids, slugs=slugs)


def test_who_needed_a_tombstone_that_was_forgotten_just_now_walks_anew(world: World) -> None:
    added = world.add()
    lines = world.say(2)
    go()
    world.acme.say(world.acme.withdrawal(lines[0]))
    Endpoint.objects.update(next_attempt_at=now() - timedelta(seconds=1))
    claimed, token = claim_due(limit=1)
    assert render(claimed, token=token, at=now(), pages=_Forgetful()) == []
    before = row(added).walk
    go()
    assert world.letters[-1]["listed"]
    assert row(added).walk != before


# ---------------------------------------------------------------- health
def test_health_counts_what_its_partner_may_see_and_nothing_else(world: World) -> None:
    added = world.add()
    go()
    world.say(2)
    [line] = [world.acme.sign(world.acme.signal(audience="routed"))]
    world.acme.say(line, world.acme.routing(line, leave_out=["birch-chat"]))
    fail(1)
    health = endpoint_health.health(row(added), at=now())
    assert (health.lag.signals, health.lag.is_more) == (2, False)
    assert (health.attempts, health.success_rate, health.failures) == (2, 0.5, 1)
    drawn = endpoint_health.drawing(row(added), at=now())
    assert "1 delivered, 1 failed" in drawn
    assert drawn.count("<rect") == 2


def test_nothing_waits_for_who_has_left(world: World) -> None:
    added = world.add()
    go()
    end_membership("birch-chat", "csea", actor="staff:1", at=now())
    world.say(2)
    assert endpoint_health.lag(row(added), at=now()).signals == 0


def test_the_monitor_counts_endpoints_and_attempts_by_closed_words(world: World) -> None:
    world.receiver.behave(in_turn(refuses(503), accepts()))
    world.add()
    go()
    go()
    now_ = monitoring.deliveries()
    assert (now_.states, now_.breakers, now_.failing) == ({"active": 1}, {"closed": 1}, 0)
    assert now_.outcomes == {"http-status": 1, "delivered": 1}
    assert now_.p99_ms > 0


def test_a_walk_that_is_over_is_told_and_a_first_one_is_not(world: World) -> None:
    added = world.add()
    world.say()
    go()
    assert told(world.birch) == []
    walk = row(added).walk
    assert walk is not None
    stale = Walk.objects.create(
        partner_id=walk.partner_id,
        programme_id=walk.programme_id,
        channel=walk.channel,
        epoch=walk.epoch,
        generation=walk.generation + 1,
        floor=0,
        started_at=now(),
    )
    Endpoint.objects.update(walk=stale, position=0)
    go()
    assert told(world.birch) == [NoticeKind.FEED_RESET.value]
