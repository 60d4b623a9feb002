"""Readers that keep a copy of the feed while everything around them breaks: by pull with a cursor, by webhook."""

from __future__ import annotations

import asyncio
import random
import threading
from contextlib import closing
from datetime import UTC, datetime

from heliograph_client.feed import Filter, PageProblem, is_live, read_page
from heliograph_client.follow import follow
from heliograph_client.hub import HubClient, HubProblem
from heliograph_client.store import Change, Store
from heliograph_client.webhooks import WebhookRefused, verify
from heliograph_client.wire import NotStrict, strict_object

from tests.chaos.stage import PROGRAMME, Stage
from tests.companies import Company
from tests.receivers import (
    Behaviour,
    Received,
    Receiver,
    Writer,
    accepts,
    hangs,
    hangs_up,
    refuses,
    resets,
    slow_headers,
    truncates,
)

_TROUBLE = {"unreachable", "unavailable", "not-a-hub"}  # a hub in trouble; `not-a-hub` is a page that was cut short
_WAIT_SECONDS = 5
MISBEHAVIOURS = ("refuses", "hangs", "drips", "truncates", "resets", "hangs up")


class PowerCut(Exception):
    """The reader's machine goes dark between receiving a page and storing it."""


class Puller(threading.Thread):
    """Long-polls for one company, for ever; loses its power now and then and goes on from what it has stored."""

    def __init__(
        self, stage: Stage, company: Company, *, seed: str, cuts: float = 0.03, limits: tuple[int, ...] = (3, 50, 1000)
    ) -> None:
        super().__init__(name=f"puller-{company.slug}", daemon=True)
        self.company, self.findings, self.cuts, self.limits = company, stage.findings, cuts, limits
        self.client = stage.client(company)
        self.path = stage.folder / f"{company.slug}-pull.sqlite3"
        self.chance = random.Random(f"{seed}/{company.slug}/pull")
        self.shown: set[str] = set()  # every JWS ever received
        self.is_over = threading.Event()
        self.restart = threading.Event()
        self.restarts = 0

    def run(self) -> None:
        while not self.is_over.is_set():
            try:
                with closing(Store(self.path, on_change=self._take)) as store:
                    self._follow(self.client, store)
            except PowerCut:
                self.restarts += 1
            except HubProblem as problem:
                if problem.code not in _TROUBLE:
                    self.findings.say(f"puller {self.company.slug} was told {problem}")
                self.is_over.wait(0.3)
            except Exception as error:  # noqa: BLE001  a thread's death must be heard of
                self.findings.say(f"puller {self.company.slug} died: {error!r}")
                return

    def _follow(self, client: HubClient, store: Store) -> None:
        limit = self.chance.choice(self.limits)
        for _ in follow(client, PROGRAMME, store, wait=_WAIT_SECONDS, limit=limit):
            if self.is_over.is_set():
                return
            if self.restart.is_set():
                self.restart.clear()
                self.restarts += 1
                return

    def _take(self, changes: tuple[Change, ...]) -> None:
        _remember(self.shown, changes)
        if self.chance.random() < self.cuts:
            raise PowerCut

    def copy(self) -> dict[str, bytes]:
        """What is in force: the hub's id → the author's JWS."""
        with closing(Store(self.path)) as store:
            return _live(store, "pull")


