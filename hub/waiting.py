"""Let a request wait for news without holding a thread or a database connection: long-polls and `Prefer: wait`.

The views know nothing of waiting. One that has nothing to say names what would be news in an internal header; this
ASGI layer then waits on an event, asks the view again when the event comes, and answers when there is something to say
or the time is up. One Valkey subscription per process wakes everybody; since Valkey may lose messages, the heads and
submissions that are waited for are also looked up every two seconds, in two queries for all waiters together.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, MutableMapping
from contextlib import nullcontext
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

import redis.asyncio
from asgiref.sync import sync_to_async
from django.conf import settings
from django.db import close_old_connections

from partners.api.view import AGAIN
from signals import queries, wake

logger = logging.getLogger(__name__)

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

WAIT_HEADER = b"heliograph-internal-wait"
RECHECK_SECONDS = 2.0
_POOL = settings.DATABASES["default"]["OPTIONS"].get("pool") or {"max_size": 12}
# Django gives every request a thread, and each wants a connection: a thousand at once would time out on the pool. So
# reads take turns here, where waiting costs nothing; second looks have turns of their own, so that news for a thousand
# readers lets others through.
_READS = int(_POOL["max_size"])
_LOOKS = max(1, _READS // 3)
_FAILED_SECONDS = 0.25  # before a look that failed is tried again
_AGAIN_SECONDS = 0.005  # pause before asking again, so that a burst of moves is one answer


class Waiters:
    """Everybody in this process who waits, by what they wait for, and the two ways they are woken."""

    def __init__(self) -> None:
        self._heads: dict[str, int] = {}  # the latest head heard of, per topic
        self._decided: dict[str, float] = {}  # submissions lately finished, with when we heard
        self._waiting: dict[str, set[asyncio.Event]] = {}
        self._tasks: list[asyncio.Task[None]] = []

    def register(self, topic: str) -> asyncio.Event:
        """An event that is set when the topic ("feed 12", "notices 7", "submission <id>") may have news."""
        if not self._tasks:
            self._tasks = [asyncio.create_task(self._listen()), asyncio.create_task(self._recheck())]
        event = asyncio.Event()
        self._waiting.setdefault(topic, set()).add(event)
        return event

    def forget(self, topic: str, event: asyncio.Event) -> None:
        """Stop waiting."""
        events = self._waiting.get(topic, set())
        events.discard(event)
        if not events:
            self._waiting.pop(topic, None)

    def has_news(self, topic: str, seen: int) -> bool:
        """Whether news came between the view's look and the registration."""
        kind, _, key = topic.partition(" ")
        return key in self._decided if kind == "submission" else self._heads.get(topic, 0) > seen

    def head_of(self, topic: str) -> int:
        """The latest head heard of for a feed or for notices; 0 for anything else."""
        return self._heads.get(topic, 0)

    async def _listen(self) -> None:
        """Hear of moved heads and finished submissions; reconnect for ever."""
        url = settings.BROKER_URL.replace("redis+socket://", "unix://")
        while True:
            try:
                async with (
                    redis.asyncio.Redis.from_url(url, socket_connect_timeout=2) as valkey,
                    valkey.pubsub(ignore_subscribe_messages=True) as subscription,
                ):
                    await subscription.subscribe(wake.CHANGED, wake.DECIDED)
                    async for message in subscription.listen():
                        self._hear(message["channel"].decode("ascii"), message["data"].decode("ascii"))
            except (redis.RedisError, OSError):
                await asyncio.sleep(1)

    def _hear(self, channel: str, text: str) -> None:
        if channel == wake.CHANGED:
            topic, _, head = text.rpartition(" ")
            self._head_moved(topic, int(head))
        else:
            self._finished(text)

    def _head_moved(self, topic: str, head: int) -> None:
        if head > self._heads.get(topic, 0):
            self._heads[topic] = head
            self._wake(topic)

    def _finished(self, submission_id: str) -> None:
        now = time.monotonic()
        self._decided[submission_id] = now
        if len(self._decided) > 10_000:
            self._decided = {key: heard for key, heard in self._decided.items() if heard > now - 10}
        self._wake(f"submission {submission_id}")

    def _wake(self, topic: str) -> None:
        for event in self._waiting.get(topic, ()):
            event.set()

    async def _recheck(self) -> None:
        """What a lost message would have told."""
        while True:
            await asyncio.sleep(RECHECK_SECONDS)
            if not self._waiting:
                continue
            topics = [topic.split() for topic in self._waiting]
            submissions = [UUID(key) for kind, key in topics if kind == "submission"]
            partners = [int(key) for kind, key in topics if kind == "notices"]
            try:
                heads, finished = await sync_to_async(_look_up, thread_sensitive=False)(submissions, partners)
            except Exception as error:  # noqa: BLE001  the database may be away; the waiters go on waiting
                logger.warning("waiting.recheck_failed", extra={"reason": type(error).__name__})
                continue
            for topic, head in heads.items():
                self._head_moved(topic, head)
            for submission_id in finished:
                self._finished(str(submission_id))


def _look_up(submissions: list[UUID], partners: list[int]) -> tuple[dict[str, int], set[UUID]]:
    close_old_connections()
    try:
        heads = {f"feed {programme_id}": head for programme_id, head in queries.heads().items()}
        if partners:
            heads |= {f"notices {partner_id}": head for partner_id, head in queries.notice_heads(partners).items()}
        return heads, queries.finished(submissions) if submissions else set()
    finally:
        close_old_connections()


