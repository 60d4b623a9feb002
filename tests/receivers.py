"""Receivers of webhooks on the loopback, well-behaved and hostile, that keep and count what they get.

    with Receiver() as receiver: ...; receiver.wait_for(3); receiver.received[0].body
    receiver.behave(refuses(503, {"Retry-After": "7"}))

They speak HTTP/1.1 over bare sockets, so that they can break it at any byte. One event loop on one thread serves all
of them.
"""

from __future__ import annotations

import asyncio
import gzip
import json
import socket
import ssl
import struct
import threading
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any

Writer = asyncio.StreamWriter


@dataclass(frozen=True, slots=True)
class Received:
    """One request as it arrived. Header names are in lower case."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes
    at: float = field(default_factory=time.monotonic)
    connection: int = 0  # which of the receiver's connections it came by, counted from 1

    def json(self) -> Any:
        return json.loads(self.body)


# What a receiver does with one request; True: the connection can be kept.
Behaviour = Callable[[Received, Writer], Awaitable[bool]]


def answer(status: int, headers: Mapping[str, str] | None = None, body: bytes = b"") -> bytes:
    fields = {"Content-Length": str(len(body))} | dict(headers or {})
    head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    return f"HTTP/1.1 {status} Whatever\r\n{head}\r\n".encode("latin-1") + body


def says(raw: bytes, *, keeps: bool = False) -> Behaviour:
    """Send these bytes, then close unless told to keep the connection."""

    async def behave(_received: Received, writer: Writer) -> bool:
        writer.write(raw)
        await writer.drain()
        return keeps

    return behave


def accepts(status: int = 200, body: bytes = b"ok", *, after: float = 0.0) -> Behaviour:
    """Answer with success, `after` seconds later; repeat the challenge that a new address is sent."""

    async def behave(received: Received, writer: Writer) -> bool:
        if after:
            await asyncio.sleep(after)
        says = received.json()["challenge"].encode() if b'"endpoint.challenge"' in received.body[:64] else body
        writer.write(answer(status, body=b"" if status == 204 else says))
        await writer.drain()
        return True

    return behave


def refuses(status: int = 500, headers: Mapping[str, str] | None = None, body: bytes = b"no") -> Behaviour:
    return says(answer(status, headers, body), keeps=True)


def redirects(location: str, status: int = 302) -> Behaviour:
    return refuses(status, {"Location": location})


def hangs() -> Behaviour:
    """Take the request and never say a word."""

    async def behave(_received: Received, _writer: Writer) -> bool:
        await asyncio.Event().wait()
        return False

    return behave


def drips(raw: bytes, *, every: float = 0.02) -> Behaviour:
    """Send these bytes one by one, round and round."""

    async def behave(_received: Received, writer: Writer) -> bool:
        while True:
            for byte in raw:
                writer.write(bytes([byte]))
                await writer.drain()
                await asyncio.sleep(every)

    return behave


def drips_body(status: int = 200, *, every: float = 0.02) -> Behaviour:
    """A prompt status line, and a body without end, byte by byte."""

    async def behave(received: Received, writer: Writer) -> bool:
        writer.write(answer(status, {"Content-Length": "1000000000"}))
        return await drips(b"z", every=every)(received, writer)

    return behave


def slow_headers(*, every: float = 0.02) -> Behaviour:
    """A status line, and header fields without end, byte by byte."""

    async def behave(received: Received, writer: Writer) -> bool:
        writer.write(b"HTTP/1.1 200 OK\r\nX-Slow: ")
        return await drips(b"z", every=every)(received, writer)

    return behave


def informs_for_ever() -> Behaviour:
    """Interim answers (1xx) without end."""
    return drips(b"HTTP/1.1 103 Early Hints\r\n\r\n", every=0.001)


def truncates(status: int = 200) -> Behaviour:
    """Promise 1,000 bytes, send ten, hang up."""
    return says(answer(status, {"Content-Length": "1000"}, b"0123456789"))


def hangs_up() -> Behaviour:
    """Read the request and close without an answer."""
    return says(b"")


def resets() -> Behaviour:
    """Read the request and reset the connection."""

    async def behave(_received: Received, writer: Writer) -> bool:
        connected: socket.socket = writer.get_extra_info("socket")
        connected.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort()
        return False

    return behave


def sends_huge_body(status: int = 200) -> Behaviour:
    """As much as the other side will take, up to a gibibyte."""

    async def behave(_received: Received, writer: Writer) -> bool:
        writer.write(answer(status, {"Content-Length": str(2**30)}))
        chunk = b"H" * 65536
        for _ in range(2**30 // len(chunk)):
            writer.write(chunk)
            await writer.drain()
        return False

    return behave


def sends_gzip_bomb(status: int = 200, *, inflated: int = 64 * 2**20) -> Behaviour:
    """A small body that inflates to 64 MiB."""
    bomb = gzip.compress(bytes(inflated))
    return says(answer(status, {"Content-Encoding": "gzip"}, bomb), keeps=True)


def in_turn(*behaviours: Behaviour) -> Behaviour:
    """One after the other, the last one for ever."""
    left = list(behaviours)

    async def behave(received: Received, writer: Writer) -> bool:
        chosen = left.pop(0) if len(left) > 1 else left[0]
        return await chosen(received, writer)

    return behave


class Receiver:
    """A loopback receiver on a port of the operating system's choice; http, or https with a server `context`."""

    def __init__(
        self,
        behaviour: Behaviour | None = None,
        *,
        context: ssl.SSLContext | None = None,
        host: str = "127.0.0.1",
        reads_body: bool = True,
    ) -> None:
        self._behaviour = behaviour or accepts()
        self._context = context
        self._host = host
        self._reads_body = reads_body
        self._arrived = threading.Condition()
        self._tasks: set[asyncio.Task[None]] = set()
        self.received: list[Received] = []
        self.connections = 0  # how many were made, also those that never became a request
        self.port = 0

    @property
    def url(self) -> str:
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"{'https' if self._context else 'http'}://{host}:{self.port}/hook"

    @property
    def count(self) -> int:
        return len(self.received)

    def behave(self, behaviour: Behaviour) -> None:
        """Change what is done with the next request."""
        self._behaviour = behaviour

    def wait_for(self, count: int, *, within: float = 5.0) -> list[Received]:
        """Everything received, once it is at least `count`; AssertionError after `within` seconds."""
        with self._arrived:
            in_time = self._arrived.wait_for(lambda: len(self.received) >= count, within)
            assert in_time, f"{len(self.received)} of {count}"
            return list(self.received)

    def __enter__(self) -> Receiver:
        self._server = _serving.call(self._listen())
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        _serving.call(self._close())

    async def _listen(self) -> asyncio.Server:
        return await asyncio.start_server(self._connected, self._host, 0, ssl=self._context, backlog=1024)

    async def _close(self) -> None:
        self._server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _connected(self, reader: asyncio.StreamReader, writer: Writer) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self.connections += 1
        number = self.connections
        try:
            while await self._one(reader, writer, number):
                pass
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError, asyncio.LimitOverrunError):
            pass  # the other side left, or the test is over
        finally:
            self._tasks.discard(task)
            writer.transport.abort() if task.cancelling() else writer.close()

    async def _one(self, reader: asyncio.StreamReader, writer: Writer, connection: int) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        first, *lines = head.removesuffix("\r\n\r\n").split("\r\n")
        method, path, _ = first.split(" ", 2)
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        body = await reader.readexactly(int(headers.get("content-length", "0"))) if self._reads_body else b""
        received = Received(method, path, headers, body, connection=connection)
        with self._arrived:
            self.received.append(received)
            self._arrived.notify_all()
        return await self._behaviour(received, writer)


class _Serving:
    """The one thread that serves every receiver of the run."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None

    def call(self, coroutine: Any) -> Any:
        if self._loop is None:
            self._loop = asyncio.new_event_loop()
            threading.Thread(target=self._loop.run_forever, name="receivers", daemon=True).start()
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(10)


_serving = _Serving()


def unused_port() -> int:
    """A port where nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
