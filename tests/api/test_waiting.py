"""Requests that wait for news, on a live hub: woken at once, by nothing they may not see, holding nothing meanwhile."""

from __future__ import annotations

import asyncio
import json
import os
import statistics
import threading
import time
from collections.abc import Callable, Iterator
from http.client import HTTPConnection
from typing import Any

import aiohttp
import pytest

from hub.waiting import Message, Receive, Scope, Send, Waiting
from partners.models import Partner, Programme
from tests.builders import a_programme
from tests.cluster import postgres, valkey
from tests.companies import Company, a_company, settle
from tests.live import LiveHub, live_hub

WAITERS = int(os.environ.get("HELIOGRAPH_TEST_WAITERS", "200"))  # 1000 to measure
FEED = "/api/v1/programmes/csea/feed"


class Cast:
    """A live hub and its companies; the database stays for the whole module, as the hub does."""

    def __init__(self, hub: LiveHub) -> None:
        self.hub = hub
        programme = Programme.objects.filter(slug="csea").first() or a_programme("csea")
        mark = f"{time.monotonic_ns():x}"
        self.acme, self.birch = a_company(f"acme-{mark}", programme), a_company(f"birch-{mark}", programme)

    def read(self, company: Company, query: str = "") -> tuple[dict[str, Any], float]:
        """One page, and how many seconds it took."""
        status, document, _, seconds = self.ask(company, "GET", f"{FEED}?{query}")
        assert status == 200, document
        return document, seconds

    def ask(
        self, company: Company, method: str, path: str, body: bytes = b"", **headers: str
    ) -> tuple[int, Any, dict[str, str], float]:
        connection = HTTPConnection("127.0.0.1", self.hub.port, timeout=90)
        began = time.perf_counter()
        try:
            sent = {"Authorization": f"Bearer {company.token}", **{k.replace("_", "-"): v for k, v in headers.items()}}
            connection.request(method, path, body, sent)
            response = connection.getresponse()
            document = json.loads(response.read())
            told = {name.lower(): value for name, value in response.getheaders()}
            return response.status, document, told, time.perf_counter() - began
        finally:
            connection.close()


@pytest.fixture(scope="module")
def hub(_committed_module: None) -> Iterator[LiveHub]:
    with live_hub() as hub:
        yield hub


@pytest.fixture
def cast(hub: LiveHub, committed_db: None) -> Cast:
    return Cast(hub)


def meanwhile(question: Callable[[], Any]) -> Callable[[], Any]:
    """Ask in a thread; the answer is had by calling what is returned."""
    answers: list[Any] = []
    thread = threading.Thread(target=lambda: answers.append(question()))
    thread.start()

    def answer() -> Any:
        thread.join(300)
        return answers[0]

    return answer


def test_a_reader_that_waits_hears_of_a_signal_at_once(cast: Cast) -> None:
    after = cast.read(cast.birch)[0]["next"]
    lags = []
    for _ in range(5):
        heard: list[float] = []

        def wait(cursor: str = after, heard: list[float] = heard) -> dict[str, Any]:
            page = cast.read(cast.birch, f"after={cursor}&wait=30")[0]
            heard.append(time.perf_counter())
            return page

        answer = meanwhile(wait)
        time.sleep(0.3)
        [verdict] = cast.acme.say(cast.acme.sign(cast.acme.signal()))
        published = time.perf_counter()
        page = answer()
        assert [item["id"] for item in page["items"]] == [verdict["signal"]]
        after = page["next"]
        lags.append(heard[0] - published)
    print(f"heard after {', '.join(f'{lag * 1000:.0f}' for lag in lags)} ms")
    assert min(lags) < 0.2
    assert statistics.median(lags) < 1.0  # below the two seconds of the look-up that makes up for lost messages


def test_without_news_a_reader_gets_an_empty_page_when_its_time_is_up(cast: Cast) -> None:
    after = cast.read(cast.birch)[0]["next"]
    page, seconds = cast.read(cast.birch, f"after={after}&wait=1")
    assert page["items"] == []
    assert 0.95 < seconds < 2.5
    assert cast.read(cast.birch, f"after={page['next']}")[0]["items"] == []


def test_what_one_may_not_see_wakes_nobody(cast: Cast) -> None:
    after = cast.read(cast.birch)[0]["next"]
    answer = meanwhile(lambda: cast.read(cast.birch, f"after={after}&wait=3"))
    time.sleep(0.3)
    routed = cast.acme.sign(cast.acme.signal(tlp="red", audience="routed"))
    [_, routing] = cast.acme.say(routed, cast.acme.routing(routed, only=[cast.acme.slug]))
    assert routing["verdict"] == "accepted", routing
    cast.birch.say(cast.birch.sign(cast.birch.signal()))  # its own, which it has not asked for
    page, seconds = answer()
    assert page["items"] == []
    assert seconds > 2.9