class Waiting:
    """The ASGI layer: asks the application again while there is nothing to say and time is left."""

    def __init__(self, app: App) -> None:
        self.app = app
        self.waiters = Waiters()
        self._reads = asyncio.Semaphore(_READS)
        self._looks = asyncio.Semaphore(_LOOKS)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass everything through, except answers that name what they wait for."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        first = _Answer(send)
        is_read = scope["method"] in {"GET", "HEAD"} and scope["path"].startswith("/api/")
        async with self._reads if is_read else nullcontext():  # a body may come slowly; a read has none
            await self.app(scope, receive, first.send)
        if first.wish is None:
            await first.finish()
            return
        kind, key, seen, seconds = _read_wish(first.wish)
        if kind == "submission":
            again = _get(scope, first.location)
        else:
            again = _get(scope, scope["path"], scope["query_string"])
        await self._wait(again, f"{kind} {key}", seen, seconds, receive, first)

    async def _wait(
        self, again: Scope, topic: str, seen: int, seconds: float, receive: Receive, answer: _Answer
    ) -> None:
        deadline = time.monotonic() + seconds
        gone = asyncio.ensure_future(_disconnected(receive))
        event = self.waiters.register(topic)
        try:
            while not gone.done() and (left := deadline - time.monotonic()) > 0:
                if not self.waiters.has_news(topic, seen):
                    woken = asyncio.ensure_future(event.wait())
                    await asyncio.wait({woken, gone}, timeout=left, return_when=asyncio.FIRST_COMPLETED)
                    woken.cancel()
                    if not event.is_set():
                        break
                await asyncio.sleep(_AGAIN_SECONDS)
                event.clear()
                known = self.waiters.head_of(topic)
                fresh = _Answer(answer.outer)
                async with self._looks:
                    await self.app(again, _empty_body(), fresh.send)
                fresh.take_limits_from(answer)
                if topic.startswith("submission") and fresh.status == 200:
                    fresh.add_header(b"preference-applied", b"wait")
                    fresh.add_header(b"location", answer.location.encode("ascii"))
                    answer = fresh
                    break
                if topic.startswith("submission"):
                    await asyncio.sleep(_FAILED_SECONDS)
                    continue  # what is stored is stored: its 202 stands, whatever became of the second look
                answer = fresh
                if fresh.wish is None:
                    break
                seen = max(_read_wish(fresh.wish)[2], known)  # a head heard of before a restore is no news for ever
        finally:
            self.waiters.forget(topic, event)
            was_gone = gone.done()
            gone.cancel()
        if not was_gone:
            await answer.finish()


class _Answer:
    """A response held back until it is known whether it is the one to send; others stream through untouched."""

    def __init__(self, outer: Send) -> None:
        self.outer = outer
        self.start: Message | None = None
        self.body: list[Message] = []
        self.wish: str | None = None
        self.status = 0
        self.location = ""

    async def send(self, message: Message) -> None:
        """Hold the start back; hold the bodies of answers that wish to wait."""
        if message["type"] == "http.response.start":
            self.start, self.status = message, message["status"]
            headers = [(name.lower(), value) for name, value in message.get("headers", ())]
            found = dict(headers)
            self.location = found.get(b"location", b"").decode("latin-1")
            wish = found.get(WAIT_HEADER)
            self.wish = wish.decode("ascii") if wish is not None else None
            message["headers"] = [pair for pair in headers if pair[0] != WAIT_HEADER]
        else:
            self.body.append(message)

    def add_header(self, name: bytes, value: bytes) -> None:
        """Add to the held-back start."""
        assert self.start is not None
        self.start["headers"] = [*self.start["headers"], (name, value)]

    def take_limits_from(self, first: _Answer) -> None:
        """The partner was counted once, so that answer's limits are told; a second look says nothing of them."""
        if self.start is not None and first.start is not None:
            self.start["headers"] += [pair for pair in first.start["headers"] if pair[0].startswith(b"ratelimit")]

    async def finish(self) -> None:
        """Send what was held back."""
        if self.start is not None:
            await self.outer(self.start)
        for message in self.body:
            await self.outer(message)


def _read_wish(wish: str) -> tuple[str, str, int, float]:
    """kind, key, the head seen and seconds, from "feed 12 345 30", "notices 7 9 30" or "submission <id> 30"."""
    parts = wish.split()
    if parts[0] == "submission":
        return parts[0], parts[1], 0, float(parts[2])
    return parts[0], parts[1], int(parts[2]), float(parts[3])


def _get(scope: Scope, path: str, query: bytes = b"") -> Scope:
    path = urlsplit(path).path
    dropped = {b"content-length", b"content-type", b"content-encoding", b"prefer", b"transfer-encoding"}
    headers = [pair for pair in scope["headers"] if pair[0].lower() not in dropped]
    return {
        **scope,
        "method": "GET",
        "path": path,
        "raw_path": path.encode("ascii"),
        "query_string": query,
        "headers": headers,
        "state": dict(scope.get("state") or {}),
        AGAIN: True,
    }


def _empty_body() -> Receive:
    """What a GET receives: an empty body once, then nothing, for ever: Django listens for a disconnect meanwhile."""
    messages: list[Message] = [{"type": "http.request", "body": b"", "more_body": False}]

    async def receive() -> Message:
        if messages:
            return messages.pop()
        await asyncio.Event().wait()
        raise AssertionError("An event that nobody sets was set.")

    return receive


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
