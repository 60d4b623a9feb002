"""Post webhooks to many receivers at once; none can hold us longer, or make us read more, than we allow."""

from __future__ import annotations

import asyncio
import math
import socket
import ssl
import time
from collections.abc import Callable, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from types import TracebackType
from weakref import WeakValueDictionary

import aiohttp
import structlog
from aiohttp.abc import AbstractResolver, AbstractStreamWriter
from yarl import URL

from signals.delivery.guard import AddrInfo, BlockedAddress, socket_factory
from signals.delivery.outcome import Failure, Outcome, Request, excerpt_of, failure_of_status, retry_after_of
from signals.delivery.tls import UnusableTls, context_of
from signals.delivery.urls import Egress, EndpointUrlRefused, check_url

CONNECT_DEADLINE = timedelta(seconds=5)
BODY_DEADLINE = timedelta(seconds=2)  # after the status line; a receiver has said what matters by then
READ_BYTES = 16 * 1024  # enough to empty an ordinary answer, so that its connection can be kept
MAX_HEADER_BYTES = 8190  # of one field, and of the status line
MAX_HEADERS = 100
CONNECTIONS_PER_HOST = 8

_AS_IT_IS = {"User-Agent": "Heliograph", "Accept-Encoding": "identity", "Content-Type": "application/json"}

log = structlog.get_logger(__name__)


class Sender:
    """An open door to the world for one event loop; `async with Sender(egress) as sender: await sender.post(request)`.

    `proxy` is an optional static egress proxy, `http://[user:password@]host:port`. Then the proxy resolves names and
    opens connections, so the address rules are its to enforce (Smokescreen does); ours still hold for URLs. What it
    answers itself to a plain `http` request cannot be told from the receiver's answer; for `https` it can, and is
    Failure.PROXY.
    """

    def __init__(
        self,
        egress: Egress,
        *,
        connect_deadline: timedelta = CONNECT_DEADLINE,
        body_deadline: timedelta = BODY_DEADLINE,
        connections_per_host: int = CONNECTIONS_PER_HOST,
        proxy: str | None = None,
        resolver: AbstractResolver | None = None,
    ) -> None:
        self._egress = egress
        self._timeout = aiohttp.ClientTimeout(total=None, connect=connect_deadline.total_seconds())
        self._body_seconds = body_deadline.total_seconds()
        self._connections_per_host = connections_per_host
        self._proxy = proxy
        self._resolver = resolver
        self._places: WeakValueDictionary[str, asyncio.Semaphore] = WeakValueDictionary()
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Sender:
        connector = aiohttp.TCPConnector(
            limit=0,  # how many at once is for those who claim endpoints to say; each host has its own cap below
            socket_factory=_dialling(_any_socket if self._proxy else socket_factory(self._egress.allowed)),
            resolver=self._resolver or aiohttp.ThreadedResolver(),
            ttl_dns_cache=10,
        )
        self._session = aiohttp.ClientSession(
            connector=connector,
            cookie_jar=_NoCookies(),
            headers=_AS_IT_IS,
            timeout=self._timeout,
            trust_env=False,
            auto_decompress=False,
            read_bufsize=READ_BYTES,
            max_line_size=MAX_HEADER_BYTES,
            max_field_size=MAX_HEADER_BYTES,
            max_headers=MAX_HEADERS,
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close every kept connection; the sender may be entered again."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def post(self, request: Request) -> Outcome:
        """Post once and follow nothing; whatever the receiver does is an Outcome. RuntimeError when not open."""
        if self._session is None:
            raise RuntimeError("The sender is not open.")
        seen = _Seen()
        began = time.perf_counter()
        failure: Failure | None
        try:
            url = _target(request.url, self._egress)
            async with asyncio.timeout(request.timeout.total_seconds()):
                await self._post_within_cap(self._session, url, request, seen)
        except Exception as error:  # noqa: BLE001  a receiver can make aiohttp raise almost anything
            failure = failure_of(error)
            if failure is Failure.TOTAL_TIMEOUT and seen.placed_at - began > request.timeout.total_seconds() / 2:
                failure = Failure.HOST_BUSY
        else:
            failure = None
        if seen.status is not None:
            failure = failure_of_status(seen.status)
        return Outcome(
            failure=failure,
            latency=timedelta(seconds=time.perf_counter() - began),
            status=seen.status,
            excerpt=seen.excerpt,
            retry_after=None if failure is None else seen.retry_after,
        )

    async def _post_within_cap(self, session: aiohttp.ClientSession, url: URL, request: Request, seen: _Seen) -> None:
        host = url.raw_host or ""
        place = self._places.get(host)
        if place is None:
            place = self._places[host] = asyncio.Semaphore(self._connections_per_host)
        async with place:
            seen.placed_at = time.perf_counter()
            context: ssl.SSLContext | bool = context_of(request.tls) if url.scheme == "https" else True
            _current.set(seen)
            body, headers = request.body, request.all_headers()
            while True:
                seen.has_dialled = False
                try:
                    response = await session.post(
                        url,
                        data=body if isinstance(body, bytes) else _InParts(body),
                        headers=headers,
                        allow_redirects=False,
                        ssl=context,
                        proxy=self._proxy,
                    )
                except aiohttp.ClientConnectorError:
                    raise
                except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError):
                    # A kept connection that the receiver had closed meanwhile says nothing about the receiver. Each
                    # turn uses up one kept connection, and a fresh one that fails ends the loop.
                    if seen.has_dialled:
                        raise
                else:
                    await self._read(response, seen)
                    return

    async def _read(self, response: aiohttp.ClientResponse, seen: _Seen) -> None:
        seen.status = response.status
        if "Retry-After" in response.headers:
            seen.retry_after = retry_after_of(response.headers["Retry-After"], at=datetime.now(UTC))
        body = bytearray()
        try:
            body += response.content.read_nowait(READ_BYTES)  # what came with the headers: mostly all of it
            if not response.content.at_eof():
                async with asyncio.timeout(self._body_seconds):
                    while len(body) < READ_BYTES and (chunk := await response.content.read(READ_BYTES - len(body))):
                        body += chunk
        except (TimeoutError, aiohttp.ClientError, OSError):
            pass  # the status line has decided; a body cut short is a shorter excerpt
        finally:
            response.close()  # a body read to its end has already given its connection back; no other is worth keeping
            is_plain = response.headers.get("Content-Encoding", "identity").lower() == "identity"
            seen.excerpt = excerpt_of(bytes(body)) if is_plain else "(compressed; never decompressed)"


