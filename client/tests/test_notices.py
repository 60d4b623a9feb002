"""Our own notices: told once, resumable, and what they recall goes from every copy at once, whatever comes late."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime, timezone
from typing import Any

import pytest
from fake_hub import HUB_ID, FakeHub
from standardwebhooks import Webhook

from heliograph_client import keys, statements
from heliograph_client.feed import Page, PageProblem
from heliograph_client.follow import follow
from heliograph_client.hub import HubClient
from heliograph_client.notices import NoticePage, follow_notices, read_notices
from heliograph_client.receiver import Receiver
from heliograph_client.store import PULL, Applied, Store

NOON = datetime(2026, 11, 20, 12, tzinfo=timezone.utc)
SECRET = "whsec_" + "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
HOOK = "endpoint:1"


@pytest.fixture
def reader(fake_hub: FakeHub) -> Iterator[HubClient]:
    key = keys.new_key()
    acme = fake_hub.enrol("acme", key)
    for value in ("a@example.org", "b@example.org"):
        said = statements.signal(
            issuer="acme", hub=HUB_ID, programme="csea", type="email", value=value, violation="trading", at=NOON
        )
        fake_hub.take(acme, [statements.sign(said, key, statements.SIGNAL)])
    with HubClient(fake_hub.url, fake_hub.enrol("bolt").api_key, sleep=lambda _: None) as hub:
        yield hub


def hear(reader: HubClient, store: Store, **options: Any) -> list[Applied]:
    return list(follow_notices(reader, store, until_caught_up=True, **options))


def kinds(pages: list[Applied]) -> list[str]:
    return [notice.kind for page in pages for notice in page.notices]


def live(store: Store, channel: str | None = None) -> set[str]:
    return {entry.id for entry in store.live(channel=channel, include_unverified=True)}


def page(*items: dict[str, Any], channel: str = PULL, epoch: int = 1, walk: int = 1, listed: bool = False) -> Page:
    return Page("csea", channel, epoch, walk, listed, False, items, "c")


def recall(*signals: dict[str, Any], epoch: int = 1, walk: int = 9, number: int = 1) -> NoticePage:
    facts = {"programme": "csea", "epoch": epoch, "signals": list(signals)}
    item = {"id": f"n{number}", "kind": "recall", "at": "2026-11-20T12:00:00Z", "facts": facts}
    return read_notices({"channel": "notices", "epoch": epoch, "walk": walk, "next": "n", "items": [item]})


def entry(revision: int, state: str = "published", name: str = "a") -> dict[str, Any]:
    return {"id": name, "revision": revision, "state": state}


def test_a_recall_empties_the_copy_before_the_feed_is_pulled_again(fake_hub: FakeHub, reader: HubClient) -> None:
    store = Store(":memory:")
    list(follow(reader, "csea", store, until_caught_up=True))
    first, second = sorted(live(store))
    fake_hub.tell("key.activated", kid="k")
    fake_hub.recall(first)
    pages = hear(reader, store, limit=1)
    assert kinds(pages) == ["key.activated", "recall"]
    assert [change.after.item["state"] for change in pages[1].changes if change.after] == ["withdrawn"]
    assert live(store) == {second}
    assert kinds(hear(reader, store)) == []
    list(follow(reader, "csea", store, until_caught_up=True))
    assert live(store) == {second}


def test_a_cursor_that_is_gone_begins_anew_and_tells_nothing_twice(fake_hub: FakeHub, reader: HubClient) -> None:
    store = Store(":memory:")
    fake_hub.tell("key.activated", kid="k")
    assert kinds(hear(reader, store)) == ["key.activated"]
    fake_hub.expired.add(fake_hub.walks)
    fake_hub.tell("key.retired", kid="k")
    assert kinds(hear(reader, store)) == ["key.retired"]


def test_a_recall_reaches_every_channels_copy_and_what_is_held_newer_stays() -> None:
    store = Store(":memory:")
    store.apply_page(page(entry(1), entry(5, name="b")), after=None, at=NOON)
    store.apply_batch(page(entry(1), channel=HOOK), webhook_id="w", at=NOON)
    applied = store.apply_notices(recall(entry(2, "withdrawn"), entry(4, "withdrawn", "b")), after=None, at=NOON)
    assert len(applied.changes) == 2
    assert live(store) == live(store, PULL) == {"b"}
    assert live(store, HOOK) == set()


def test_what_was_recalled_before_it_came_is_remembered() -> None:
    store = Store(":memory:")
    store.apply_notices(recall(entry(2, "withdrawn")), after=None, at=NOON)
    assert store.apply_page(page(entry(1)), after=None, at=NOON).ignored == 1
    store.apply_batch(page(entry(1), channel=HOOK, listed=True), webhook_id="w", at=NOON)
    assert live(store) == set()
    store.apply_page(page(entry(3)), after=None, at=NOON)
    assert live(store) == {"a"}, "restored by a later revision"


def test_a_recall_from_before_a_restore_takes_nothing_that_came_since() -> None:
    store = Store(":memory:")
    store.apply_page(page(entry(1), epoch=2), after=None, at=NOON)
    store.apply_notices(recall(entry(7, "withdrawn"), epoch=1), after=None, at=NOON)
    assert live(store) == {"a"}


def test_a_restricted_signal_stays_with_less_that_may_be_done() -> None:
    store = Store(":memory:")
    store.apply_page(page({**entry(1), "permitted": ["investigate", "refer"]}), after=None, at=NOON)
    store.apply_notices(recall(entry(2, "restricted")), after=None, at=NOON)
    held = store.entry("a")
    assert held is not None
    assert (held.item["state"], held.permitted) == ("restricted", ("investigate",))


def test_notices_of_an_older_walk_are_ignored_and_a_crash_stores_nothing() -> None:
    def crash(_: object) -> None:
        raise RuntimeError

    with Store(":memory:", on_change=crash) as store:
        store._on_change = None
        store.apply_page(page(entry(1)), after=None, at=NOON)
        store._on_change = crash
        with pytest.raises(RuntimeError):
            store.apply_notices(recall(entry(2, "withdrawn")), after=None, at=NOON)
        assert live(store) == {"a"}
        assert store.notice_cursor() is None
        store._on_change = None
        assert store.apply_notices(recall(entry(2, "withdrawn")), after=None, at=NOON).notices
        assert store.notice_cursor() == "n"
        assert store.apply_notices(recall(entry(3), walk=8), after="n", at=NOON).is_overtaken


def test_a_webhook_of_notices_is_verified_and_applied() -> None:
    at = datetime.now(timezone.utc)
    body = json.dumps(
        {
            "type": "notice.batch", "channel": HOOK, "epoch": 1, "walk": 3, "listed": False,
            "items": [{"id": "n1", "kind": "recall", "at": "2026-11-20T12:00:00Z",
                       "facts": {"programme": "csea", "epoch": 1, "signals": [entry(2, "withdrawn")]}}],
        }
    ).encode()  # fmt: skip
    headers = {
        "webhook-id": "m1",
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": Webhook(SECRET).sign("m1", at, body.decode()),
    }
    told: list[Applied] = []
    with Store(":memory:") as store, Receiver(("127.0.0.1", 0), store, [SECRET], on_applied=told.append) as receiver:
        store.apply_page(page(entry(1)), after=None, at=NOON)
        assert receiver.take(headers | {"webhook-signature": "v1,AAAA"}, body)[0] == 401
        assert live(store) == {"a"}
        assert receiver.take(headers, body)[0] == 200
        assert live(store) == set()
        assert receiver.take(headers, body)[0] == 200
    assert [len(applied.notices) for applied in told] == [1, 0]
    assert told[1].is_repeated


@pytest.mark.parametrize(
    "broken",
    [
        {"items": None},
        {"epoch": "1"},
        {"next": 7},
        {"items": [{"id": "n"}]},
        {"items": [{"id": "n", "kind": "k", "at": "t", "facts": []}]},
        {"items": [{"id": "n", "kind": "recall", "at": "t", "facts": {"programme": "csea", "signals": []}}]},
        {
            "items": [
                {
                    "id": "n",
                    "kind": "recall",
                    "at": "t",
                    "facts": {"programme": "csea", "epoch": 1, "signals": [{"id": "a"}]},
                }
            ]
        },
    ],
)
def test_a_page_that_is_not_of_the_documented_form_is_not_applied(broken: dict[str, Any]) -> None:
    with pytest.raises(PageProblem):
        read_notices({"channel": "notices", "epoch": 1, "walk": 1, "items": [], "next": "n", **broken})