def test_a_lost_message_costs_two_seconds_and_no_more(cast: Cast) -> None:
    import redis

    after = cast.read(cast.birch)[0]["next"]
    answer = meanwhile(lambda: cast.read(cast.birch, f"after={after}&wait=30"))
    time.sleep(0.3)
    with redis.Redis(unix_socket_path=str(valkey.socket)) as client:
        client.execute_command("CLIENT", "KILL", "TYPE", "pubsub")
    cast.acme.say(cast.acme.sign(cast.acme.signal()))
    page, seconds = answer()
    assert len(page["items"]) == 1
    assert seconds < 6


@pytest.mark.usefixtures("full_buckets")
def test_two_hundred_requests_at_once_get_what_is_in_the_bucket_and_right_fields(cast: Cast) -> None:
    Partner.objects.filter(pk=cast.acme.partner.pk).update(requests_per_second=1)  # and so fifty at once

    async def crowd() -> list[tuple[int, Any]]:
        async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {cast.acme.token}"}) as session:

            async def ask() -> tuple[int, Any]:
                async with session.get(f"{cast.hub.url}/api/v1/programmes") as answer:
                    return answer.status, answer.headers

            return await asyncio.gather(*(ask() for _ in range(200)))

    began = time.monotonic()
    answers = asyncio.run(crowd())
    flowed_in = int(time.monotonic() - began) + 1
    admitted = [headers for status, headers in answers if status == 200]
    refused = [headers for status, headers in answers if status == 429]
    assert len(admitted) + len(refused) == 200
    assert 50 <= len(admitted) <= 50 + flowed_in
    assert {headers["RateLimit-Policy"] for _, headers in answers} == {'"read";q=50;w=50'}
    left = [int(headers["RateLimit"].split("r=")[1].split(";")[0]) for headers in admitted]
    assert set(left) >= set(range(49)), "each was told what was left after it"
    assert {(headers["RateLimit"].split(";")[1], headers["Retry-After"]) for headers in refused} == {("r=0", "1")}


@pytest.mark.usefixtures("full_buckets")
def test_a_long_poll_counts_once_however_often_it_looks(cast: Cast) -> None:
    after = cast.read(cast.birch)[0]["next"]
    Partner.objects.filter(pk=cast.birch.partner.pk).update(requests_per_second=1)

    def left_after(wait: int) -> int:
        status, _, headers, _ = cast.ask(cast.birch, "GET", f"{FEED}?after={after}&wait={wait}")
        assert status == 200
        return int(headers["ratelimit"].split("r=")[1].split(";")[0])

    answer = meanwhile(lambda: left_after(20))
    time.sleep(0.3)
    for _ in range(5):  # each is a reason to look, and birch sees only the last
        hidden = cast.acme.sign(cast.acme.signal(tlp="red", audience="routed"))
        cast.acme.say(hidden, cast.acme.routing(hidden, only=[cast.acme.slug]))
    cast.acme.say(cast.acme.sign(cast.acme.signal()))
    assert answer() == 49
    assert left_after(0) >= 48


def test_whoever_prefers_to_wait_gets_the_verdicts_in_the_answer(cast: Cast) -> None:
    body = cast.acme.sign(cast.acme.signal())
    answer = meanwhile(
        lambda: cast.ask(
            cast.acme, "POST", "/api/v1/statements", body, Content_Type="application/jose", Prefer="wait=30"
        )
    )
    time.sleep(0.5)
    settle()
    status, document, headers, seconds = answer()
    assert (status, document["status"], document["counts"]["accepted"]) == (200, "done", 1)
    assert headers["preference-applied"] == "wait"
    assert headers["location"] == f"/api/v1/submissions/{document['id']}"
    assert seconds < 10
    assert not any(name.startswith("heliograph-internal") for name in headers)


def test_verdicts_that_do_not_come_in_time_are_left_to_their_address(cast: Cast) -> None:
    body = cast.acme.sign(cast.acme.signal())
    status, document, headers, seconds = cast.ask(
        cast.acme, "POST", "/api/v1/statements", body, Content_Type="application/jose", Prefer="respond-async, wait=1"
    )
    assert (status, document["status"]) == (202, "pending")
    assert "preference-applied" not in headers
    assert 0.95 < seconds < 3
    settle()


