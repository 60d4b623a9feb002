"""What the sender makes of receivers, well-behaved and hostile."""

from __future__ import annotations

import asyncio
import logging
import socket
import time
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

import pytest
from aiohttp.abc import AbstractResolver, ResolveResult

from signals.delivery.outcome import Failure, Outcome, Request
from signals.delivery.sender import Sender
from signals.delivery.urls import Egress
from tests import receivers
from tests.delivery.hostile import NAMES, URLS
from tests.receivers import Behaviour, Receiver, accepts, answer, hangs, in_turn, refuses, says

OPEN = Egress.development(["127.0.0.0/8", "::1/128"])
BODY = b'{"type":"feed.batch"}'


def a_request(
    url: str, *, seconds: float = 2.0, body: bytes = BODY, headers: Mapping[str, str] | None = None
) -> Request:
    return Request(url=url, body=body, headers=headers or {}, timeout=timedelta(seconds=seconds))


def post(*requests: Request, egress: Egress = OPEN, **options: Any) -> list[Outcome]:
    """Post one after the other through one sender."""

    async def run() -> list[Outcome]:
        async with Sender(egress, **options) as sender:
            return [await sender.post(request) for request in requests]

    return asyncio.run(run())


def test_a_body_arrives_as_it_was_given_with_its_headers() -> None:
    body = b'{"\xc3\xa9": "\x00 any bytes \xff"}'
    with Receiver() as receiver:
        request = a_request(receiver.url + "/%2e%2E/x?y=%2F&z=a+b", body=body, headers={"webhook-id": "msg_1"})
        [outcome] = post(request)
        [received] = receiver.received
    assert outcome.delivered
    assert (outcome.status, outcome.failure, outcome.excerpt) == (200, None, "ok")
    assert received.path == "/hook/%2e%2E/x?y=%2F&z=a+b"
    assert received.body == body
    assert received.headers["webhook-id"] == "msg_1"
    assert received.headers["content-type"] == "application/json"
    assert received.headers["accept-encoding"] == "identity"
    assert received.headers["host"] == f"127.0.0.1:{receiver.port}"


@pytest.mark.parametrize("status", [200, 201, 202, 204, 206, 299])
def test_every_2xx_is_delivered(status: int) -> None:
    with Receiver(accepts(status)) as receiver:
        [outcome] = post(a_request(receiver.url))
    assert outcome.delivered
    assert outcome.status == status


STATUSES = [
    *[(status, Failure.REDIRECT) for status in (300, 301, 302, 303, 304, 307, 308)],
    *[(status, Failure.HTTP_STATUS) for status in (101, 400, 401, 404, 410, 413, 429, 500, 502, 503, 504, 599)],
]


@pytest.mark.parametrize(("status", "failure"), STATUSES)
def test_every_other_status_is_a_failure(status: int, failure: Failure) -> None:
    body = b"" if status in (101, 304) else b"because"
    with Receiver(refuses(status, body=body)) as receiver:
        [outcome] = post(a_request(receiver.url))
    assert not outcome.delivered
    assert (outcome.status, outcome.failure, outcome.excerpt) == (status, failure, body.decode())
    assert outcome.gone == (status == 410)


