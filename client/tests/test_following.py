"""Following a feed and receiving webhooks: resumable, erasing when told, and 2xx only after the commit."""

from __future__ import annotations

import http.client
import json
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from fake_hub import HUB_ID, FakeHub
from standardwebhooks import Webhook

from heliograph_client import follow as following
from heliograph_client import keys, statements, webhooks
from heliograph_client.feed import Filter
from heliograph_client.follow import MembershipEnded, follow
from heliograph_client.hub import HubClient
from heliograph_client.receiver import MAX_BODY_BYTES, Receiver
from heliograph_client.store import Store

NOON = datetime(2026, 11, 20, 12, tzinfo=timezone.utc)
KEY = keys.new_key()
SECRET = "whsec_" + "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


def submit(fake_hub: FakeHub, *values: str) -> list[str]:
    """Signals of acme; their ids."""
    said = [
        statements.sign(
            statements.signal(
                issuer="acme", hub=HUB_ID, programme="csea", type="email", value=value, violation="trading", at=NOON
            ),
            KEY,
            statements.SIGNAL,
        )
        for value in values
    ]
    return [verdict["signal"] for verdict in fake_hub.take(fake_hub.partners["acme"], said)["verdicts"]]


@pytest.fixture
def reader(fake_hub: FakeHub) -> Iterator[HubClient]:
    fake_hub.enrol("acme", KEY)
    with HubClient(fake_hub.url, fake_hub.enrol("bolt").api_key, sleep=lambda _: None) as hub:
        yield hub


def catch_up(reader: HubClient, store: Store, **options: Any) -> set[str]:
    for _ in follow(reader, "csea", store, until_caught_up=True, **options):
        pass
    return {entry.id for entry in store.live(include_unverified=True)}


def test_what_is_stored_is_acknowledged_once_at_the_end_of_a_catch_up(fake_hub: FakeHub, reader: HubClient) -> None:
    submit(fake_hub, "a@example.org", "b@example.org", "c@example.org")
    store = Store(":memory:")
    catch_up(reader, store, limit=1)
    assert fake_hub.acknowledged == [store.cursor("csea", filter=Filter())]


def test_a_hub_that_knows_no_acknowledgements_is_followed_all_the_same(fake_hub: FakeHub, reader: HubClient) -> None:
    ids = submit(fake_hub, "a@example.org")
    fake_hub.faults = ["pass", 404]
    assert catch_up(reader, Store(":memory:")) == set(ids)
    assert fake_hub.acknowledged == []


