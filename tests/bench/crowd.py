"""Many receivers in a process of their own: they count what they get, repeat a challenge, and answer at once.

Each has an address of its own (127.1.x.y), as two hundred partners' machines have. Nothing is parsed but the head of a
request: a body is read into one buffer and its items are counted there, so that whoever posts is measured and not this.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing import get_context
from multiprocessing.connection import Connection
from typing import Any

ITEM = b'{"id":"'  # begins every item of a batch, and nothing else in it
_ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s"
_JWS_END = re.compile(rb'"jws":"[^"]*([A-Za-z0-9_-]{%d})"' % 20)
_HEAD_BYTES = 64 * 1024


@dataclass
class Counts:
    """What each receiver has got so far, written by their process and read by whoever waits for it."""

    size: int
    bodies: Any = field(init=False)
    items: Any = field(init=False)
    bytes: Any = field(init=False)
    last: Any = field(init=False)  # when the last body was in, by the monotonic clock, which all processes share

    def __post_init__(self) -> None:
        made = get_context("spawn")
        self.bodies, self.items, self.bytes = (made.RawArray("q", self.size) for _ in range(3))
        self.last = made.RawValue("d", 0.0)

    def clear(self) -> None:
        for number in range(self.size):
            self.bodies[number] = self.items[number] = self.bytes[number] = 0
        self.last.value = 0.0


@dataclass
class Crowd:
    """The receivers as a bench sees them."""

    counts: Counts
    port: int
    pid: int
    _pipe: Connection

    def url(self, number: int) -> str:
        return url(self.port, number)

    def behave(self, number: int, how: str) -> None:
        """Have one receiver answer (`well`), hang (`hangs`), drip (`drips`) or reset every connection (`resets`)."""
        self._ask("behave", number, how)

    def keep_bodies_of(self, number: int | None) -> list[bytes]:
        """From now on keep the bodies of this receiver, or of none; returns those that were kept until now."""
        kept: list[bytes] = self._ask("keep", number)
        return kept

    def arrivals(self) -> list[tuple[int, str, float]]:
        """Receiver, end of the JWS and time of every item since the last call; the first call begins it."""
        found: list[tuple[int, str, float]] = self._ask("arrivals")
        return found

    def _ask(self, *what: object) -> Any:
        self._pipe.send(what)
        return self._pipe.recv()


def url(port: int, number: int) -> str:
    return f"http://127.1.{number // 250}.{number % 250 + 1}:{port}/hook/{number}"


def mark(jws: bytes) -> str:
    """What `arrivals` knows a statement by."""
    return jws[-20:].decode()


@contextmanager
def crowd(size: int) -> Iterator[Crowd]:
    """So many receivers, numbered from 0."""
    context = get_context("spawn")
    ours, theirs = context.Pipe()
    counts = Counts(size)
    process = context.Process(target=_serve, args=(theirs, counts), name="receivers", daemon=True)
    process.start()
    try:
        yield Crowd(counts, int(ours.recv()), process.pid or 0, ours)
    finally:
        process.terminate()
        process.join()


def _serve(pipe: Connection, counts: Counts) -> None:
    asyncio.run(_House(pipe, counts).serve())


class _House:
    def __init__(self, pipe: Connection, counts: Counts) -> None:
        self.pipe, self.counts = pipe, counts
        self.moods: dict[int, str] = {}
        self.kept_of: int | None = None
        self.kept: list[bytes] = []
        self.found: list[tuple[int, str, float]] | None = None
        self.connections: dict[_Conversation, int] = {}

    async def serve(self) -> None:
        loop = asyncio.get_running_loop()
        server = await loop.create_server(lambda: _Conversation(self), "0.0.0.0", 0, backlog=1024)
        loop.add_reader(self.pipe.fileno(), self._obey)
        self.pipe.send(server.sockets[0].getsockname()[1])
        await asyncio.Event().wait()

    def _obey(self) -> None:
        try:
            what, *about = self.pipe.recv()
        except EOFError:  # the bench is gone
            raise SystemExit from None
        answer: object = None
        if what == "behave":
            number, self.moods[number] = about[0], about[1]
            for conversation in [each for each, whose in self.connections.items() if whose == number]:
                conversation.transport.abort()
        elif what == "keep":
            answer, self.kept, self.kept_of = self.kept, [], about[0]
        else:
            answer, self.found = self.found or [], []
        self.pipe.send(answer)

    def took(self, number: int, body: bytearray, size: int) -> None:
        at = time.monotonic()
        counts = self.counts
        counts.bodies[number] += 1
        counts.items[number] += body.count(ITEM, 0, size)
        counts.bytes[number] += size
        counts.last.value = at
        if self.kept_of == number:
            self.kept.append(bytes(body[:size]))
        if self.found is not None:
            ends = _JWS_END.findall(body, 0, size)
            self.found += [(number, end.decode(), at) for end in ends]


class _Conversation(asyncio.BufferedProtocol):
    """One connection, kept for one request after the other."""

    def __init__(self, house: _House) -> None:
        self.house = house
        self.head, self.got = bytearray(_HEAD_BYTES), 0
        self.body, self.size, self.number = bytearray(), -1, 0  # size -1: the head is not in yet

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        self.house.connections.pop(self, None)

    def get_buffer(self, sizehint: int) -> memoryview:
        whole = memoryview(self.head) if self.size < 0 else memoryview(self.body)[: self.size]
        return whole[self.got :]

    def buffer_updated(self, nbytes: int) -> None:
        self.got += nbytes
        if self.size < 0:
            self._read_head()
        if 0 <= self.size <= self.got:
            self._answer()

    def _read_head(self) -> None:
        end = self.head.find(b"\r\n\r\n", 0, self.got)
        if end < 0:
            return
        first, *fields = bytes(self.head[:end]).split(b"\r\n")
        lengths = [line for line in fields if line[:15].lower() == b"content-length:"]
        self.number, self.size = int(first.split(b" ")[1].rpartition(b"/")[2]), int(lengths[0][15:])
        self.house.connections[self] = self.number
        if len(self.body) < self.size:
            self.body = bytearray(self.size)
        beginning = self.head[end + 4 : self.got]
        self.body[: len(beginning)] = beginning
        self.got = len(beginning)

    def _answer(self) -> None:
        mood = self.house.moods.get(self.number, "well")
        if mood == "resets":
            self.transport.abort()
        elif mood == "drips":
            self._drip()
        elif mood == "well":
            said = b"ok"
            if self.body.startswith(b'{"type":"endpoint.challenge"'):
                said = bytes(self.body[: self.size])
            else:
                self.house.took(self.number, self.body, self.size)
            self.transport.write(_ANSWER % (len(said), said))
        self.size, self.got = -1, 0

    def _drip(self) -> None:
        if not self.transport.is_closing():
            self.transport.write(b"H")  # of a status line that never ends
            asyncio.get_running_loop().call_later(0.05, self._drip)
