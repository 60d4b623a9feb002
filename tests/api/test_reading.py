"""The feed's door: parameters, cursors, filters, and NDJSON that shows when it was cut short."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from pytest_django import DjangoAssertNumQueries

from hub.ledger import serving
from signals.models import Disclosure, Walk
from tests.api.conftest import Cast
from tests.builders import a_membership
from tests.companies import Company, ids, membership_of, now

FEED = "/api/v1/programmes/csea/feed"


def get(company: Company, query: str = "", accept: str = "application/json") -> Any:
    return company.http.get(f"{FEED}?{query}", headers={"accept": accept})


@pytest.mark.parametrize(
    ("query", "parameter"),
    [
        *((f"limit={value}", "limit") for value in ("0", "1001", "-1", "x", "", "1.0", "%2B5", "9" * 30, "%D9%A3")),
        *((f"wait={value}", "wait") for value in ("61", "-1", "soon", "1e1")),
        *((f"own={value}", "own") for value in ("1", "", "True", "yes")),
        *((f"type={value}", "type") for value in ("nonsense", "", "URL")),
        *((f"violation={value}", "violation") for value in ("", "%00", "a%20b", "x" * 65, "%ff")),
        *((f"issuer={value}", "issuer") for value in ("nobody", "", "outsider", "%00")),
        ("type=url&type=nonsense", "type"),
        ("&".join(f"violation=v{number}" for number in range(101)), "violation"),
        ("cursor=1", "cursor"),
        ("Limit=1", None),
        ("alice%40example.com=1", None),
        ("format=json", "format"),
    ],
)
def test_a_parameter_that_cannot_be_used_is_named(cast: Cast, query: str, parameter: str | None) -> None:
    response = get(cast.birch, query)
    problem = response.json()
    assert (response.status_code, problem["code"], problem.get("parameter")) == (400, "parameter-invalid", parameter)
    assert "alice" not in response.text
    assert not Walk.objects.exists(), "a request that was refused has begun a walk"


@pytest.mark.parametrize("accept", ["application/json", "application/x-ndjson"])
def test_a_head_request_begins_nothing_and_discloses_nothing(cast: Cast, accept: str) -> None:
    cast.acme.say(cast.acme.sign(cast.acme.signal()))
    asked = {"accept": accept}
    answer = cast.birch.http.head(FEED, headers=asked)
    assert (answer.status_code, answer.content, answer["Content-Type"]) == (200, b"", accept)
    assert cast.birch.http.head(f"{FEED}?limit=0", headers=asked).status_code == 400
    assert cast.outsider.http.head(FEED, headers=asked).status_code == 404
    assert not Walk.objects.exists()
    assert not Disclosure.objects.exists()


def test_asking_again_for_the_start_begins_no_walk_that_would_be_the_same(cast: Cast) -> None:
    acme, birch, _, _ = cast
    [first], [second] = ([acme.sign(acme.signal())] for _ in range(2))
    acme.say(first)
    walk = birch.feed(limit=1)["walk"]
    again = birch.feed()
    assert (again["walk"], again["listed"], len(again["items"])) == (walk, True, 1)
    assert birch.feed(type="url")["walk"] > walk
    assert acme.feed()["walk"] > walk
    acme.say(second)
    moved = birch.feed()
    assert moved["walk"] > walk
    acme.say(acme.withdrawal(first))
    fresh = birch.feed()
    assert fresh["walk"] > moved["walk"]
    assert [item["state"] for item in fresh["items"]] == ["published"], "a tombstone from before the walk"
    membership = membership_of(birch, cast.csea)
    membership.generation += 1
    membership.save()
    assert birch.feed()["walk"] > fresh["walk"]


def test_only_a_cursor_of_ones_own_for_this_feed_and_filter_leads_on(cast: Cast) -> None:
    acme, birch, outsider, _ = cast
    a_membership(outsider.partner, cast.csea)
    mine = birch.feed()["next"]
    elsewhere = birch.feed("ncii")["next"]
    theirs = acme.feed()["next"]
    filtered = birch.feed(type="url")["next"]
    for cursor in (elsewhere, theirs, outsider.feed()["next"], mine[:-2], mine[::-1], "", "x", "%00", "é", "A" * 5000):
        problem = birch.feed(after=cursor)
        assert problem.get("code") == "cursor-invalid", cursor
        assert problem["status"] == 400
    assert birch.feed(after=filtered)["code"] == "cursor-filter-changed"
    assert birch.feed(after=mine, type="url")["code"] == "cursor-filter-changed"
    assert birch.feed(after=mine, own="true")["code"] == "cursor-filter-changed"
    assert birch.feed(after=filtered, type="url")["items"] == []
    assert birch.feed(after=mine)["items"] == []


def test_the_order_of_a_filters_values_does_not_matter(cast: Cast) -> None:
    first = get(cast.birch, "type=url&type=domain&type=url").json()["next"]
    assert get(cast.birch, f"type=domain&type=url&after={first}").status_code == 200


def test_filters_and_own_choose_what_is_read(cast: Cast) -> None:
    acme, birch, _, _ = cast
    [url] = acme.say(acme.sign(acme.signal()))
    [domain] = acme.say(acme.sign(acme.signal("bad.example", type="domain", violation="trading")))
    [mine] = birch.say(birch.sign(birch.signal()))
    read = {query: set(ids(get(birch, query).json()["items"])) for query in (
        "", "own=true", "own=false", "type=domain", "type=url&own=true", "violation=trading", "issuer=acme-social",
        "issuer=birch-chat", "issuer=birch-chat&own=true", "type=md5")}  # fmt: skip
    assert read == {
        "": {url["signal"], domain["signal"]},
        "own=true": {url["signal"], domain["signal"], mine["signal"]},
        "own=false": {url["signal"], domain["signal"]},
        "type=domain": {domain["signal"]},
        "type=url&own=true": {url["signal"], mine["signal"]},
        "violation=trading": {domain["signal"]},
        "issuer=acme-social": {url["signal"], domain["signal"]},
        "issuer=birch-chat": set(),
        "issuer=birch-chat&own=true": {mine["signal"]},
        "type=md5": set(),
    }


def test_ndjson_ends_with_the_page_line(cast: Cast) -> None:
    acme, birch, _, _ = cast
    acme.say(*(acme.sign(acme.signal()) for _ in range(3)))
    response = get(birch, "limit=2", accept="application/x-ndjson")
    assert response["Content-Type"] == "application/x-ndjson"
    assert response.content.endswith(b"\n")
    *items, last = [json.loads(line) for line in response.content.splitlines()]
    assert len(items) == 2
    assert list(last) == ["page"]
    assert set(last["page"]) == {"programme", "channel", "epoch", "walk", "listed", "more", "next"}
    assert last["page"]["more"] is True
    rest = get(birch, f"after={last['page']['next']}").json()
    assert len(rest["items"]) == 1
    assert rest["listed"] is True
    assert set(rest) == {*last["page"], "items"}


@pytest.mark.parametrize("path", [FEED, "/api/v1/notices"])
@pytest.mark.parametrize("kind", ["application/json", "application/x-ndjson"])
def test_a_media_type_is_answered_whatever_its_parameters(cast: Cast, path: str, kind: str) -> None:
    for accept in (f"{kind};q=0.9", f"{kind}; q=0.9, text/html;q=0.1", f"{kind};charset=utf-8"):
        for ask in (cast.birch.http.get, cast.birch.http.head):
            answer = ask(path, headers={"accept": accept})
            assert (answer.status_code, answer["Content-Type"]) == (200, kind), accept


def test_an_error_on_an_ndjson_feed_is_a_problem_document(cast: Cast) -> None:
    response = get(cast.birch, "limit=0", accept="application/x-ndjson")
    assert (response.status_code, response["Content-Type"]) == (400, "application/problem+json")


def test_a_page_costs_the_same_queries_however_long_it_is(
    cast: Cast, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    acme, birch, _, _ = cast
    acme.say(*(acme.sign(acme.signal()) for _ in range(20)))
    birch.feed()
    for limit in (1, 20):
        serving.forget()  # asked now, and then not for two seconds
        serving.may_serve()
        with django_assert_max_num_queries(14) as made:
            assert len(birch.feed(limit=limit)["items"]) == limit
        counted = len(made.captured_queries)
        assert counted == getattr(test_a_page_costs_the_same_queries_however_long_it_is, "before", counted)
        test_a_page_costs_the_same_queries_however_long_it_is.before = counted  # type: ignore[attr-defined]


def test_who_is_suspended_or_out_is_told_so(cast: Cast) -> None:
    birch = cast.birch
    birch.feed()
    membership = membership_of(birch, cast.csea)
    membership.state = "suspended"
    membership.save()
    assert (birch.feed()["status"], birch.feed()["code"]) == (403, "membership-suspended")
    membership.state, membership.ended_at = "ended", now() - timedelta(minutes=1)
    membership.save()
    problem = birch.feed()
    assert (problem["status"], problem["code"], problem["erase"]) == (410, "membership-ended", "all")
    assert problem["walk"] > 0
    assert problem["epoch"] > 0
