"""Many posts in the air at once, started and settled by one synchronous verb: the first to answer is settled first."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from datetime import timedelta
from queue import Empty, SimpleQueue
from types import TracebackType
from typing import Generic, TypeVar

from signals.delivery.loop import BackgroundLoop, InsideTransaction, process_loop
from signals.delivery.outcome import Outcome, Request
from signals.delivery.sender import Sender

K = TypeVar("K", bound=Hashable)


class Courier:
    """The process's one sender on the process's one loop, opened when first needed and kept, with its connections.

    Make one per process, with `lambda: Sender(egress, …)`; it may be made before a fork.
    """

    def __init__(self, make_sender: Callable[[], Sender], *, loop: BackgroundLoop = process_loop) -> None:
        self._make_sender = make_sender
        self.loop = loop
        self._sender: Sender | None = None
        self._home: asyncio.AbstractEventLoop | None = None
        self._former: list[Sender] = []  # of a loop that is gone; closing them after a fork would disturb the parent's

    def start(self, request: Request) -> Future[Outcome]:
        """Begin to post; InsideTransaction if this thread holds a transaction open."""
        return self.loop.submit(self._post(request))

    def post(self, request: Request) -> Outcome:
        """Post one request and wait for it, which takes no longer than its own timeout."""
        return self.start(request).result(request.timeout.total_seconds() + 5)

    async def _post(self, request: Request) -> Outcome:
        home = asyncio.get_running_loop()
        if self._sender is None or self._home is not home:
            if self._sender is not None:
                self._former.append(self._sender)
            sender = self._sender = await self._make_sender().__aenter__()
            self._home = home
            self.loop.before_stop(sender.close)
        return await self._sender.post(request)


class Flights(Generic[K]):
    """Posts on their way, each under a key of the caller's; see `test_flights` for the loop a verb runs.

    A dead receiver keeps only its own key waiting. Leaving the block cancels what is still in the air: it may have
    arrived, and since nothing was settled it is sent again under the same webhook-id.
    """

    def __init__(self, courier: Courier) -> None:
        self._courier = courier
        self._air: dict[Future[Outcome], K] = {}
        self._landed: SimpleQueue[Future[Outcome]] = SimpleQueue()

    def __enter__(self) -> Flights[K]:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for future in self._air:
            future.cancel()
        self._air.clear()

    def __len__(self) -> int:
        return len(self._air)

    def start(self, key: K, request: Request) -> None:
        """Begin to post; InsideTransaction if this thread holds a transaction open."""
        future = self._courier.start(request)
        self._air[future] = key
        future.add_done_callback(self._landed.put)

    def landed(self, *, within: timedelta) -> list[tuple[K, Outcome]]:
        """Wait for the first to land, at most `within`, and return all that have; nothing when none is up."""
        if self._courier.loop.is_forbidden():
            raise InsideTransaction("Nothing is awaited while a database transaction is open: commit first.")
        if not self._air:
            return []
        landed: list[tuple[K, Outcome]] = []
        try:
            future = self._landed.get(timeout=within.total_seconds())
            while True:
                landed.append((self._air.pop(future), future.result()))
                future = self._landed.get_nowait()
        except Empty:
            return landed