def test_news_is_acknowledged_every_few_seconds_at_most_and_none_is_left_unsaid(
    fake_hub: FakeHub, reader: HubClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(following, "_ACKNOWLEDGE_SECONDS", 0.4)
    monkeypatch.setattr(following, "_IDLE_SECONDS", 0.02)
    store, said_at, is_all_said = Store(":memory:"), time.monotonic(), False
    for number, _ in enumerate(follow(reader, "csea", store, wait=0, sleep=time.sleep)):
        if number < 10:
            submit(fake_hub, f"{number}@example.org")
        is_all_said = fake_hub.acknowledged[-1:] == [store.cursor("csea", filter=Filter())]
        if (number > 10 and is_all_said) or time.monotonic() > said_at + 10:
            break
    assert is_all_said
    assert len(fake_hub.acknowledged) <= 2 + (time.monotonic() - said_at) / 0.4


def test_it_ends_with_what_the_hub_shows_and_goes_on_from_there(fake_hub: FakeHub, reader: HubClient) -> None:
    first = submit(fake_hub, "a@example.org", "b@example.org", "c@example.org")
    store = Store(":memory:")
    assert catch_up(reader, store, limit=1) == set(first)
    fake_hub.move(first[0], "withdrawn")
    later = submit(fake_hub, "d@example.org")
    assert catch_up(reader, store, limit=1) == {*first[1:], *later}
    assert fake_hub.walks == 1


def test_an_expired_cursor_begins_a_new_walk_that_cleans_up(fake_hub: FakeHub, reader: HubClient) -> None:
    first = submit(fake_hub, "a@example.org", "b@example.org")
    store = Store(":memory:")
    catch_up(reader, store)
    fake_hub.move(first[0], "withdrawn")
    fake_hub.expired.add(1)
    assert catch_up(reader, store) == {first[1]}
    assert fake_hub.walks == 2


def test_another_filter_is_another_walk(fake_hub: FakeHub, reader: HubClient) -> None:
    submit(fake_hub, "a@example.org")
    store = Store(":memory:")
    assert len(catch_up(reader, store)) == 1
    assert catch_up(reader, store, filter=Filter(types=("url",))) == set()


def test_the_end_of_a_membership_erases_everything(fake_hub: FakeHub, reader: HubClient) -> None:
    submit(fake_hub, "a@example.org")
    store = Store(":memory:")
    catch_up(reader, store)
    fake_hub.partners["bolt"].membership = "ended"
    with pytest.raises(MembershipEnded) as ended:
        catch_up(reader, store)
    assert ended.value.erased == 1
    assert list(store.live(include_unverified=True)) == []


FOLLOW_SLOWLY = """
import sys, time
from heliograph_client.follow import follow
from heliograph_client.hub import HubClient
from heliograph_client.store import Store
url, api_key, path = sys.argv[1:]
store = Store(path, on_change=lambda _: time.sleep(0.01))
for _ in follow(HubClient(url, api_key), "csea", store, limit=1, until_caught_up=True):
    pass
"""


def test_killed_without_warning_it_goes_on_and_misses_nothing(
    fake_hub: FakeHub, reader: HubClient, tmp_path: Path
) -> None:
    expected = set(submit(fake_hub, *(f"u{n}@example.org" for n in range(60))))
    words = [
        sys.executable,
        "-c",
        FOLLOW_SLOWLY,
        fake_hub.url,
        fake_hub.partners["bolt"].api_key,
        f"{tmp_path}/copy.db",
    ]
    for _ in range(3):
        asked = len(fake_hub.asked)
        process = subprocess.Popen(words)
        while len(fake_hub.asked) < asked + 10 and process.poll() is None:
            time.sleep(0.005)
        process.kill()
        process.wait()
    with Store(tmp_path / "copy.db") as store:
        assert 0 < len(list(store.live(include_unverified=True))) < 60
        assert catch_up(reader, store) == expected
    assert fake_hub.walks == 1


# --- webhooks ---------------------------------------------------------------------------------------------------------


def batch(*items: dict[str, Any], walk: int = 1, listed: bool = False, **more: Any) -> bytes:
    document = {"type": "feed.batch", "programme": "csea", "channel": "endpoint:1", "epoch": 1, "walk": walk,
        "listed": listed, "items": list(items)}  # fmt: skip
    return json.dumps(document | more).encode()


def signed(body: bytes, *, at: datetime | None = None, id_: str = "msg_1", secret: str = SECRET) -> dict[str, str]:
    moment = at or datetime.now(timezone.utc)
    signature = Webhook(secret).sign(id_, moment, body.decode())
    return {"Webhook-Id": id_, "webhook-timestamp": str(int(moment.timestamp())), "WEBHOOK-SIGNATURE": signature}


LIVE = {"id": "a", "revision": 1, "state": "published"}


def test_what_standardwebhooks_signs_is_verified() -> None:
    assert webhooks.verify(signed(b"{}", at=NOON), b"{}", [SECRET], at=NOON) == "msg_1"


def test_the_published_example_of_v1a_is_verified() -> None:
    """The asymmetric example of Svix's documentation."""
    headers = {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1a,"
        "hnO3f9T8Ytu9HwrXslvumlUpqtNVqkhqw/enGzPCXe5BdqzCInXqYXFymVJaA7AZdpXwVLPo3mNl8EM+m7TBAg==",
    }
    at, body = datetime.fromtimestamp(1614265330, tz=timezone.utc), b'{"test": 2432232314}'
    public = "whpk_1SiA4o9hyqTCpIqC5V9HUakiiaeACeqfZTInDBbOir4="
    assert webhooks.verify(headers, body, [public], at=at) == headers["webhook-id"]
    with pytest.raises(webhooks.WebhookRefused):
        webhooks.verify(headers, body + b" ", [public], at=at)


def test_either_secret_of_a_rotation_is_accepted() -> None:
    other = "whsec_" + "QUFB" * 8
    both = signed(b"{}", at=NOON)
    both["WEBHOOK-SIGNATURE"] = f"v1,bm90IGl0 v2,x nonsense {both['WEBHOOK-SIGNATURE']}"
    assert webhooks.verify(both, b"{}", [other, SECRET], at=NOON) == "msg_1"


@pytest.mark.parametrize(
    ("changes", "body", "at", "code"),
    [
        ({}, b"{ }", NOON, "no-matching-signature"),
        ({"Webhook-Id": "msg_2"}, b"{}", NOON, "no-matching-signature"),
        ({"WEBHOOK-SIGNATURE": "v1,"}, b"{}", NOON, "no-matching-signature"),
        ({"WEBHOOK-SIGNATURE": "é,ü"}, b"{}", NOON, "no-matching-signature"),
        ({"webhook-timestamp": "noon"}, b"{}", NOON, "bad-timestamp"),
        ({"webhook-timestamp": "1e9"}, b"{}", NOON, "bad-timestamp"),
        ({}, b"{}", NOON + timedelta(minutes=5, seconds=1), "too-old"),
        ({}, b"{}", NOON - timedelta(minutes=5, seconds=1), "too-new"),
    ],
)
def test_a_webhook_that_is_not_the_hubs_is_refused(
    changes: dict[str, str], body: bytes, at: datetime, code: str
) -> None:
    with pytest.raises(webhooks.WebhookRefused) as refused:
        webhooks.verify(signed(b"{}", at=NOON) | changes, body, [SECRET], at=at)
    assert refused.value.code == code


def test_a_missing_header_and_an_unusable_secret_are_named() -> None:
    with pytest.raises(webhooks.WebhookRefused, match="missing-header"):
        webhooks.verify({}, b"{}", [SECRET], at=NOON)
    for secret in ("", "whsec_", "whsec_!!!", "secret", "whpk_QUFB"):
        with pytest.raises(ValueError, match="whsec_ or whpk_"):
            webhooks.read_secret(secret)


# --- the receiver -----------------------------------------------------------------------------------------------------


@pytest.fixture
def store() -> Iterator[Store]:
    with Store(":memory:") as store:
        yield store


@pytest.fixture
def receiver(store: Store) -> Iterator[Receiver]:
    with Receiver(("127.0.0.1", 0), store, [SECRET]) as receiver:
        thread = threading.Thread(target=receiver.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield receiver
        receiver.shutdown()
        thread.join()


def post(receiver: Receiver, body: bytes, headers: dict[str, str]) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", receiver.server_address[1], timeout=5)
    try:
        connection.request("POST", "/hook", body, headers)
        return connection.getresponse().status
    finally:
        connection.close()


def test_a_signed_batch_is_applied_and_answered_after_the_commit(receiver: Receiver, store: Store) -> None:
    body = batch(LIVE)
    assert post(receiver, body, signed(body)) == 200
    assert [entry.id for entry in store.live(include_unverified=True)] == ["a"]
    assert post(receiver, body, signed(body)) == 200  # again: nothing more
    farewell = batch(type="membership.ended", erase="all")
    assert post(receiver, farewell, signed(farewell)) == 200
    assert list(store.live(include_unverified=True)) == []


def test_nothing_is_answered_with_2xx_that_was_not_stored() -> None:
    def crash(_: object) -> None:
        raise RuntimeError

    body = batch(LIVE)
    with Store(":memory:", on_change=crash) as store, Receiver(("127.0.0.1", 0), store, [SECRET]) as receiver:
        assert receiver.take(signed(body), body)[0] == 500
        assert receiver.take(signed(b"[]"), b"[]")[0] == 422
        assert receiver.take(signed(b'{"type":"feed.batch"}'), b'{"type":"feed.batch"}')[0] == 422
        assert receiver.take(signed(b'{"type":"new.thing"}'), b'{"type":"new.thing"}')[0] == 501
        store.close()
        assert receiver.take(signed(body), body)[0] == 503


def test_a_stranger_gets_nowhere(receiver: Receiver, store: Store) -> None:
    body = batch(LIVE)
    assert post(receiver, body, {}) == 401
    assert post(receiver, body, signed(body, secret="whsec_" + "QUFB" * 8)) == 401
    assert post(receiver, body, signed(body, at=NOON - timedelta(days=365))) == 401
    assert post(receiver, b"", {"Transfer-Encoding": "chunked"}) == 411
    assert post(receiver, b"", {"Content-Length": "-1"}) == 411
    assert post(receiver, b"", {"Content-Length": str(MAX_BODY_BYTES + 1)}) == 413
    assert store.channels() == []


@pytest.mark.parametrize(
    "garbage", [b"", b"\x00" * 100, b"GET", b"POST / HTTP/1.1\r\nContent-Length: 9\r\n\r\nhalf", b"\xff" * 9999]
)
def test_garbage_and_broken_connections_leave_it_standing(receiver: Receiver, garbage: bytes) -> None:
    with socket.create_connection(("127.0.0.1", receiver.server_address[1]), timeout=5) as raw:
        raw.sendall(garbage)
    body = batch(LIVE)
    assert post(receiver, body, signed(body)) == 200


def test_many_at_once_are_all_applied(receiver: Receiver, store: Store) -> None:
    statuses: list[int] = []

    def send(number: int) -> None:
        body = batch({**LIVE, "id": f"s{number}"})
        statuses.append(post(receiver, body, signed(body, id_=f"msg_{number}")))

    threads = [threading.Thread(target=send, args=(number,)) for number in range(24)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert statuses == [200] * 24
    assert len(list(store.live(include_unverified=True))) == 24