# What a receiver does instead of answering, and the word for it.
MISDEEDS: list[tuple[str, Behaviour, Failure]] = [
    ("hangs", hangs(), Failure.TOTAL_TIMEOUT),
    ("slow headers", receivers.slow_headers(), Failure.TOTAL_TIMEOUT),
    ("drips a status line", receivers.drips(b"HTTP/1.1 200 OK"), Failure.TOTAL_TIMEOUT),
    ("informs for ever", receivers.informs_for_ever(), Failure.TOTAL_TIMEOUT),
    ("hangs up", receivers.hangs_up(), Failure.RESET),
    ("resets", receivers.resets(), Failure.RESET),
    ("hangs up within the headers", says(b"HTTP/1.1 200 OK\r\nX: "), Failure.RESET),
    ("is no HTTP", says(b"220 smtp.example ESMTP\r\n"), Failure.PROTOCOL),
    ("is binary", says(bytes(range(256)) * 4), Failure.PROTOCOL),
    ("has no status", says(b"HTTP/1.1 two hundred\r\n\r\n"), Failure.PROTOCOL),
    ("has a status of six digits", says(b"HTTP/1.1 200200 OK\r\nContent-Length: 0\r\n\r\n"), Failure.PROTOCOL),
    ("has one long header", says(answer(200, {"X": "h" * 20_000})), Failure.PROTOCOL),
    ("has many headers", says(answer(200, {f"X-{n}": "h" for n in range(500)})), Failure.PROTOCOL),
    ("has a long reason", says(b"HTTP/1.1 200 " + b"r" * 20_000 + b"\r\n\r\n"), Failure.PROTOCOL),
    ("has two lengths", says(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx"), Failure.PROTOCOL),
    ("has a negative length", says(b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n"), Failure.PROTOCOL),
    ("has bad chunks", says(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"), Failure.PROTOCOL),
    ("hides NUL in a header", says(b"HTTP/1.1 200 OK\r\nX: a\x00b\r\nContent-Length: 0\r\n\r\n"), Failure.PROTOCOL),
]


@pytest.mark.parametrize(("behaviour", "failure"), [case[1:] for case in MISDEEDS], ids=[case[0] for case in MISDEEDS])
def test_no_misdeed_raises_or_outlasts_the_deadline(behaviour: Behaviour, failure: Failure) -> None:
    with Receiver(behaviour) as receiver:
        began = time.monotonic()
        [outcome] = post(a_request(receiver.url, seconds=0.3))
        took = time.monotonic() - began
    assert (outcome.failure, outcome.status, outcome.excerpt) == (failure, None, "")
    assert took < 1.5
    assert outcome.latency < timedelta(seconds=1)


# A status line, then trouble: the status has decided.
BODIES: list[tuple[str, Behaviour, int]] = [
    ("drips", receivers.drips_body(), 200),
    ("is truncated", receivers.truncates(), 200),
    ("is huge", receivers.sends_huge_body(), 200),
    ("is a bomb", receivers.sends_gzip_bomb(), 200),
    ("drips an error", receivers.drips_body(500), 500),
    ("is a huge error", receivers.sends_huge_body(503), 503),
    ("is a truncated error", receivers.truncates(400), 400),
]


@pytest.mark.parametrize(("behaviour", "status"), [case[1:] for case in BODIES], ids=[case[0] for case in BODIES])
def test_the_body_is_a_courtesy_within_bounds(behaviour: Behaviour, status: int) -> None:
    with Receiver(behaviour) as receiver:
        began = time.monotonic()
        [outcome] = post(a_request(receiver.url), body_deadline=timedelta(seconds=0.2))
        took = time.monotonic() - began
    assert outcome.status == status
    assert outcome.delivered == (status == 200)
    assert len(outcome.excerpt) <= 1024
    assert took < 1.5


def test_the_total_deadline_bounds_the_body_too() -> None:
    with Receiver(receivers.drips_body()) as receiver:
        [outcome] = post(a_request(receiver.url, seconds=0.2), body_deadline=timedelta(seconds=60))
    assert outcome.delivered
    assert outcome.latency < timedelta(seconds=1)


def test_a_compressed_answer_is_never_inflated() -> None:
    with Receiver(receivers.sends_gzip_bomb(500)) as receiver:
        [outcome] = post(a_request(receiver.url))
    assert outcome.excerpt == "(compressed; never decompressed)"


def test_only_sixteen_kibibytes_are_read() -> None:
    with Receiver(refuses(500, body=b"a" * 5000)) as small, Receiver(refuses(500, body=b"b" * 500_000)) as large:
        outcomes = post(*[a_request(each.url) for each in (small, small, large, large)])
    assert [len(outcome.excerpt) for outcome in outcomes] == [1024] * 4
    assert small.connections == 1  # read to its end and kept
    assert large.connections == 2  # given up


def test_an_excerpt_is_one_printable_line() -> None:
    text = "a\x1b[31mred\r\nInjected: log line\x00\u202eevil\ttab é".encode()
    with Receiver(refuses(500, body=text + b"\xff")) as receiver:
        [outcome] = post(a_request(receiver.url))
    assert outcome.excerpt == "a\ufffd[31mred  Injected: log line\ufffd\ufffdevil tab é\ufffd"
    assert outcome.excerpt.isprintable()
    assert "red" not in repr(outcome)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("7", 7),
        (" 7 ", 7),
        ("0", 0),
        ("86401", 86400),
        ("9" * 300, 86400),
        ("-7", None),
        ("7.5", None),
        ("soon", None),
        ("\u0667", None),
        ("", None),
        ("Wed, 21 Oct 2015 07:28:00 GMT", 0),
        ("Fri, 31 Dec 9999 23:59:59 GMT", 86400),
        ("Fri, 99 Dec 9999 23:59:59 GMT", None),
    ],
)
def test_retry_after_is_read_and_capped(value: str, seconds: int | None) -> None:
    raw = f"HTTP/1.1 503 Busy\r\nRetry-After: {value}\r\nContent-Length: 0\r\n\r\n".encode()
    with Receiver(says(raw)) as receiver:
        [outcome] = post(a_request(receiver.url))
    assert outcome.status == 503
    assert outcome.retry_after == (None if seconds is None else timedelta(seconds=seconds))


def test_a_success_asks_for_no_wait() -> None:
    with Receiver(refuses(200, {"Retry-After": "60"})) as receiver:
        [outcome] = post(a_request(receiver.url))
    assert outcome.delivered
    assert outcome.retry_after is None


def test_redirects_are_never_followed() -> None:
    with Receiver() as target:
        for location in (
            target.url,
            "http://169.254.169.254/latest/",
            "//10.0.0.1/",
            "/elsewhere",
            "file:///etc/passwd",
        ):
            with Receiver(receivers.redirects(location, 307)) as receiver:
                [outcome] = post(a_request(receiver.url))
                assert outcome.failure is Failure.REDIRECT
                assert receiver.count == 1
        assert target.connections == 0


def test_nobody_listening_is_refused_and_nobody_answering_is_a_timeout() -> None:
    with socket.socket() as full:  # a queue of one, filled: further handshakes are never answered
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        port = full.getsockname()[1]
        fillers = [socket.socket() for _ in range(3)]
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex(("127.0.0.1", port))
        try:
            refused, silent, bounded = post(
                a_request(f"http://127.0.0.1:{receivers.unused_port()}/"),
                a_request(f"http://127.0.0.1:{port}/"),
                a_request(f"http://127.0.0.1:{port}/", seconds=0.1),
                connect_deadline=timedelta(seconds=0.2),
            )
        finally:
            for filler in fillers:
                filler.close()
    assert refused.failure is Failure.CONNECT_REFUSED
    assert silent.failure is Failure.CONNECT_TIMEOUT
    assert bounded.failure is Failure.TOTAL_TIMEOUT


class Answers(AbstractResolver):
    """A name server in the attacker's hand: each look-up of a name takes its next answer."""

    def __init__(self, answers: dict[str, Sequence[Sequence[str]]], *, delay: float = 0) -> None:
        self._answers = {name: list(turns) for name, turns in answers.items()}
        self._delay = delay
        self.asked: list[str] = []

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        self.asked.append(host)
        await asyncio.sleep(self._delay)
        turns = self._answers.get(host)
        if not turns:
            raise OSError(None, "no such name")
        addresses = turns.pop(0) if len(turns) > 1 else turns[0]
        return [
            ResolveResult(
                hostname=host,
                host=address,
                port=port,
                family=socket.AF_INET6 if ":" in address else socket.AF_INET,
                proto=0,
                flags=socket.AI_NUMERICHOST,
            )
            for address in addresses
        ]

    async def close(self) -> None:
        pass


@pytest.mark.parametrize("url", [*URLS, *(f"https://{name}/hook" for name in NAMES)])
def test_no_hostile_url_gets_a_connection(url: str) -> None:
    """Also when it reached the database under other rules: both are asked again at every attempt."""
    resolver = Answers({name: [addresses] for name, addresses in NAMES.items()})
    [outcome] = post(a_request(url), egress=Egress.production(), resolver=resolver)
    expected = Failure.BLOCKED_ADDRESS if url.split("/")[2:3] and url.split("/")[2] in NAMES else Failure.BLOCKED_URL
    assert (outcome.failure, outcome.status) == (expected, None)


def test_names_that_lead_inward_reach_nobody() -> None:
    strict = Egress.development()
    with Receiver() as receiver:
        for name, addresses in NAMES.items():
            resolver = Answers({name: [addresses]})
            [outcome] = post(a_request(f"http://{name}:{receiver.port}/"), egress=strict, resolver=resolver)
            assert resolver.asked == [name]
            assert outcome.failure is Failure.BLOCKED_ADDRESS
        assert receiver.connections == 0


def test_a_name_that_changes_its_mind_is_judged_at_every_connection() -> None:
    """Rebinding: the first answer is fine, the second leads inward. Only what the socket sees counts."""
    with Receiver(says(answer(200))) as receiver:  # closes each time, so that each post needs a connection
        resolver = Answers({"rebind.attacker.example": [["127.0.0.1"], ["169.254.169.254"], ["::ffff:10.0.0.1"]]})
        url = f"http://rebind.attacker.example:{receiver.port}/"

        async def run() -> list[Outcome]:
            outcomes = []
            async with Sender(OPEN, resolver=resolver) as sender:
                for _ in range(3):
                    outcomes.append(await sender.post(a_request(url)))
                    assert sender._session is not None
                    sender._session.connector.clear_dns_cache()  # type: ignore[union-attr]  # a TCPConnector, typed as its base
            return outcomes

        outcomes = asyncio.run(run())
        assert [outcome.failure for outcome in outcomes] == [None, Failure.BLOCKED_ADDRESS, Failure.BLOCKED_ADDRESS]
        assert receiver.connections == 1


def test_of_several_addresses_only_the_permitted_are_called() -> None:
    with Receiver() as receiver:
        resolver = Answers({"mixed.example": [["10.0.0.1", "127.0.0.1", "169.254.169.254"]]})
        [outcome] = post(a_request(f"http://mixed.example:{receiver.port}/"), resolver=resolver)
    assert outcome.delivered


def test_a_name_without_an_answer_is_a_dns_failure_and_a_slow_one_a_timeout() -> None:
    [unknown] = post(a_request("http://unknown.example/"), resolver=Answers({}))
    assert unknown.failure is Failure.DNS
    slow = Answers({"slow.example": [["127.0.0.1"]]}, delay=30)
    [late] = post(a_request("http://slow.example/"), resolver=slow, connect_deadline=timedelta(seconds=0.1))
    assert late.failure is Failure.CONNECT_TIMEOUT


def test_connections_are_kept_and_a_stale_one_is_no_failure() -> None:
    with Receiver() as receiver:
        outcomes = post(*[a_request(receiver.url)] * 5)
        assert receiver.connections == 1
        assert [outcome.status for outcome in outcomes] == [200] * 5
    with Receiver(in_turn(accepts(), receivers.hangs_up(), accepts())) as receiver:
        outcomes = post(*[a_request(receiver.url)] * 2)
        assert [outcome.status for outcome in outcomes] == [200, 200]
        assert [received.connection for received in receiver.received] == [1, 1, 2]


def test_a_receiver_that_always_hangs_up_is_asked_once_per_attempt() -> None:
    with Receiver(receivers.hangs_up()) as receiver:
        outcomes = post(*[a_request(receiver.url)] * 3)
        assert [outcome.failure for outcome in outcomes] == [Failure.RESET] * 3
        assert receiver.count == 3


def test_cookies_are_neither_kept_nor_parsed() -> None:
    with Receiver(refuses(200, {"Set-Cookie": "a=b; Path=/"})) as receiver:
        post(*[a_request(receiver.url.replace("127.0.0.1", "localhost"))] * 2)
        assert all("cookie" not in received.headers for received in receiver.received)
        assert receiver.count == 2


def test_the_environment_names_no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    with Receiver() as proxy, Receiver() as receiver:
        for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy.url)
        [outcome] = post(a_request(receiver.url))
        assert outcome.delivered
        assert (proxy.connections, receiver.count) == (0, 1)


def test_a_configured_proxy_carries_everything() -> None:
    with Receiver() as proxy:
        [outcome] = post(a_request("http://hooks.acme.example/x"), proxy=f"http://u:p@127.0.0.1:{proxy.port}")
        assert outcome.delivered
        assert proxy.received[0].path == "http://hooks.acme.example/x"
        assert proxy.received[0].headers["proxy-authorization"] == "Basic dTpw"
    with Receiver(refuses(403)) as proxy:
        [outcome] = post(a_request("https://hooks.acme.example/x"), proxy=f"http://127.0.0.1:{proxy.port}")
        assert (outcome.failure, outcome.status) == (Failure.PROXY, None)
        assert proxy.received[0].method == "CONNECT"
    [outcome] = post(a_request("http://hooks.acme.example/"), proxy=f"http://127.0.0.1:{receivers.unused_port()}")
    assert outcome.failure is Failure.PROXY


def test_one_host_gets_only_so_many_connections_and_waiting_is_not_its_fault() -> None:
    async def run(url: str) -> list[Outcome]:
        async with Sender(OPEN, connections_per_host=2) as sender:
            patience = [1.0, 1.0, 0.3, 0.3, 0.3]
            return await asyncio.gather(*[sender.post(a_request(url, seconds=seconds)) for seconds in patience])

    with Receiver(hangs()) as receiver:
        outcomes = asyncio.run(run(receiver.url))
        assert receiver.connections == 2
    assert [outcome.failure for outcome in outcomes] == [Failure.TOTAL_TIMEOUT] * 2 + [Failure.HOST_BUSY] * 3


def test_who_waited_for_a_place_most_of_its_time_does_not_blame_the_host() -> None:
    async def run(url: str) -> list[Outcome]:
        async with Sender(OPEN, connections_per_host=1) as sender:
            return await asyncio.gather(*[sender.post(a_request(url, seconds=seconds)) for seconds in (0.3, 0.4)])

    with Receiver(hangs()) as receiver:
        outcomes = asyncio.run(run(receiver.url))
    assert [outcome.failure for outcome in outcomes] == [Failure.TOTAL_TIMEOUT, Failure.HOST_BUSY]


def test_dead_receivers_do_not_slow_the_others() -> None:
    async def run(dead: str, alive: list[str]) -> tuple[list[Outcome], float]:
        async with Sender(OPEN, connections_per_host=1000) as sender:
            hanging = [asyncio.ensure_future(sender.post(a_request(dead, seconds=30))) for _ in range(100)]
            await asyncio.sleep(0.1)
            began = time.monotonic()
            outcomes = await asyncio.gather(*[sender.post(a_request(url)) for url in alive])
            took = time.monotonic() - began
            for task in hanging:
                task.cancel()
            ends = await asyncio.gather(*hanging, return_exceptions=True)
            assert all(isinstance(end, asyncio.CancelledError) for end in ends)
            return outcomes, took

    with Receiver(hangs()) as dead, Receiver() as alive:
        outcomes, took = asyncio.run(run(dead.url, [alive.url] * 50))
    assert all(outcome.delivered for outcome in outcomes)
    assert took < 2


def test_cancelling_a_post_passes_through() -> None:
    async def run(url: str) -> None:
        async with Sender(OPEN) as sender:
            task = asyncio.ensure_future(sender.post(a_request(url)))
            await asyncio.sleep(0.1)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

    with Receiver(hangs()) as receiver:
        asyncio.run(run(receiver.url))


def test_an_answer_before_the_body_was_read_counts() -> None:
    with Receiver(says(answer(413, body=b"too much"), keeps=False), reads_body=False) as receiver:
        [outcome] = post(a_request(receiver.url, body=bytes(200_000)))
    assert outcome.status in (413, None)  # None: its reset overtook its answer
    assert outcome.failure in (Failure.HTTP_STATUS, Failure.RESET)


def test_headers_of_the_transport_are_not_the_callers_to_set() -> None:
    for name in ("Host", "content-length", "Transfer-Encoding", "Connection"):
        with pytest.raises(ValueError, match=name.lower()):
            Request(url="http://127.0.0.1/", body=b"", headers={name: "x"}, timeout=timedelta(seconds=1))


def test_a_request_shows_neither_body_nor_headers_nor_url() -> None:
    shown = repr(a_request("https://a.example/secret-path", body=b"somebody", headers={"webhook-signature": "v1,sig"}))
    assert not any(word in shown for word in ("secret-path", "somebody", "v1,sig"))


def test_a_closed_sender_says_so() -> None:
    with pytest.raises(RuntimeError, match="not open"):
        asyncio.run(Sender(OPEN).post(a_request("http://127.0.0.1/")))


HOSTILE_LINES = (
    b"HTTP/1.1 500 \x1b[2Jreason\r\nSet-Cookie: ev\x1bil\x07=1; a=b\r\n"
    b"X-\x1b: \x1b[31m\r\nContent-Length: 5\r\n\r\n\x1b[31m"
)


@pytest.mark.parametrize(
    "raw",
    [
        HOSTILE_LINES,
        b"HTTP/1.1 200 OK\r\nSet-Cookie: e@v il=canary-77; x\r\nContent-Length: 0\r\n\r\n",
        b"canary-77\x1b[31m not http\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncanary-77\x1b[31m\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\ncanary-77\x1b\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\nHTTP/1.1 200 canary-77\x1b[31m\r\n\r\n",
    ],
)
def test_nothing_a_receiver_says_reaches_the_logs(
    raw: bytes, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    with Receiver(says(raw)) as receiver:
        post(a_request(receiver.url), a_request(receiver.url))
    written = caplog.text + "".join(capfd.readouterr())
    assert "canary-77" not in written
    assert "\x1b[2J" not in written
    assert "[31m" not in caplog.text
