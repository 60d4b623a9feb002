"""The background loop and the posts that travel through it, seen from synchronous code."""

from __future__ import annotations

import asyncio
import os
import threading
import time
import warnings
from collections.abc import Iterator
from datetime import timedelta

import pytest
from django.db import connection, transaction

from signals.delivery.flights import Courier, Flights
from signals.delivery.loop import BackgroundLoop, InsideTransaction, is_inside_transaction
from signals.delivery.outcome import Failure, Outcome, Request
from signals.delivery.sender import Sender
from signals.delivery.urls import Egress
from tests.receivers import Receiver, accepts, hangs

OPEN = Egress.development(["127.0.0.0/8"])


@pytest.fixture
def loop() -> Iterator[BackgroundLoop]:
    made = BackgroundLoop(is_forbidden=lambda: False)
    yield made
    made.stop()


@pytest.fixture
def courier(loop: BackgroundLoop) -> Courier:
    return Courier(lambda: Sender(OPEN), loop=loop)


def a_request(url: str, *, seconds: float = 3.0) -> Request:
    return Request(url=url, body=b"{}", headers={}, timeout=timedelta(seconds=seconds))


async def whereabouts() -> tuple[int, str]:
    return os.getpid(), threading.current_thread().name


async def failing() -> None:
    raise LookupError("of the coroutine")


def test_coroutines_run_on_one_thread_and_give_back_what_they_return(loop: BackgroundLoop) -> None:
    assert loop.run(whereabouts(), timeout=5) == (os.getpid(), "delivery-loop")
    assert loop.run(asyncio.sleep(0, "value"), timeout=5) == "value"
    with pytest.raises(LookupError, match="of the coroutine"):
        loop.run(failing(), timeout=5)


def test_what_takes_too_long_is_cancelled(loop: BackgroundLoop) -> None:
    ended = threading.Event()

    async def endless() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    with pytest.raises(TimeoutError):
        loop.run(endless(), timeout=0.05)
    assert ended.wait(5)


def test_stopping_cancels_closes_and_allows_a_new_start(loop: BackgroundLoop) -> None:
    order: list[str] = []
    before = set(threading.enumerate())  # the process's own loop may be running since an earlier test

    async def endless() -> None:
        loop.before_stop(close)
        try:
            await asyncio.Event().wait()
        finally:
            order.append("cancelled")

    async def close() -> None:
        order.append("closed")

    future = loop.submit(endless())
    loop.run(asyncio.sleep(0), timeout=5)
    loop.stop()
    assert order == ["cancelled", "closed"]
    assert future.cancelled()
    assert not any(thread.name == "delivery-loop" for thread in set(threading.enumerate()) - before)
    loop.stop()
    assert loop.run(asyncio.sleep(0, 1), timeout=5) == 1


def test_many_threads_share_one_loop(loop: BackgroundLoop) -> None:
    seen: set[int] = set()

    async def which() -> int:
        return id(asyncio.get_running_loop())

    threads = [threading.Thread(target=lambda: seen.add(loop.run(which(), timeout=5))) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(seen) == 1


def in_a_child(said: int, loop: BackgroundLoop, courier: Courier, request: Request) -> None:
    """What a forked worker does; it must not return into pytest."""
    try:
        pid, thread = loop.run(whereabouts(), timeout=5)
        delivered = courier.post(request).delivered
        os.write(said, b"well" if (pid, thread, delivered) == (os.getpid(), "delivery-loop", True) else b"ill")
        loop.stop()
    except BaseException as error:  # noqa: BLE001  the parent reads it and fails
        os.write(said, repr(error).encode())
    finally:
        os._exit(0)


def test_a_forked_child_has_a_loop_and_connections_of_its_own(loop: BackgroundLoop, courier: Courier) -> None:
    with Receiver() as receiver:
        request = a_request(receiver.url)
        assert courier.post(request).delivered
        heard, said = os.pipe()
        with warnings.catch_warnings():
            warnings.simplefilter(
                "ignore", DeprecationWarning
            )  # newer Pythons warn of forking beside threads: the point here
            child = os.fork()
        if child == 0:
            in_a_child(said, loop, courier, request)
        os.close(said)
        with os.fdopen(heard, "rb") as pipe:
            assert pipe.read() == b"well"
        os.waitpid(child, 0)
        assert courier.post(request).delivered  # the parent's connection was left alone
        assert [received.connection for received in receiver.received] == [1, 2, 1]


@pytest.mark.django_db
def test_inside_a_transaction_nothing_is_sent_or_awaited() -> None:
    loop = BackgroundLoop()
    courier = Courier(lambda: Sender(OPEN), loop=loop)
    with Receiver(accepts(after=0.05)) as receiver, Flights[str](courier) as flights:
        assert connection.in_atomic_block  # the test case's own, which does not count
        assert not is_inside_transaction()
        flights.start("before", a_request(receiver.url))
        with transaction.atomic():
            assert is_inside_transaction()
            with pytest.raises(InsideTransaction):
                courier.post(a_request(receiver.url))
            with pytest.raises(InsideTransaction):
                flights.start("within", a_request(receiver.url))
            with pytest.raises(InsideTransaction):
                flights.landed(within=timedelta(seconds=1))
        assert [key for key, _ in flights.landed(within=timedelta(seconds=5))] == ["before"]
        assert receiver.count == 1
    loop.stop()


def test_the_first_to_land_is_settled_first_and_the_dead_hold_nobody(courier: Courier) -> None:
    """The loop a verb runs: claim what is due, start, settle whatever has landed, claim again."""
    settled: dict[str, Outcome] = {}
    with Receiver() as quick, Receiver(hangs()) as dead, Flights[str](courier) as flights:
        due = [(f"quick-{n}", quick.url) for n in range(30)]
        flights.start("dead", a_request(dead.url, seconds=0.6))
        began = time.monotonic()
        while due or len(flights) > 1:
            while due and len(flights) < 8:
                key, url = due.pop()
                flights.start(key, a_request(url))
            settled |= flights.landed(within=timedelta(seconds=5))
        assert time.monotonic() - began < 0.6
        assert len(settled) == 30
        assert all(outcome.delivered for outcome in settled.values())
        [(key, outcome)] = flights.landed(within=timedelta(seconds=5))
        assert (key, outcome.failure) == ("dead", Failure.TOTAL_TIMEOUT)
        assert flights.landed(within=timedelta(seconds=5)) == []


def test_waiting_has_an_end_and_leaving_cancels(courier: Courier) -> None:
    with Receiver(hangs()) as dead:
        with Flights[int](courier) as flights:
            flights.start(1, a_request(dead.url, seconds=30))
            began = time.monotonic()
            assert flights.landed(within=timedelta(seconds=0.05)) == []
            assert time.monotonic() - began < 1
            dead.wait_for(1)
        assert len(flights) == 0


def test_a_courier_opens_its_sender_once_and_again_after_a_stop(loop: BackgroundLoop) -> None:
    made: list[Sender] = []

    def make() -> Sender:
        made.append(Sender(OPEN))
        return made[-1]

    courier = Courier(make, loop=loop)
    with Receiver() as receiver:
        for _ in range(3):
            assert courier.post(a_request(receiver.url)).delivered
        assert (len(made), receiver.connections) == (1, 1)
        loop.stop()
        assert courier.post(a_request(receiver.url)).delivered
        assert (len(made), receiver.connections) == (2, 2)
