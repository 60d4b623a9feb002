"""What is posted, and the closed list of what can become of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from enum import StrEnum

from signals.delivery.tls import Tls

EXCERPT_BYTES = 1024
RETRY_AFTER_CAP = timedelta(
    days=1
)  # keeps nonsense out of arithmetic; how much is honoured is signals.core.backoff's to say
_GONE = 410
_NOT_OURS_TO_SET = frozenset({"host", "content-length", "transfer-encoding", "connection", "upgrade", "expect"})


class Failure(StrEnum):
    """Why a post was not delivered. Stored and counted by these words, so they never change their meaning."""

    BLOCKED_URL = "blocked-url"  # the rules for endpoints do not allow this URL (any more)
    BLOCKED_ADDRESS = "blocked-address"  # the name led to an address that webhooks never reach
    DNS = "dns"
    CONNECT_REFUSED = "connect-refused"
    CONNECT_TIMEOUT = "connect-timeout"  # name, connection and TLS handshake together took too long
    TOTAL_TIMEOUT = "total-timeout"
    HOST_BUSY = "host-busy"  # our own cap on connections to one host; the receiver was never asked
    TLS = "tls"
    RESET = "reset"  # the connection ended before there was an answer
    NETWORK = "network"  # no route, and whatever else the operating system may say
    PROXY = "proxy"  # our own egress proxy failed; the receiver was never asked
    PROTOCOL = "protocol"  # the answer was not HTTP, or had oversized headers
    REDIRECT = "redirect"  # 3xx: never followed
    HTTP_STATUS = "http-status"  # any other status but 2xx
    NO_ECHO = "no-echo"  # a challenge was answered with 2xx, and not repeated


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One POST. `timeout` bounds all of it: queue, name, connection, handshake, sending, answer and body.

    `sign` makes more headers when the request goes out, on the sender's thread: hashing a large body takes as long as
    preparing the next, and so it is done beside that. ValueError for a header that is the transport's to set.
    """

    url: str = field(repr=False)  # its path may hold a receiver's secret
    body: bytes | tuple[bytes, ...] = field(repr=False)  # in parts: one that many share is not copied for each
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    sign: Callable[[], Mapping[str, str]] | None = field(default=None, repr=False)
    timeout: timedelta
    tls: Tls = field(default=Tls(), repr=False)

    def __post_init__(self) -> None:
        _check_names(self.headers)

    def all_headers(self) -> Mapping[str, str]:
        """Those that were given, and those that `sign` makes now."""
        if self.sign is None:
            return self.headers
        made = self.sign()
        _check_names(made)
        return {**self.headers, **made}


def _check_names(headers: Mapping[str, str]) -> None:
    forbidden = _NOT_OURS_TO_SET.intersection(name.lower() for name in headers)
    if forbidden:
        raise ValueError(f"These headers are set by the transport: {', '.join(sorted(forbidden))}.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of one POST. Delivered means a 2xx status line: what follows it is a courtesy, and never undoes it.

    `excerpt` is the receiver's text, printable, at most EXCERPT_BYTES characters. A receiver may repeat in it what
    we sent, so it is sealed like what we sent, and never logged.
    """

    failure: Failure | None
    latency: timedelta
    status: int | None = None
    excerpt: str = field(default="", repr=False)
    retry_after: timedelta | None = None

    @property
    def delivered(self) -> bool:
        """Whether the receiver has it."""
        return self.failure is None

    @property
    def gone(self) -> bool:
        """Whether the receiver asks never to be called again (410)."""
        return self.status == _GONE


def failure_of_status(status: int) -> Failure | None:
    """The failure that a final status means; None for 2xx."""
    if 200 <= status < 300:
        return None
    return Failure.REDIRECT if 300 <= status < 400 else Failure.HTTP_STATUS


def excerpt_of(body: bytes) -> str:
    """The beginning of a receiver's answer as one printable line: no control character, no direction mark, no NUL."""
    text = body[:EXCERPT_BYTES].decode("utf-8", "replace")
    return "".join(c if c.isprintable() else " " if c.isspace() else "\ufffd" for c in text).strip()


def retry_after_of(value: str | None, *, at: datetime) -> timedelta | None:
    """How long a `Retry-After` asks us to wait (RFC 9110 §10.2.3), at most RETRY_AFTER_CAP; None if nonsense."""
    if value is None:
        return None
    value = value.strip()
    if value.isascii() and value.isdigit():
        return RETRY_AFTER_CAP if len(value) > 9 else min(timedelta(seconds=int(value)), RETRY_AFTER_CAP)
    try:
        moment = parsedate_to_datetime(value[:64])
    except (ValueError, OverflowError):
        return None
    wait = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)) - at
    return min(max(wait, timedelta()), RETRY_AFTER_CAP)
