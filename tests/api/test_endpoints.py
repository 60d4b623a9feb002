"""Webhook endpoints over REST: their secret is told once, and what they may be is checked at the door."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from hub.ledger import serving
from signals.core.endpoints import Stop
from signals.lifecycle.endpoints import MAX_ENDPOINTS, disable_endpoint, pause_endpoint, resume_endpoint, stop_again
from signals.models import Endpoint
from tests.api.conftest import Cast
from tests.companies import Company, now

URL = "https://hooks.acme.example/heliograph"
ENDPOINTS = "/api/v1/endpoints"


def send(company: Company, method: str, path: str, body: object = None) -> Any:
    sent = body if isinstance(body, bytes) else json.dumps(body).encode()
    return company.http.generic(method, path, sent, content_type="application/json")


def add(company: Company, **members: Any) -> Any:
    return send(company, "POST", ENDPOINTS, {"programme": "csea", "url": URL, **members})


def test_an_endpoint_is_added_read_changed_paused_resumed_and_removed(cast: Cast) -> None:
    acme = cast.acme
    added = add(acme, filter={"types": ["url"], "issuers": ["birch-chat"]}, batch_size=50)
    assert (added.status_code, added["Cache-Control"]) == (201, "no-store")
    document = added.json()
    assert document.pop("secret").startswith("whsec_")
    assert document["filter"] == {"types": ["url"], "issuers": ["birch-chat"]}
    path = f"{ENDPOINTS}/{document['id']}"
    assert acme.http.get(path).json() == document
    assert acme.http.get(ENDPOINTS).json() == [document]
    assert send(acme, "PATCH", path, {"state": "paused"}).json()["state"] == "paused"
    assert send(acme, "PATCH", path, {"state": "active"}).json()["state"] == "active"
    changed = send(acme, "PATCH", path, {"url": f"{URL}/2", "filter": {}, "batch_size": 7}).json()
    assert (changed["url"], changed["filter"], changed["batch_size"]) == (f"{URL}/2", {}, 7)
    assert send(acme, "PATCH", path, {}).json()["url"] == f"{URL}/2"
    assert acme.http.delete(path).status_code == 204
    assert acme.http.get(path).status_code == acme.http.delete(path).status_code == 404
    assert send(acme, "PATCH", path, {"state": "active"}).status_code == 404
    assert acme.http.get(ENDPOINTS).json() == []


@pytest.mark.parametrize(
    ("members", "code", "pointer"),
    [
        ({"url": "ftp://hooks.acme.example/"}, "endpoint-url-refused", "/url"),
        ({"url": "https://user@hooks.acme.example/"}, "endpoint-url-refused", "/url"),
        ({"url": "https://169.254.169.254/"}, "endpoint-url-refused", "/url"),
        ({"url": " " + URL}, "endpoint-url-refused", "/url"),
        ({"url": URL + "\0"}, "invalid-request", "/url"),
        ({"url": "https://hooks.acme.example/" + "x" * 2000}, "invalid-request", "/url"),
        ({"url": 5}, "invalid-request", "/url"),
        ({"url": None}, "invalid-request", "/url"),
        ({"programme": 7}, "invalid-request", "/programme"),
        ({"batch_size": 0}, "invalid-request", "/batch_size"),
        ({"batch_size": "5"}, "invalid-request", "/batch_size"),
        ({"batch_size": True}, "invalid-request", "/batch_size"),
        ({"batch_size": 1001}, "invalid-request", "/batch_size"),
        ({"filter": {"types": ["nonsense"]}}, "invalid-request", "/filter/types/0"),
        ({"filter": {"issuers": ["nobody"]}}, "invalid-request", "/filter/issuers"),
        ({"filter": {"issuers": ["outsider"]}}, "invalid-request", "/filter/issuers"),
        ({"filter": {"issuers": [7]}}, "invalid-request", "/filter/issuers/0"),
        ({"filter": {"violations": ["\0"]}}, "invalid-request", "/filter/violations/0"),
        ({"filter": {"typo": []}}, "invalid-request", "/filter/typo"),
        ({"filter": "url"}, "invalid-request", "/filter"),
        ({"alice@example.com": 1}, "invalid-request", None),
        ({"filter": {"+44 7700 900123": []}}, "invalid-request", "/filter"),
        ({"\ud800": 1}, "invalid-request", None),
    ],
    ids=str,
)
def test_what_an_endpoint_cannot_be_is_said_with_a_pointer(
    cast: Cast, members: dict[str, Any], code: str, pointer: str | None
) -> None:
    response = add(cast.acme, **members)
    problem = response.json()
    assert (response.status_code, problem["code"], problem.get("pointer")) == (422, code, pointer)
    assert not Endpoint.objects.exists()


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"\xff",
        b"[" * 100_000,
        b'{"url":NaN}',
        b'{"url":"a","url":"b"}',
        b'{"batch_size":' + b"1" * 5000 + b"}",
    ],
    ids=lambda body: body[:12].decode("latin-1"),
)
def test_a_body_that_is_no_json_is_refused(cast: Cast, body: bytes) -> None:
    response = send(cast.acme, "POST", ENDPOINTS, body)
    assert (response.status_code, response.json()["code"]) in {(400, "malformed-request"), (422, "invalid-request")}


@pytest.mark.parametrize("body", [b"[]", b"null", b"5", b'"x"'])
def test_a_body_that_is_no_object_is_refused(cast: Cast, body: bytes) -> None:
    for method, path in (("POST", ENDPOINTS), ("PATCH", f"{ENDPOINTS}/{add(cast.acme).json()['id']}")):
        response = send(cast.acme, method, path, body)
        assert (response.status_code, response.json()["code"]) == (422, "invalid-request")


def test_a_change_happens_whole_or_not_at_all(cast: Cast) -> None:
    path = f"{ENDPOINTS}/{add(cast.acme).json()['id']}"
    before = cast.acme.http.get(path).json()
    for wrong in ({"filter": {"issuers": ["nobody"]}}, {"url": "https://169.254.169.254/"}):
        change = {"url": f"{URL}/2", "batch_size": 7, "state": "paused", **wrong}
        assert send(cast.acme, "PATCH", path, change).status_code == 422
        assert cast.acme.http.get(path).json() == before
    assert send(cast.acme, "PATCH", path, {"url": f"{URL}/2", "batch_size": 7, "state": "paused"}).status_code == 200


def test_a_partner_has_so_many_endpoints_in_a_programme_and_no_more(cast: Cast) -> None:
    made = [add(cast.birch).json()["id"] for _ in range(MAX_ENDPOINTS)]
    refused = add(cast.birch)
    assert (refused.status_code, refused.json()["code"]) == (409, "too-many-endpoints")
    assert add(cast.birch, programme="ncii").status_code == 201
    assert cast.birch.http.delete(f"{ENDPOINTS}/{made[0]}").status_code == 204
    assert add(cast.birch).status_code == 201


@pytest.mark.parametrize(
    ("stop", "reason"), [(pause_endpoint, "paused-by-operator"), (disable_endpoint, "disabled-by-operator")]
)
def test_what_the_operator_stopped_only_the_operator_starts_again(
    cast: Cast, stop: Callable[..., Endpoint], reason: str
) -> None:
    identity = add(cast.acme).json()["id"]
    path = f"{ENDPOINTS}/{identity}"
    by_operator: dict[str, Any] = {"partner_id": cast.acme.partner.pk, "actor": "staff:1", "at": now()}
    stop(UUID(identity), **by_operator)
    for state in ("active", "paused"):  # pausing would make it the partner's own to resume
        refused = send(cast.acme, "PATCH", path, {"state": state, "url": f"{URL}/2"})
        assert (refused.status_code, refused.json()["code"]) == (409, "endpoint-held")
    assert send(cast.acme, "PATCH", path, {"url": f"{URL}/3"}).json()["state_reason"] == reason
    resume_endpoint(UUID(identity), **by_operator)
    document = cast.acme.http.get(path).json()
    assert (document["url"], document["state"], document["state_reason"]) == (f"{URL}/3", "active", "")


@pytest.mark.parametrize("reason", [Stop.PAUSED_BY_PARTNER, Stop.GONE, Stop.MEMBERSHIP_ENDED, Stop.HUB_RESTORED])
def test_a_partner_resumes_what_it_paused_or_what_closed_itself(cast: Cast, reason: Stop) -> None:
    identity = add(cast.acme).json()["id"]
    path = f"{ENDPOINTS}/{identity}"
    stop_again(UUID(identity), reason=reason, actor="system:test", at=now())
    assert cast.acme.http.get(path).json()["state_reason"] == reason.value
    resumed = send(cast.acme, "PATCH", path, {"state": "active"}).json()
    assert (resumed["state"], resumed["state_reason"]) == ("active", "")
    paused = send(cast.acme, "PATCH", path, {"state": "paused"}).json()
    assert (paused["state"], paused["state_reason"]) == ("paused", "paused-by-partner")


def test_a_programme_that_is_not_ones_own_looks_like_none(cast: Cast) -> None:
    unknown, foreign = add(cast.acme, programme="nowhere"), add(cast.acme, programme="ncii")
    assert (unknown.status_code, unknown.content) == (404, foreign.content)


def test_a_list_costs_the_same_for_one_and_for_many(cast: Cast) -> None:
    birch = cast.birch
    counts = []
    for _round in range(2):
        for programme in ("csea", "ncii"):
            add(birch, programme=programme, filter={"issuers": ["birch-chat"]})
        serving.may_serve()
        with CaptureQueriesContext(
            connection,
        ) as made:
            assert birch.http.get(ENDPOINTS).status_code == 200
        counts.append(len([query for query in made if "ledger_tree" not in query["sql"]]))
    assert counts[0] == counts[1] <= 6


def test_the_hub_explains_how_it_reads_a_value(cast: Cast) -> None:
    def explain(**asked: Any) -> Any:
        return send(cast.outsider, "POST", "/api/v1/explain", asked)

    reading = explain(type="url", value="HTTPS://Bad.Example:443/a#b").json()
    assert reading["value"] == "https://bad.example/a"
    assert reading["changes"]
    assert explain(type="username", value="night.owl", service="acme.example").json()["service"] == "acme.example"
    wrong = explain(type="md5", value="not a hash")
    assert (wrong.status_code, wrong.json()["code"], wrong.json()["pointer"]) == (422, "invalid-indicator", "/value")
    assert "not a hash" not in wrong.text
    lone = explain(type="username", value="night.owl")
    assert (lone.status_code, lone.json()["pointer"]) == (422, "/service")
    for nonsense in ({"type": "alice@example.com"}, {"type": "md5", "alice@example.com": 1}):
        refused = explain(value="x", **nonsense)
        assert (refused.status_code, "alice" in refused.text) == (422, False)
    for value in ("\0", "\ud800", "x" * 5000, 5, None, ""):
        assert explain(type="keyword", value=value).status_code == 422, value


def test_an_endpoint_of_notices_is_of_no_programme(cast: Cast) -> None:
    def post(**body: object) -> Any:
        return cast.outsider.http.post("/api/v1/endpoints", body, content_type="application/json")

    url = "https://hooks.example.org/in"
    added = post(feed="notices", url=url)
    assert added.status_code == 201, added.content
    document = added.json()
    assert (document["feed"], document["programme"], document["filter"]) == ("notices", None, {})
    path = f"/api/v1/endpoints/{document['id']}"
    assert cast.outsider.http.get(path).json()["feed"] == "notices"
    assert cast.outsider.http.get(f"{path}/health").json()["lag"]["signals"] == 0
    changed = {"filter": {"types": ["url"]}}
    assert cast.outsider.http.patch(path, changed, content_type="application/json").status_code == 422
    assert cast.birch.http.get(path).status_code == 404
    for wrong in (
        {"url": url},
        {"feed": "notices", "programme": "csea", "url": url},
        {"feed": "notices", "filter": {"types": ["url"]}, "url": url},
        {"feed": "notices", "payload": "thin", "url": url},
        {"feed": "signals", "url": url},
        {"feed": "letters", "url": url},
    ):
        assert (post(**wrong).status_code, post(**wrong).json()["code"]) == (422, "invalid-request")
