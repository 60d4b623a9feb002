"""How much one partner may ask: every door counts, tells so in its header fields, and refuses with Retry-After."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
import redis
from django.conf import settings as hub_settings
from django.test import Client
from pytest_django import Settings

from partners.api.guessing import guessing
from partners.core.limits import Kind
from partners.limits import buckets, counting
from partners.models import Partner
from signals.models import Submission
from tests.api.conftest import Cast
from tests.api.routes import OPEN, operations
from tests.api.test_doors import SCOPES, ask
from tests.builders import an_api_key
from tests.cluster import valkey
from tests.companies import Company, a_company, settle

READS = {operation for operation in SCOPES if operation.startswith("GET")}
READS |= {"POST /api/v1/explain", "POST /api/v1/programmes/{slug}/feed/ack"}  # a reader's word on what it has read
SUBMITS = {"POST /api/v1/statements"}
NDJSON = "application/x-ndjson"
SLOW = 0.01  # a second: nothing flows in while a test runs


@pytest.fixture(autouse=True)
def _nobody_is_remembered(full_buckets: None) -> Iterator[None]:
    guessing.forget()
    yield
    guessing.forget()


@pytest.fixture
def acme(cast: Cast) -> Company:
    return cast.acme


def limited(settings: Settings, **rates: tuple[float, int]) -> None:
    """These kinds at these rates; whatever a test does not name never runs out."""
    settings.LIMITS = {**hub_settings.LIMITS, **rates}


def post(company: Company, body: bytes) -> Any:
    return company.http.generic("POST", "/api/v1/statements", body, NDJSON)


# ---------------------------------------------------------------- every door
def test_every_door_that_asks_for_a_key_counts_its_requests(db: None, settings: Settings) -> None:
    limited(settings, submit=(SLOW, 2), read=(SLOW, 2), manage=(SLOW, 2))
    guarded = [operation for operation in operations() if str(operation) not in OPEN]
    assert len(guarded) == len(SCOPES)
    for number, operation in enumerate(guarded):
        company = a_company(f"company-{number}")
        kind = "submit" if str(operation) in SUBMITS else "read" if str(operation) in READS else "manage"
        asked = [ask(operation, f"Bearer {company.token}") for _ in range(3)]
        assert [answer.status_code == 429 for answer in asked] == [False, False, True], operation
        for left, answer in zip((1, 0, 0), asked, strict=True):
            assert f'"{kind}";q=2;w=200' in answer["RateLimit-Policy"], operation
            assert re.search(rf'"{kind}";r={left};t=\d+(,|$)', answer["RateLimit"]), (operation, answer["RateLimit"])
        problem = asked[-1].json()
        assert (problem["code"], problem["violated-policies"]) == ("rate-limited", [kind])
        assert asked[-1]["Retry-After"] == str(problem["retry_after"])
        assert 90 <= problem["retry_after"] <= 100


def test_a_key_without_the_scope_is_counted_too(acme: Company, settings: Settings) -> None:
    limited(settings, read=(SLOW, 1))
    token = an_api_key(acme.partner, scopes=["keys:manage"])
    client = Client(headers={"authorization": f"Bearer {token}"})
    assert [client.get("/api/v1/endpoints").status_code for _ in range(2)] == [403, 429]


def test_pages_for_everybody_are_not_limited(acme: Company, settings: Settings) -> None:
    limited(settings, read=(SLOW, 1), unauthorized=(SLOW, 1))
    assert [Client().get("/api/v1/programmes").status_code for _ in range(2)] == [401, 429]
    for path in ("/livez", "/api/docs", "/api/openapi.yaml", "/api/problems", "/.well-known/jwks.json"):
        answers = [Client().get(path) for _ in range(3)]
        assert {answer.status_code for answer in answers} == {200}
        assert "RateLimit" not in answers[-1].headers


def test_what_one_partner_has_used_up_another_has_not(cast: Cast, settings: Settings) -> None:
    limited(settings, read=(SLOW, 1))
    assert [cast.acme.http.get("/api/v1/programmes").status_code for _ in range(2)] == [200, 429]
    assert cast.birch.http.get("/api/v1/programmes").status_code == 200
    second_key = Client(headers={"authorization": f"Bearer {an_api_key(cast.acme.partner)}"})
    assert second_key.get("/api/v1/programmes").status_code == 429, "a second key is no second bucket"


def test_without_valkey_ordinary_traffic_goes_on_and_limits_hold(acme: Company, settings: Settings) -> None:
    limited(settings, read=(0.001, 3), submit=(0.001, 1))
    settings.BROKER_URL = "redis+socket:///nonexistent/valkey.sock"
    buckets._valkey.cache_clear()
    buckets._take.cache_clear()
    try:
        read = [acme.http.get("/api/v1/programmes") for _ in range(4)]
        handed_in = [post(acme, b"line") for _ in range(2)]
        guessed = Client().get("/api/v1/programmes")
    finally:
        buckets._valkey.cache_clear()
        buckets._take.cache_clear()
        counting.way.forget()
    assert [answer.status_code for answer in read] == [200, 200, 200, 429]
    assert [re.findall(r"r=(\d+)", answer["RateLimit"]) for answer in read] == [["2"], ["1"], ["0"], ["0"]]
    assert 0 < int(read[-1]["Retry-After"]) <= 3000
    assert [answer.status_code for answer in handed_in] == [202, 429]
    assert guessed.status_code == 401


# ---------------------------------------------------------------- what is handed in
def test_statements_and_bytes_are_counted_and_nothing_of_a_refused_batch_is_stored(
    acme: Company, settings: Settings
) -> None:
    limited(settings, statements=(SLOW, 10), bytes=(SLOW, 100))
    first = post(acme, b"line\n" * 8)
    assert first.status_code == 202
    policies = '"statements";q=10;w=1000;qu="statements", "bytes";q=100;w=10000;qu="content-bytes"'
    assert policies in first["RateLimit-Policy"]
    assert '"statements";r=2;t=800, "bytes";r=60;t=4000' in first["RateLimit"]
    second, third = post(acme, b"line\n" * 5), post(acme, b"a" * 90)
    assert (second.status_code, second.json()["violated-policies"]) == (429, ["statements"])
    assert (third.status_code, third.json()["violated-policies"]) == (429, ["bytes"])
    assert 290 <= int(second["Retry-After"]) <= 300
    assert Submission.objects.count() == 1


def test_a_batch_larger_than_the_bucket_is_taken_when_the_bucket_is_full(acme: Company, settings: Settings) -> None:
    limited(settings, statements=(SLOW, 10))
    assert [post(acme, b"line\n" * 500).status_code for _ in range(2)] == [202, 429]


def test_a_partners_own_limits_come_before_the_settings(acme: Company, settings: Settings) -> None:
    limited(settings, read=(50, 200), submit=(50, 200), statements=(2000, 100_000), bytes=(4_000_000, 256_000_000))
    Partner.objects.filter(pk=acme.partner.pk).update(requests_per_second=5, statements_per_second=20)
    assert acme.http.get("/api/v1/programmes")["RateLimit-Policy"] == '"read";q=20;w=4'
    told = post(acme, b"line")["RateLimit-Policy"]
    assert [int(quota) for quota in re.findall(r"q=(\d+)", told)] == [20, 1000, 2_560_000]


# ---------------------------------------------------------------- what waits
def test_a_partner_with_much_pending_is_told_to_come_back_and_others_are_not(cast: Cast, settings: Settings) -> None:
    settings.MAX_PENDING_SUBMISSIONS = 2
    assert [post(cast.acme, b"line").status_code for _ in range(2)] == [202, 202]
    refused = post(cast.acme, b"line")
    assert (refused.status_code, refused.json()["code"], refused["Retry-After"]) == (429, "too-much-pending", "5")
    assert Submission.objects.count() == 2
    assert post(cast.birch, b"line").status_code == 202
    settle()
    assert post(cast.acme, b"line").status_code == 202


def test_what_is_pending_is_bounded_in_bytes_too(acme: Company, settings: Settings) -> None:
    settings.MAX_PENDING_MIB = 1
    assert [post(acme, b"x" * 700_000).status_code for _ in range(3)] == [202, 202, 429]


def test_a_partners_own_bound_on_what_is_pending_comes_first(acme: Company) -> None:
    Partner.objects.filter(pk=acme.partner.pk).update(max_pending_submissions=1)
    assert [post(acme, b"line").status_code for _ in range(2)] == [202, 429]


def test_statements_that_wait_for_their_signals_are_bounded(acme: Company, settings: Settings) -> None:
    settings.MAX_WAITING_STATEMENTS = 3
    unsaid = [acme.sign(acme.signal()) for _ in range(6)]
    first = acme.say(*[acme.withdrawal(jws) for jws in unsaid[:2]])
    second = acme.say(*[acme.withdrawal(jws) for jws in unsaid[2:5]])
    assert [verdict.get("waiting") for verdict in first] == ["signal", "signal"]
    assert [verdict.get("code") for verdict in second] == [None, "too-many-waiting", "too-many-waiting"]
    acme.say(unsaid[0])  # it has come: one fewer waits
    [third] = acme.say(acme.withdrawal(unsaid[5]))
    assert third["waiting"] == "signal"


# ---------------------------------------------------------------- guessing
def test_an_address_that_keeps_failing_is_not_asked_for_its_key_any_more(cast: Cast, settings: Settings) -> None:
    limited(settings, unauthorized=(SLOW, 3))
    assert cast.acme.http.get("/api/v1/programmes").status_code == 200
    wrong = Client(headers={"authorization": "Bearer hg_dev_nonsense"})
    answers = [wrong.get("/api/v1/programmes") for _ in range(5)]
    assert [answer.status_code for answer in answers] == [401, 401, 401, 429, 429]
    assert answers[0]["RateLimit"] == '"unauthorized";r=2;t=100'
    assert [answer.json()["violated-policies"] for answer in answers[3:]] == [["unauthorized"]] * 2
    assert all(90 <= int(answer["Retry-After"]) <= 100 for answer in answers[3:])
    assert cast.birch.http.get("/api/v1/programmes").status_code == 429, "good or not, it is not looked up"
    assert cast.acme.http.get("/api/v1/programmes").status_code == 200, "what has worked goes on working"
    elsewhere = Client(REMOTE_ADDR="192.0.2.7", headers={"authorization": f"Bearer {cast.birch.token}"})
    assert elsewhere.get("/api/v1/programmes").status_code == 200


def test_a_forwarded_address_counts_only_from_our_own_proxies(db: None, settings: Settings) -> None:
    limited(settings, unauthorized=(SLOW, 1))

    def ask_from(client: str, proxy: str) -> int:
        answer = Client(REMOTE_ADDR=proxy).get("/api/v1/programmes", headers={"x-forwarded-for": client})
        return answer.status_code

    assert [ask_from(f"198.51.100.{n}", "203.0.113.1") for n in range(2)] == [401, 429]
    settings.TRUSTED_PROXIES = ["203.0.113.0/24"]
    guessing.forget()
    assert [ask_from(f"198.51.100.{n}", "203.0.113.1") for n in range(2)] == [401, 401]
    assert [ask_from(f"2001:db8::{n}", "203.0.113.1") for n in (1, 2)] == [401, 429], "one house of IPv6 is one client"


def test_no_address_stands_in_valkey(db: None, settings: Settings) -> None:
    limited(settings, unauthorized=(SLOW, 50))
    Client(REMOTE_ADDR="192.0.2.77").get("/api/v1/programmes")
    with redis.Redis(unix_socket_path=str(valkey.socket)) as client:
        keys = [key for key in client.scan_iter() if b":limit:{address" in key]
    assert keys
    assert not [key for key in keys if b"192.0.2" in key or b"c000024d" in key]


# ---------------------------------------------------------------- seen by the operator
def test_the_monitor_sees_how_many_were_refused_by_kind(acme: Company, settings: Settings) -> None:
    limited(settings, read=(SLOW, 1))
    before = counting.refusals()
    for _ in range(3):
        acme.http.get("/api/v1/programmes")
    assert counting.refusals()[Kind.READ] == before[Kind.READ] + 2
    shown = Client().get("/metrics").text
    assert f'heliograph_requests_refused_total{{kind="read"}} {before[Kind.READ] + 2}.0' in shown
    assert set(re.findall(r'heliograph_requests_refused_total\{kind="(\w+)"', shown)) == set(Kind)
