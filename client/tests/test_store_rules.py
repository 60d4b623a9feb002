"""However pages and batches are doubled, delayed and mixed, the copy ends right; and each rule is needed for that."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliograph_client.feed import Item, Page, is_live
from heliograph_client.store import PULL, Applied, Change, Store

NOON = datetime(2026, 11, 20, 12, tzinfo=timezone.utc)
HOOK = "endpoint:1"


class Crash(Exception):
    """The reader's machine stops here."""


@dataclass
class Signal:
    id: str
    revision: int
    position: int
    state: str

    def item(self) -> Item:
        return {"id": self.id, "revision": self.revision, "state": self.state}


@dataclass
class Walk:
    epoch: int
    number: int
    floor: int
    place: int = -1


class Hub:
    """The hub's side of the feed by its own rules: floors, `listed`, purged tombstones, restored backups."""

    def __init__(self, dice: random.Random) -> None:
        self.dice = dice
        self.signals: dict[str, Signal] = {}
        self.head = 0
        self.epoch = 1
        self.walks = 0
        self.purged_up_to = -1

    def move(self) -> None:
        live = [signal for signal in self.signals.values() if is_live(signal.item())]
        self.head += 1
        if live and self.dice.random() < 0.6:
            signal = self.dice.choice(live)
            state = self.dice.choice(["restricted", "published", "withdrawn", "quarantined"])
            self.signals[signal.id] = Signal(signal.id, signal.revision + 1, self.head, state)
        else:
            self.signals[f"s{self.head}.{self.epoch}"] = Signal(f"s{self.head}.{self.epoch}", 1, self.head, "published")

    def purge(self) -> None:
        for signal in [signal for signal in self.signals.values() if not is_live(signal.item())]:
            self.purged_up_to = max(self.purged_up_to, signal.position)
            del self.signals[signal.id]

    def restore(self, backup: tuple[dict[str, Signal], int]) -> None:
        """A backup forgets revisions and walks; the new epoch tells everybody to walk again."""
        self.signals, self.head = {id_: Signal(**vars(signal)) for id_, signal in backup[0].items()}, backup[1]
        self.epoch, self.walks, self.purged_up_to = self.epoch + 1, 0, -1

    def backup(self) -> tuple[dict[str, Signal], int]:
        return {id_: Signal(**vars(signal)) for id_, signal in self.signals.items()}, self.head

    def new_walk(self) -> Walk:
        self.walks += 1
        return Walk(self.epoch, self.walks, self.head)

    def has_expired(self, walk: Walk) -> bool:
        return walk.epoch != self.epoch or max(walk.place, walk.floor) < self.purged_up_to

    def page(self, walk: Walk, channel: str, limit: int) -> tuple[Page, Walk]:
        after = [signal for signal in self.signals.values() if signal.position > walk.place]
        visible = [s for s in sorted(after, key=lambda s: s.position) if s.position > walk.floor or is_live(s.item())]
        items, more = visible[:limit], len(visible) > limit
        to = items[-1].position if more else self.head
        listed = walk.place < walk.floor <= to
        page = Page("csea", channel, walk.epoch, walk.number, listed, more, tuple(s.item() for s in items), f"c{to}")
        return page, Walk(walk.epoch, walk.number, walk.floor, to)

    def truth(self) -> dict[str, tuple[int, str]]:
        return {s.id: (s.revision, s.state) for s in self.signals.values() if is_live(s.item())}


class Network:
    """Delivers to one channel of a store: doubles, delays past later batches, crashes between fetching and storing."""

    def __init__(self, hub: Hub, store: Store, channel: str, dice: random.Random) -> None:
        self.hub, self.store, self.channel, self.dice = hub, store, channel, dice
        self.walk = hub.new_walk()
        self.late: list[tuple[Page, str]] = []

    def deliver(self, page: Page, webhook_id: str) -> Applied:
        if self.channel == PULL:
            return self.store.apply_page(page, after=None, at=NOON)
        return self.store.apply_batch(page, webhook_id=webhook_id, at=NOON)

    def step(self, limit: int) -> bool:
        """One page: whether the hub has more. The hub's place moves on only when the reader has stored it."""
        if self.hub.has_expired(self.walk):
            self.walk = self.hub.new_walk()
        page, onward = self.hub.page(self.walk, self.channel, limit)
        if self.channel != PULL and onward == self.walk:
            return False  # nothing to say, so nothing is sent
        webhook_id = f"{self.walk.epoch}.{self.walk.number}.{self.walk.place}"
        self.late += [(page, webhook_id)] * self.dice.randint(0, 2)
        try:
            self.deliver(page, webhook_id)
        except Crash:
            return True
        self.walk = onward
        return page.more

    def straggle(self) -> None:
        self.dice.shuffle(self.late)
        while self.late and self.dice.random() < 0.7:
            self.try_late(*self.late.pop())

    def try_late(self, page: Page, webhook_id: str) -> None:
        try:
            self.deliver(page, webhook_id)
        except Crash:
            self.late.append((page, webhook_id))

    def settle(self) -> None:
        while self.step(limit=50):
            pass
        for page, webhook_id in self.late:  # and still the stragglers come
            self.deliver(page, webhook_id)