@dataclass(slots=True)
class _Seen:
    """How far one post has come, kept outside the deadline that may cut it short."""

    placed_at: float = math.inf  # when its turn for this host came
    has_dialled: bool = False  # False after an exchange: it went by a kept connection
    status: int | None = None
    excerpt: str = ""
    retry_after: timedelta | None = None


_current: ContextVar[_Seen] = ContextVar("the post under way")


@lru_cache(maxsize=4096)
def _target(url: str, egress: Egress) -> URL:
    """Where to post, as registered, byte for byte. The rules are asked again: they may have been tightened since."""
    return URL(check_url(url, egress), encoded=True)


class _InParts(aiohttp.Payload):
    """A body that is written part by part, as it is: joining it would copy what many endpoints share for each."""

    _autoclose = True  # nothing to close
    _value: tuple[bytes, ...]

    def __init__(self, parts: tuple[bytes, ...]) -> None:
        super().__init__(parts)
        self._size = sum(map(len, parts))

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        return b"".join(self._value).decode(encoding, errors)

    async def write(self, writer: AbstractStreamWriter) -> None:
        for part in self._value:
            await writer.write(part)

    async def write_with_length(self, writer: AbstractStreamWriter, content_length: int | None) -> None:
        assert content_length in {None, self._size}, "nobody sets the length of a body but the body"
        await self.write(writer)


class _NoCookies(aiohttp.DummyCookieJar):
    """Not even parsed: the parser logs names that the receiver chose."""

    def update_cookies_from_headers(self, headers: Sequence[str], response_url: URL) -> None:
        pass


def _dialling(make: Callable[[AddrInfo], socket.socket]) -> Callable[[AddrInfo], socket.socket]:
    """Note on the post under way that it makes a connection; cheaper than aiohttp's traces of every step."""

    def dial(address_info: AddrInfo) -> socket.socket:
        _current.get().has_dialled = True
        return make(address_info)

    return dial


def _any_socket(address_info: AddrInfo) -> socket.socket:
    family, kind, protocol, _, _ = address_info
    return socket.socket(family, kind, protocol)


def failure_of(error: Exception) -> Failure:
    """The word for an exception. Nothing of its text is used: it may hold the receiver's bytes, or the URL."""
    for kinds, failure in _FAILURES:
        if isinstance(error, kinds):
            return failure
    if isinstance(error, aiohttp.ClientConnectorError):
        return _failure_of_connecting(error.os_error)
    if isinstance(error.__cause__, ssl.SSLError):  # a TLS 1.3 server refuses our certificate after the handshake
        return Failure.TLS
    if isinstance(error, OSError):
        return Failure.RESET
    if not isinstance(error, aiohttp.ClientError):
        log.warning("webhook.unexpected_error", kind=type(error).__name__)
    return Failure.PROTOCOL


def _failure_of_connecting(error: OSError) -> Failure:
    # The text: when several addresses failed, aiohttp makes one new exception of theirs.
    if isinstance(error, BlockedAddress) or BlockedAddress.TEXT in str(error):
        return Failure.BLOCKED_ADDRESS
    if isinstance(error, ssl.SSLError):
        return Failure.TLS
    if isinstance(error, ConnectionRefusedError):
        return Failure.CONNECT_REFUSED
    if isinstance(error, TimeoutError):
        return Failure.CONNECT_TIMEOUT
    return Failure.RESET if isinstance(error, ConnectionError) else Failure.NETWORK


# In order: the first that fits. Several of aiohttp's exceptions are also TimeoutError or OSError.
_FAILURES: tuple[tuple[type[Exception] | tuple[type[Exception], ...], Failure], ...] = (
    (EndpointUrlRefused, Failure.BLOCKED_URL),
    ((UnusableTls, aiohttp.ClientSSLError, aiohttp.ServerFingerprintMismatch), Failure.TLS),
    ((aiohttp.ClientProxyConnectionError, aiohttp.ClientHttpProxyError), Failure.PROXY),
    (aiohttp.ClientConnectorDNSError, Failure.DNS),
    (aiohttp.ConnectionTimeoutError, Failure.CONNECT_TIMEOUT),
    (TimeoutError, Failure.TOTAL_TIMEOUT),
    (aiohttp.ServerDisconnectedError, Failure.RESET),
)
