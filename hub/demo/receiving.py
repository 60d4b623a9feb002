"""The receiving company: one local copy, fed by webhook and by pull, every author's signature checked as it comes."""

from __future__ import annotations

import base64
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from uuid import UUID

from heliograph_client.feed import Filter, Page, is_live
from heliograph_client.follow import follow
from heliograph_client.receiver import Receiver
from heliograph_client.store import PULL, Applied, Judge, Store
from heliograph_client.transport import HubProblem
from heliograph_client.trust import PinnedKeys

from hub.demo.companies import PROGRAMME, Company, now
from hub.demo.home import HUB_ID

_NOT_YET = "whsec_" + base64.b64encode(bytes(32)).decode("ascii")
_LONG_POLL_SECONDS = 2  # short, so that the demo ends soon; a company would wait for 30 or 60
_ALL = Filter()


@dataclass(frozen=True, slots=True)
class Told:
    """One page or batch as it came: its channel and the (signal, revision) pairs in it, in order."""

    channel: str
    pairs: tuple[tuple[UUID, int], ...]
    listed: bool


class ObservedStore(Store):
    """A store that also notes what came, and when each signal first did: for the demo's figures and checks."""

    def __init__(self, path: Path, *, judge: Judge) -> None:
        super().__init__(path, judge=judge)
        self.told: list[Told] = []
        self.arrived: dict[tuple[str, str], float] = {}  # (channel, JWS) → time.monotonic()
        self.news = threading.Condition()

    def apply_page(self, page: Page, *, after: str | None, at: datetime, filter: Filter = _ALL) -> Applied:  # noqa: A002
        """Apply, then note."""
        applied = super().apply_page(page, after=after, at=at, filter=filter)
        self._note(page)
        return applied

    def apply_batch(self, batch: Page, *, webhook_id: str, at: datetime) -> Applied:
        """Apply, then note."""
        applied = super().apply_batch(batch, webhook_id=webhook_id, at=at)
        self._note(batch)
        return applied

    def wait_until(self, is_so: Callable[[], bool], *, seconds: float) -> bool:
        """Wait for news until it is so, at most so long; says whether it is."""
        with self.news:
            return self.news.wait_for(is_so, timeout=seconds)

    def _note(self, page: Page) -> None:
        moment = time.monotonic()
        with self.news:
            pairs = tuple((UUID(item["id"]), int(item["revision"])) for item in page.items)
            if pairs or page.listed:
                self.told.append(Told(page.channel, pairs, page.listed))
            for item in page.items:
                if is_live(item):
                    self.arrived.setdefault((page.channel, item["jws"]), moment)
            self.news.notify_all()


class Receiving:
    """A webhook receiver on loopback and a follower of the feed, until `close`."""

    def __init__(self, company: Company, author: Company) -> None:
        self.company = company
        # The author's key came by another way than the hub (a telephone call, say), so the hub need not be believed.
        self.pins = PinnedKeys(company.folder / "pins.json", policy="confirm", hub_id=HUB_ID)
        self.pins.pin(author.slug, author.key.jwk, at=now())
        self.store = ObservedStore(company.folder / "copy.sqlite3", judge=self.pins.judge)
        # It listens before it is told the secret; what comes in between waits in the socket's queue.
        self.receiver = Receiver(("127.0.0.1", 0), self.store, [_NOT_YET])
        endpoint = company.hub.create_endpoint(PROGRAMME, self.receiver.url)
        self.receiver.secrets = (str(endpoint["secret"]),)
        self.endpoint_id = str(endpoint["id"])
        self.channels = {"webhook": f"endpoint:{self.endpoint_id}", "pull": PULL}
        self._is_over = threading.Event()
        threading.Thread(target=self.receiver.serve_forever, name="receiver", daemon=True).start()
        self._follower = threading.Thread(target=self._follow, name="follower", daemon=True)
        self._follower.start()

    def close(self) -> None:
        """Stop listening and following; what was received stays in the company's folder."""
        self._is_over.set()
        self.receiver.shutdown()
        self.receiver.server_close()
        self._follower.join(_LONG_POLL_SECONDS + 1)

    def copy(self, way: str) -> dict[str, str]:
        """What one way has brought and is live now, signatures verified: JWS → the hub's id of the signal."""
        entries = self.store.live(PROGRAMME, channel=self.channels[way])
        return {entry.item["jws"]: entry.id for entry in entries}

    def unverified(self) -> list[str]:
        """Why entries are not trusted; empty when all are."""
        entries = self.store.live(PROGRAMME, include_unverified=True)
        return [entry.reason for entry in entries if entry.reason is not None]

    def arrived(self, way: str) -> int:
        """How many signals have come one way so far."""
        return sum(channel == self.channels[way] for channel, _ in list(self.store.arrived))

    def has_arrived(self, way: str, jws: str, *, seconds: float) -> bool:
        """Wait for one signal to come one way, at most so long; says whether it has."""
        place = (self.channels[way], jws)
        return self.store.wait_until(lambda: place in self.store.arrived, seconds=seconds)

    def is_told(self, way: str, signal_id: str, state: str, *, seconds: float) -> bool:
        """Wait for one signal to be in this state one way, at most so long; says whether it is."""
        return self.store.wait_until(lambda: self.state(signal_id, way) == state, seconds=seconds)

    def state(self, signal_id: str, way: str) -> str | None:
        """The state of one signal in the copy that came one way."""
        entry = self.store.entry(signal_id, channel=self.channels[way])
        return None if entry is None else str(entry.item["state"])

    def _follow(self) -> None:
        while not self._is_over.is_set():
            try:
                for _ in follow(self.company.hub, PROGRAMME, self.store, wait=_LONG_POLL_SECONDS):
                    if self._is_over.is_set():
                        return
            except HubProblem:  # the hub restarts, or is stopped before us
                self._is_over.wait(1)