def holdings(store: Store, channel: str) -> dict[str, tuple[int, str]]:
    live = store.live("csea", channel=channel, include_unverified=True)
    return {entry.id: (entry.item["revision"], entry.item["state"]) for entry in live}


def something_moves(hub: Hub, dice: random.Random) -> None:
    if dice.random() < 0.9:
        hub.move()
    else:
        hub.purge()


def something_arrives(network: Network, dice: random.Random) -> None:
    chance = dice.random()
    if chance < 0.7:
        network.step(limit=dice.randint(1, 4))
    elif chance < 0.9:
        network.straggle()
    else:
        network.walk = network.hub.new_walk()


def run(seed: int, make_store: Callable[..., Store] = Store, *, rounds: int = 60) -> None:
    dice = random.Random(seed)
    crashes = [False]

    def maybe_crash(_: tuple[Change, ...]) -> None:
        if crashes[0] and dice.random() < 0.2:
            raise Crash

    hub, store = Hub(dice), make_store(":memory:", on_change=maybe_crash)
    channels = [Network(hub, store, channel, dice) for channel in (PULL, HOOK)]
    backup = hub.backup()
    crashes[0] = True
    for _ in range(rounds):
        chance = dice.random()
        if chance < 0.03:
            backup = hub.backup()
        elif chance < 0.05:
            hub.restore(backup)
        elif chance < 0.6:
            something_moves(hub, dice)
        else:
            something_arrives(dice.choice(channels), dice)
    crashes[0] = False
    for network in channels:
        network.settle()
        assert holdings(store, network.channel) == hub.truth(), f"seed {seed}, {network.channel}"
    merged = {e.id: (e.item["revision"], e.item["state"]) for e in store.live("csea", include_unverified=True)}
    assert merged == hub.truth()
    store.close()


@given(st.integers(min_value=0))
def test_the_copy_ends_equal_to_what_the_hub_shows(seed: int) -> None:
    run(seed)


class ForgetsWalks(Store):
    """Takes batches of older walks too."""

    def _is_overtaken(self, page: Page) -> bool:
        return False


class ComparesWalksWithoutEpochs(Store):
    def _is_overtaken(self, page: Page) -> bool:
        row = self._db.execute("SELECT walk FROM channel WHERE channel = ?", (page.channel,)).fetchone()
        return row is not None and page.walk < row[0]


class TakesWhateverComesLast(Store):
    """Ignores revisions."""

    def _is_newer(self, page: Page, item: Item, *, held: tuple[int, int]) -> bool:
        return True


class ComparesRevisionsWithoutEpochs(Store):
    def _is_newer(self, page: Page, item: Item, *, held: tuple[int, int]) -> bool:
        return bool(item["revision"] > held[1])


class ForgetsTombstones(Store):
    def _apply_item(self, page: Page, item: Item, reason: str | None) -> Change | None:
        change = super()._apply_item(page, item, reason)
        self._db.execute("DELETE FROM entry WHERE NOT is_live")
        return change


class NeverDropsTheUnlisted(Store):
    def _drop_unlisted(self, page: Page) -> list[Change]:
        return []


class DropsWhatIsNoNews(Store):
    """Forgets that an entry it ignores was still listed."""

    def _apply_item(self, page: Page, item: Item, reason: str | None) -> Change | None:
        where = "WHERE channel = ? AND id = ?"
        before = self._db.execute(f"SELECT listed_epoch, listed_walk FROM entry {where}", (page.channel, item["id"]))
        row = before.fetchone()
        change = super()._apply_item(page, item, reason)
        if change is None:
            self._db.execute(
                f"UPDATE entry SET listed_epoch = ?, listed_walk = ? {where}", (*row, page.channel, item["id"])
            )
        return change


class SkipsRepeatedWebhooks(Store):
    """Believes that a retry under a known id can hold nothing new."""

    def apply_batch(self, batch: Page, *, webhook_id: str, at: datetime) -> Applied:
        if self._db.execute("SELECT 1 FROM webhook WHERE id = ?", (webhook_id,)).fetchone():
            return Applied(is_repeated=True)
        return super().apply_batch(batch, webhook_id=webhook_id, at=at)


class RecordsTheWebhookFirst(Store):
    """Records the webhook-id in a transaction of its own, before its effects."""

    def apply_batch(self, batch: Page, *, webhook_id: str, at: datetime) -> Applied:
        if self._db.execute("SELECT 1 FROM webhook WHERE id = ?", (webhook_id,)).fetchone():
            return Applied(is_repeated=True)
        self._db.execute("INSERT INTO webhook VALUES (?, ?)", (webhook_id, at.timestamp()))
        return super().apply_batch(batch, webhook_id=webhook_id + "'", at=at)


