"""Buckets: atomic in Valkey, as atomic and coarser in PostgreSQL while Valkey is away, and told in header fields."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
import redis
from django.db import close_old_connections
from pytest_django import Settings

from partners.core.limits import Charge, Kind, Level, Rate, header_fields, seconds_to_wait
from partners.limits import buckets, counting, windows
from tests.cluster import valkey

SLOW = Rate(1, 50)  # nothing to speak of flows in while a test runs


@pytest.fixture
def owner() -> str:
    return f"partner {uuid.uuid4()}"


@pytest.fixture(autouse=True)
def _fresh_way() -> Iterator[None]:
    counting.way.forget()
    yield
    counting.way.forget()


def one(kind: Kind = Kind.READ, rate: Rate = SLOW, cost: int = 1) -> list[Charge]:
    return [Charge(kind, rate, cost)]


# ---------------------------------------------------------------- in Valkey
def test_two_hundred_at_once_take_exactly_what_is_in_the_bucket(owner: str) -> None:
    began = time.monotonic()
    with ThreadPoolExecutor(20) as crowd:
        answers = [level for [level] in crowd.map(lambda _: buckets.take(owner, one()), range(200))]
    flowed_in = int(time.monotonic() - began) + 1
    admitted = [level for level in answers if level.retry_after == 0]
    assert 50 <= len(admitted) <= 50 + flowed_in
    assert len({level.left for level in admitted}) >= 50, "each of the fifty was told another number"
    assert all(0 < level.retry_after <= 1.001 and level.left == 0 for level in answers if level.retry_after)


def test_what_flows_in_is_admitted_again_after_the_time_that_was_told(owner: str) -> None:
    rate = Rate(20, 20)
    [level] = buckets.take(owner, one(rate=rate, cost=20))
    assert (level.left, level.retry_after) == (0, 0)
    [level] = buckets.take(owner, one(rate=rate, cost=5))
    assert 0 < level.retry_after <= 0.25
    time.sleep(level.retry_after + 0.01)
    assert buckets.take(owner, one(rate=rate, cost=5))[0].retry_after == 0


def test_several_buckets_are_taken_from_together_or_not_at_all(owner: str) -> None:
    both = [Charge(Kind.STATEMENTS, SLOW, 30), Charge(Kind.BYTES, Rate(1, 1000), 30)]
    assert seconds_to_wait(buckets.take(owner, both)) == 0
    refused = buckets.take(owner, both)
    assert [level.retry_after > 0 for level in refused] == [True, False]
    assert [level.left for level in refused] == [20, 970]
    assert buckets.take(owner, one(Kind.BYTES, Rate(1, 1000), 0))[0].left == 970, "nothing was taken"


def test_more_than_a_bucket_holds_waits_for_a_full_one_and_empties_it(owner: str) -> None:
    [level] = buckets.take(owner, one(cost=1000))
    assert (level.left, level.retry_after) == (0, 0)
    [level] = buckets.take(owner, one(cost=1000))
    assert 49 < level.retry_after <= 50


def test_a_bucket_that_is_full_again_is_no_key_any_more(owner: str) -> None:
    buckets.take(owner, one(rate=Rate(1000, 1000), cost=10))
    time.sleep(0.05)
    with redis.Redis(unix_socket_path=str(valkey.socket)) as client:
        assert not [key for key in client.scan_iter() if owner.encode() in key]


def test_a_rate_that_does_not_divide_a_second_loses_nothing_by_rounding(owner: str) -> None:
    rate = Rate(3, 30)
    assert [buckets.take(owner, one(rate=rate))[0].left for _ in range(5)] == [29, 28, 27, 26, 25]


def test_a_lowered_rate_locks_nobody_out_for_longer_than_its_window(owner: str) -> None:
    buckets.take(owner, one(rate=Rate(1, 5000), cost=5000))
    [level] = buckets.take(owner, one(rate=Rate(10, 20)))
    assert 0 < level.retry_after <= 0.2


# ---------------------------------------------------------------- in PostgreSQL
@pytest.mark.usefixtures("committed_db")
def test_the_backstop_is_as_exact_under_concurrency(owner: str) -> None:
    def take(_: int) -> Level:
        try:
            [level] = windows.take(owner, one(rate=Rate(1, 3600)))  # within one window, unless the hour strikes
            return level
        finally:
            close_old_connections()

    charge = one(rate=Rate(1, 3600), cost=3550)
    windows.take(owner, charge)
    with ThreadPoolExecutor(8) as crowd:
        answers = list(crowd.map(take, range(120)))
    assert sum(level.retry_after == 0 for level in answers) == 50
    assert sorted(level.left for level in answers)[-50:] == list(range(50))


@pytest.mark.django_db
def test_the_backstop_takes_all_or_nothing_and_tells_when_its_window_ends(owner: str) -> None:
    both = [Charge(Kind.STATEMENTS, Rate(1, 3600), 3000), Charge(Kind.BYTES, Rate(1, 36000), 3000)]
    assert [level.left for level in windows.take(owner, both)] == [600, 33000]
    refused = windows.take(owner, both)
    assert [level.left for level in refused] == [0, 33000]
    assert 0 < refused[0].retry_after <= 3600
    assert windows.take(owner, one(Kind.BYTES, Rate(1, 36000), 0))[0].left == 33000


@pytest.mark.django_db
def test_a_new_window_begins_full(owner: str) -> None:
    rate = Rate(1, 1)
    answers = [windows.take(owner, one(rate=rate))[0] for _ in range(3)]
    assert answers[-1].retry_after > 0
    time.sleep(answers[-1].retry_after + 0.01)
    assert windows.take(owner, one(rate=rate))[0].retry_after == 0


# ---------------------------------------------------------------- either
@pytest.fixture
def without_valkey(settings: Settings) -> Iterator[Callable[[str], None]]:
    """Call it with the URL of a Valkey that does not answer."""

    def point_at(url: str) -> None:
        settings.BROKER_URL = url
        buckets._valkey.cache_clear()
        buckets._take.cache_clear()

    yield point_at
    buckets._valkey.cache_clear()
    buckets._take.cache_clear()


@pytest.mark.django_db
def test_without_valkey_limits_go_on_and_refuse_nothing_that_is_within_them(
    owner: str, without_valkey: Callable[[str], None]
) -> None:
    without_valkey("redis+socket:///nonexistent/valkey.sock")
    rate = Rate(1, 3600)
    assert [counting.take(owner, one(rate=rate))[0].left for _ in range(3)] == [3599, 3598, 3597]
    [level] = counting.take(owner, one(rate=rate, cost=3600))
    assert level.retry_after > 0, "nor does it fail open"


@pytest.mark.django_db
def test_a_valkey_that_hangs_costs_a_tenth_of_a_second_once_and_is_then_left_alone(
    owner: str, without_valkey: Callable[[str], None], deaf: str
) -> None:
    without_valkey(deaf)
    costs = []
    for _ in range(3):
        began = time.monotonic()
        assert counting.take(owner, one())[0].retry_after == 0
        costs.append(time.monotonic() - began)
    assert 0.09 < costs[0] < 0.5
    assert max(costs[1:]) < 0.09


@pytest.fixture
def deaf() -> Iterator[str]:
    """Something that takes connections and says nothing."""
    import socket

    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(8)
        yield f"redis://127.0.0.1:{listening.getsockname()[1]}/0"


@pytest.mark.django_db
def test_refusals_are_counted_by_kind_wherever_they_happened(without_valkey: Callable[[str], None]) -> None:
    before = counting.refusals()
    counting.count_refusal(Kind.READ)
    with_valkey = counting.refusals()[Kind.READ]
    without_valkey("redis+socket:///nonexistent/valkey.sock")
    counting.count_refusal(Kind.READ)
    counting.count_refusal(Kind.BYTES)
    assert with_valkey == before[Kind.READ] + 1
    assert counting.refusals() == {**dict.fromkeys(Kind, 0), Kind.READ: 1, Kind.BYTES: 1}


# ---------------------------------------------------------------- told
def test_header_fields_are_structured_lists_with_an_item_a_policy() -> None:
    levels = [
        Level(Kind.SUBMIT, Rate(50, 200), 199, 0.02),
        Level(Kind.BYTES, Rate(4, 9), 0, 2.25, retry_after=0.1),
    ]
    assert header_fields(levels) == {
        "RateLimit-Policy": '"submit";q=200;w=4, "bytes";q=9;w=3;qu="content-bytes"',
        "RateLimit": '"submit";r=199;t=1, "bytes";r=0;t=3',
    }
    assert header_fields([]) == {}
    assert seconds_to_wait(levels) == 1


def test_a_partners_own_rate_keeps_the_shape() -> None:
    assert Rate(50, 200).scaled_to(5) == Rate(5, 20)
    assert Rate(50, 50).scaled_to(None) == Rate(50, 50)
    assert Rate(1000, 1000).scaled_to(1) == Rate(1, 1)