@pytest.mark.races
def test_who_waits_holds_no_database_connection(committed_db: None) -> None:
    """With two connections in all, twenty wait and others are answered."""
    with live_hub(HELIOGRAPH_DATABASE_POOL_SIZE="2") as hub:
        cast = Cast(hub)
        after = cast.read(cast.birch)[0]["next"]
        answers = [meanwhile(lambda: cast.read(cast.birch, f"after={after}&wait=6")) for _ in range(20)]
        time.sleep(3)
        others = [cast.read(cast.acme)[1] for _ in range(10)]
        with postgres.bootstrap_connection() as connection:
            busy = connection.execute(
                "SELECT count(*) FROM pg_stat_activity WHERE usename = 'heliograph_app' AND state <> 'idle'"
            ).fetchone()
        assert busy == (0,)
        assert max(others) < 1.5
        assert {len(answer()[0]["items"]) for answer in answers} == {0}


def test_a_client_that_goes_away_is_forgotten() -> None:
    """In-process: the layer with an application that always wishes to wait, and a client that leaves."""

    async def wishing(scope: Scope, receive: Receive, send: Send) -> None:
        headers = [
            (b"heliograph-internal-wait", b"submission 0198c5c2-7f00-7a3b-8000-3c5d6e7f8091 30"),
            (b"location", b"/x"),
        ]
        await send({"type": "http.response.start", "status": 202, "headers": headers})
        await send({"type": "http.response.body", "body": b"{}"})

    async def leave() -> tuple[list[Message], bool, float]:
        layer, left, sent = Waiting(wishing), asyncio.Event(), list[Message]()

        async def receive() -> Message:
            await left.wait()
            return {"type": "http.disconnect"}

        async def send(message: Message) -> None:
            sent.append(message)

        scope = {"type": "http", "method": "POST", "path": "/x", "query_string": b"", "headers": []}
        began = time.perf_counter()
        asking = asyncio.create_task(layer(scope, receive, send))
        await asyncio.sleep(0.2)
        was_waiting = bool(layer.waiters._waiting)
        left.set()
        await asyncio.wait_for(asking, 5)
        for task in layer.waiters._tasks:
            task.cancel()
        await asyncio.gather(*layer.waiters._tasks, return_exceptions=True)
        assert not layer.waiters._waiting
        return sent, was_waiting, time.perf_counter() - began

    sent, was_waiting, seconds = asyncio.run(leave())
    assert was_waiting
    assert sent == []
    assert seconds < 5


@pytest.mark.races
def test_a_crowd_that_waits_slows_nobody_and_is_told_to_the_last(cast: Cast) -> None:
    after = cast.read(cast.birch)[0]["next"]
    alone = _others(cast)
    crowd = Crowd(cast, f"{FEED}?after={after}&wait=60")
    answer = meanwhile(crowd.wait)
    assert crowd.is_waiting.wait(120)
    time.sleep(3)
    beside = _others(cast)
    cast.acme.say(cast.acme.sign(cast.acme.signal()))
    published = time.perf_counter()
    during = _others(cast, 20)
    pages = answer()
    last = max(at for _, at in pages) - published
    print(
        f"p50/p99 of other requests: alone {_figures(alone)}, beside {WAITERS} waiters {_figures(beside)}, "
        f"while they are told {_figures(during)}; the last was told after {last:.2f} s"
    )
    assert len(pages) == WAITERS
    assert {count for count, _ in pages} == {1}
    assert statistics.median(beside) < statistics.median(alone) * 2 + 0.02  # on a busy machine; alone they are equal


def _others(cast: Cast, count: int = 200) -> list[float]:
    return sorted(cast.ask(cast.acme, "GET", "/api/v1/programmes")[3] for _ in range(count))


def _figures(seconds: list[float]) -> str:
    return f"{statistics.median(seconds) * 1000:.1f}/{seconds[int(len(seconds) * 0.99) - 1] * 1000:.1f} ms"


class Crowd:
    """Readers on one event loop of their own."""

    def __init__(self, cast: Cast, path: str) -> None:
        self.url = f"{cast.hub.url}{path}"
        self.headers = {"Authorization": f"Bearer {cast.birch.token}"}
        self.is_waiting = threading.Event()

    def wait(self) -> list[tuple[int, float]]:
        """How many items each got, and when."""
        return asyncio.run(self._wait())

    async def _wait(self) -> list[tuple[int, float]]:
        connector = aiohttp.TCPConnector(limit=0)
        timeout = aiohttp.ClientTimeout(total=240)
        async with aiohttp.ClientSession(connector=connector, timeout=timeout, headers=self.headers) as session:
            tasks = []
            for number in range(WAITERS):
                tasks.append(asyncio.create_task(self._read(session)))
                if number % 10 == 0:
                    await asyncio.sleep(0.1)  # arriving at some 100 a second
            self.is_waiting.set()
            return await asyncio.gather(*tasks)

    async def _read(self, session: aiohttp.ClientSession) -> tuple[int, float]:
        async with session.get(self.url) as response:
            document = await response.json()
            assert response.status == 200, document
            return len(document["items"]), time.perf_counter()