@pytest.mark.parametrize(
    "broken",
    [
        ForgetsWalks, ComparesWalksWithoutEpochs, TakesWhateverComesLast, ComparesRevisionsWithoutEpochs,
        ForgetsTombstones, NeverDropsTheUnlisted, DropsWhatIsNoNews,
        SkipsRepeatedWebhooks, RecordsTheWebhookFirst,
    ],
)  # fmt: skip
def test_without_one_of_the_rules_some_run_ends_wrong(broken: type[Store]) -> None:
    def campaign() -> None:
        for seed in range(400):
            run(seed, broken)

    with pytest.raises(AssertionError, match="seed"):
        campaign()


def page(*items: dict[str, Any], place: tuple[int, int] = (1, 1), listed: bool = False, next_: str = "c1") -> Page:
    return Page("csea", PULL, *place, listed=listed, more=False, items=items, next=next_)


LIVE = {"id": "a", "revision": 1, "state": "published"}


def test_a_page_and_its_cursor_are_stored_together_or_not_at_all() -> None:
    def crash(_: tuple[Change, ...]) -> None:
        raise Crash

    store = Store(":memory:", on_change=crash)
    with pytest.raises(Crash):
        store.apply_page(page(LIVE), after=None, at=NOON)
    assert store.cursor("csea") is None
    assert holdings(store, PULL) == {}


def test_a_page_that_arrives_after_its_successor_does_not_move_the_cursor_back() -> None:
    store = Store(":memory:")
    store.apply_page(page(next_="c1"), after=None, at=NOON)
    store.apply_page(page(next_="c2"), after="c1", at=NOON)
    store.apply_page(page(next_="c9"), after="c0", at=NOON)
    assert store.cursor("csea") == "c2"


def test_erasing_a_programme_leaves_nothing_and_lets_no_straggler_back_in() -> None:
    store = Store(":memory:")
    batch = Page("csea", HOOK, 1, 7, listed=True, more=False, items=(LIVE,))
    store.apply_page(page(LIVE, place=(1, 3)), after=None, at=NOON)
    store.apply_batch(batch, webhook_id="one", at=NOON)
    store.apply_page(Page("ncii", PULL, 1, 4, listed=True, more=False, items=(LIVE,)), after=None, at=NOON)
    assert store.erase("csea", epoch=1, walk=7, at=NOON) == 2
    assert store.cursor("csea") is None
    for place in ((1, 3), (1, 7)):
        assert store.apply_page(page(LIVE, place=place), after=None, at=NOON).is_overtaken
    assert store.apply_batch(batch, webhook_id="two", at=NOON).is_overtaken
    new_channel = Page("csea", "endpoint:2", 1, 6, listed=True, more=False, items=(LIVE,))
    assert store.apply_batch(new_channel, webhook_id="three", at=NOON).is_overtaken
    assert [entry.programme for entry in store.live(include_unverified=True)] == ["ncii"]


def test_a_late_farewell_erases_nothing_of_a_membership_that_has_begun_since() -> None:
    store = Store(":memory:")
    store.apply_page(page(LIVE, place=(1, 3)), after=None, at=NOON)
    assert store.erase("csea", epoch=1, walk=3, at=NOON) == 1
    assert not store.apply_page(page(LIVE, place=(1, 8)), after=None, at=NOON).is_overtaken
    assert store.erase("csea", epoch=1, walk=3, at=NOON) == 0
    assert holdings(store, PULL) == {"a": (1, "published")}
    assert not store.apply_page(page({**LIVE, "revision": 2}, place=(1, 8)), after=None, at=NOON).is_overtaken


def test_an_erased_value_leaves_the_file_too(tmp_path: Any) -> None:
    store = Store(tmp_path / "copy.db")
    store.apply_page(page({**LIVE, "signal": {"note": "canary-7d1f"}}), after=None, at=NOON)
    assert (tmp_path / "copy.db").stat().st_mode & 0o777 == 0o600
    store.erase("csea", epoch=1, walk=1, at=NOON)
    store.close()
    assert not [path for path in tmp_path.iterdir() if b"canary-7d1f" in path.read_bytes()]


def test_only_verified_entries_are_live_unless_asked_otherwise_and_may_be_judged_again() -> None:
    pinned: set[str] = set()
    store = Store(":memory:", judge=lambda _, item: None if item["id"] in pinned else "key-not-pinned")
    store.apply_page(page(LIVE, {**LIVE, "id": "b"}), after=None, at=NOON)
    assert list(store.live()) == []
    assert {entry.reason for entry in store.live(include_unverified=True)} == {"key-not-pinned"}
    pinned.add("b")
    assert store.rejudge() == 1
    assert [entry.id for entry in store.live()] == ["b"]
    assert [(channel.live, channel.unverified) for channel in store.channels()] == [(2, 1)]


def test_without_a_judge_nothing_is_trusted() -> None:
    store = Store(":memory:")
    store.apply_page(page(LIVE), after=None, at=NOON)
    entry = store.entry("a")
    assert entry is not None
    assert (entry.is_verified, entry.reason) == (False, "not-checked")