class Inbox:
    """A webhook endpoint of one company, whose receiver can be made to misbehave."""

    def __init__(self, stage: Stage, company: Company, *, batch_size: int) -> None:
        self.company, self.findings = company, stage.findings
        self.can_clocks_jump = stage.clocks is not None
        self.shown: set[str] = set()
        self.store = Store(
            stage.folder / f"{company.slug}-hook.sqlite3", on_change=lambda each: _remember(self.shown, each)
        )
        self.secret = ""
        self.receiver = Receiver(self._applies()).__enter__()
        self.client = stage.client(company)
        made = self.client.create_endpoint(PROGRAMME, self.receiver.url, batch_size=batch_size)
        self.id, self.secret = str(made["id"]), str(made["secret"])

    def close(self) -> None:
        self.receiver.__exit__(None, None, None)
        self.store.close()

    def misbehave(self, how: str, *, applies: bool) -> None:
        """Until `recover`. What a receiver does with the body before it breaks off is its own affair (`applies`)."""
        breaks: dict[str, Behaviour] = {
            "refuses": refuses(500),
            "hangs": hangs(),
            "drips": slow_headers(),
            "truncates": truncates(),
            "resets": resets(),
            "hangs up": hangs_up(),
        }
        # A 2xx status line settles a batch whatever follows it, so whoever says one must have stored the batch.
        self.receiver.behave(self._applies(breaks[how]) if applies or how == "truncates" else breaks[how])

    def recover(self) -> None:
        self.receiver.behave(self._applies())

    def resume(self) -> None:
        """Tell the hub that we are back, where it has begun to wait for long."""
        try:
            if int(self.client.endpoint(self.id)["failures"]) >= 2:
                self.client.change_endpoint(self.id, {"state": "active"})
        except HubProblem:
            pass  # asked again soon

    def copy(self) -> dict[str, bytes]:
        """What is in force: the hub's id → the author's JWS."""
        return _live(self.store, f"endpoint:{self.id}")

    def _applies(self, then: Behaviour | None = None) -> Behaviour:
        async def behave(received: Received, writer: Writer) -> bool:
            status = await asyncio.to_thread(self._apply, received)
            return await (then if then is not None and status == 200 else accepts(status))(received, writer)

        return behave

    def _apply(self, received: Received) -> int:
        at = datetime.now(UTC)
        if b'"endpoint.challenge"' in received.body[:64]:
            return 200  # it may come before the answer that brings the secret; `accepts` repeats it
        try:
            webhook_id = verify(received.headers, received.body, [self.secret], at=at)
            self.store.apply_batch(read_page(strict_object(received.body)), webhook_id=webhook_id, at=at)
        except (WebhookRefused, NotStrict, PageProblem) as problem:
            if self.secret and not self._is_of_a_wrong_clock(
                received
            ):  # a body may arrive before the answer that brings the secret
                self.findings.say(f"{self.company.slug} received what it cannot take: {problem!r}")
            return 401
        return 200

    def _is_of_a_wrong_clock(self, received: Received) -> bool:
        """Whether it is signed well, and refused only because it bears another time than ours: it comes again."""
        if not self.can_clocks_jump:
            return False
        stamp = received.headers.get("webhook-timestamp", "")
        at = datetime.fromtimestamp(int(stamp) if stamp.isdecimal() else 0, UTC)
        try:
            verify(received.headers, received.body, [self.secret], at=at)
        except WebhookRefused:
            return False
        return abs((at - datetime.now(UTC)).total_seconds()) > 60


def _remember(shown: set[str], changes: tuple[Change, ...]) -> None:
    shown.update(
        str(change.after.item["jws"]) for change in changes if change.after is not None and change.after.is_live
    )


def _live(store: Store, channel: str) -> dict[str, bytes]:
    entries = store.live(PROGRAMME, channel=channel, include_unverified=True)
    return {entry.id: str(entry.item["jws"]).encode() for entry in entries}


def fresh_copy(client: HubClient) -> tuple[dict[str, bytes], list[str]]:
    """What a new walk lists with `own=true`, and every id it named twice."""
    found: dict[str, bytes] = {}
    doubled: list[str] = []
    after = None
    while True:
        page = client.feed(PROGRAMME, after=after, filter=Filter(own=True))
        for item in page.items:
            doubled += [item["id"]] if item["id"] in found else []
            if is_live(item):
                found[item["id"]] = str(item["jws"]).encode()
        if not page.more:
            return found, doubled
        after = page.next
