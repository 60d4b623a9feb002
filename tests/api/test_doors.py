"""Who may open which door: every operation of the URL configuration, with every kind of key that is no good."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from django.test import Client

from partners.api.failures import failures
from partners.core.scopes import Scope
from partners.core.states import PartnerState
from partners.models import ApiKey
from signals.models import Endpoint, Signal, Submission
from tests.api.conftest import Cast
from tests.api.routes import OPEN, Operation, operations
from tests.builders import LONG_AGO, NOON, a_partner, an_api_key
from tests.companies import now

OPERATIONS = operations()
SCOPES = {
    "DELETE /api/v1/endpoints/{endpoint_id}": "endpoints:manage",
    "GET /api/v1/api-keys": "keys:read",
    "GET /api/v1/appeals/{reference}": "statements:submit",
    "POST /api/v1/appeals": "statements:submit",
    "POST /api/v1/remedies/{remedy_id}": "statements:submit",
    "GET /api/v1/departures": "statements:submit",
    "GET /api/v1/endpoints": "endpoints:manage",
    "GET /api/v1/endpoints/{endpoint_id}": "endpoints:manage",
    "GET /api/v1/endpoints/{endpoint_id}/attempts": "endpoints:manage",
    "GET /api/v1/endpoints/{endpoint_id}/health": "endpoints:manage",
    "GET /api/v1/endpoints/{endpoint_id}/health.svg": "endpoints:manage",
    "GET /api/v1/keys": "keys:read",
    "GET /api/v1/ledger/checkpoint": None,
    "GET /api/v1/ledger/disclosures/{disclosures_id}": "ledger:read",
    "GET /api/v1/ledger/leaves": "ledger:read",
    "GET /api/v1/ledger/leaves/{index}": "ledger:read",
    "GET /api/v1/ledger/leaves/{index}/proof": "ledger:read",
    "GET /api/v1/ledger/proofs/consistency": None,
    "GET /api/v1/ledger/proofs/inclusion": None,
    "GET /api/v1/notices": "feed:read",
    "GET /api/v1/opinions": "statements:submit",
    "GET /api/v1/outcomes": "statements:submit",
    "GET /api/v1/partners/{slug}/jwks.json": None,  # any partner
    "GET /api/v1/programmes": None,
    "GET /api/v1/programmes/{slug}": None,
    "GET /api/v1/programmes/{slug}/feed": "feed:read",
    "GET /api/v1/programmes/{slug}/members": None,
    "GET /api/v1/quality": "statements:submit",
    "GET /api/v1/signals/{signal_id}": "statements:submit",
    "GET /api/v1/signals/{signal_id}/recall": "statements:submit",
    "GET /api/v1/signals/{signal_id}/standing": "feed:read",
    "GET /api/v1/submissions/{submission_id}": "statements:submit",
    "PATCH /api/v1/endpoints/{endpoint_id}": "endpoints:manage",
    "POST /api/v1/api-keys/{key_id}/roll": "keys:manage",
    "POST /api/v1/endpoints": "endpoints:manage",
    "POST /api/v1/endpoints/{endpoint_id}/replay": "endpoints:manage",
    "POST /api/v1/endpoints/{endpoint_id}/secret": "endpoints:manage",
    "POST /api/v1/endpoints/{endpoint_id}/test": "endpoints:manage",
    "POST /api/v1/explain": None,
    "POST /api/v1/keys": "keys:manage",
    "POST /api/v1/keys/{kid}/endorse": "keys:manage",
    "POST /api/v1/keys/{kid}/retire": "keys:manage",
    "POST /api/v1/keys/{kid}/revoke": "keys:manage",
    "POST /api/v1/programmes/{slug}/feed/ack": "feed:read",
    "POST /api/v1/statements": "statements:submit",
}
GUARDED = [operation for operation in OPERATIONS if str(operation) not in OPEN]
SCOPED = [operation for operation in GUARDED if SCOPES[str(operation)]]


@pytest.fixture(autouse=True)
def _fresh_windows() -> Iterator[None]:
    failures.forget()
    yield
    failures.forget()


def ask(operation: Operation, authorization: str | None = None, path: str | None = None, body: bytes = b"{}") -> Any:
    is_jose = operation.route.endswith(("/statements", "/endorse", "/receipt"))
    headers = {} if authorization is None else {"authorization": authorization}
    return Client().generic(
        operation.method.upper(),
        path or operation.at(),
        body if operation.method in {"post", "patch"} else b"",
        content_type="application/jose" if is_jose else "application/json",
        headers=headers,
    )


def bad_keys(cast: Cast) -> dict[str, str | None]:
    good = cast.acme.token
    head, secret, _ = good.rsplit("_", 2)
    gone = an_api_key(a_partner("gone-away", state=PartnerState.SUSPENDED))
    return {
        "no key": None,
        "empty": "",
        "another scheme": "Basic YWNtZTpzZWNyZXQ=",
        "no token": "Bearer",
        "malformed": "Bearer hg_dev_nonsense",
        "mistyped": f"Bearer {good[:-1]}{'0' if good[-1] != '0' else '1'}",
        "not ASCII": "Bearer hg_dev_\xe9",
        "very long": f"Bearer {'x' * 10_000}",
        "another environment": f"Bearer {good.replace('hg_dev', 'hg_live')}",
        "wrong secret": f"Bearer {head}_{secret[::-1]}_{crc_of(f'{head}_{secret[::-1]}')}",
        "unknown": f"Bearer {unknown_token(cast)}",
        "revoked": f"Bearer {an_api_key(cast.acme.partner, revoked_at=LONG_AGO)}",
        "expired": f"Bearer {an_api_key(cast.acme.partner, expires_at=NOON)}",
        "wrong network": f"Bearer {an_api_key(cast.acme.partner, networks=['192.0.2.0/24'])}",
        "suspended partner": f"Bearer {gone}",
    }


def crc_of(body: str) -> str:
    from partners.core import credentials

    return credentials._check(body)


def unknown_token(cast: Cast) -> str:
    token = an_api_key(cast.acme.partner)
    ApiKey.objects.filter(id=token.split("_")[2]).delete()
    return token


def test_every_operation_says_which_scope_it_needs() -> None:
    assert {str(operation) for operation in OPERATIONS} == set(SCOPES) | set(OPEN)


def test_every_unusable_key_gets_the_same_answer_whatever_exists(cast: Cast) -> None:
    [first, *others] = GUARDED
    answers = {}
    for name, header in bad_keys(cast).items():
        response = ask(first, header)
        answers[name] = (response.status_code, response.content, response["WWW-Authenticate"], sorted(response.headers))
    assert len(set(map(repr, answers.values()))) == 1, answers
    assert answers["no key"][0] == 401
    assert json.loads(answers["no key"][1])["code"] == "unauthorized"
    for operation in others:
        for header in (None, "Bearer hg_dev_nonsense"):
            response = ask(operation, header)
            assert (response.status_code, response.content) == answers["no key"][:2], operation


@pytest.mark.parametrize("kind", ["wrong secret", "revoked", "expired", "suspended partner"])
def test_no_operation_lets_a_dead_key_in(cast: Cast, kind: str) -> None:
    header = bad_keys(cast)[kind]
    assert {ask(operation, header).status_code for operation in GUARDED} == {401}


def test_open_doors_ask_for_nothing(cast: Cast) -> None:
    for operation in OPERATIONS:
        if str(operation) in OPEN:
            assert ask(operation).status_code == OPEN[str(operation)]


@pytest.mark.parametrize("operation", SCOPED, ids=str)
def test_a_key_without_the_scope_is_told_which(cast: Cast, operation: Operation) -> None:
    scope = SCOPES[str(operation)]
    token = an_api_key(cast.acme.partner, scopes=set(Scope) - {Scope(str(scope))})
    response = ask(operation, f"Bearer {token}")
    assert (response.status_code, response.json()["code"], response.json()["scope"]) == (403, "missing-scope", scope)


def test_what_is_anothers_looks_exactly_like_what_is_not(cast: Cast) -> None:
    """Every operation that names a thing, asked by a partner for a thing of another one."""
    acme, birch, outsider, _ = cast
    [verdict] = acme.say(acme.sign(acme.signal()))
    theirs = {
        "signal_id": verdict["signal"],
        "submission_id": Submission.objects.get().id,
        "endpoint_id": an_endpoint(cast).id,
        "kid": acme.key.kid,
        "key_id": acme.token.split("_")[2],
        "slug": "csea",
    }
    assert Signal.objects.filter(id=theirs["signal_id"]).exists()
    bodies = {"/roll": b'{"old_expires_in":60}', "/endorse": birch.sign({"v": 1}, "key-endorsement+jws")}
    named = [operation for operation in GUARDED if "{" in operation.route]
    assert len(named) > 10
    for operation in named:
        body = next((body for end, body in bodies.items() if operation.route.endswith(end)), b"{}")
        path = operation.at(**{**theirs, "slug": "acme-social" if "partners" in operation.route else "csea"})
        asked = f"Bearer {outsider.token}"
        forbidden, unknown = ask(operation, asked, path, body), ask(operation, asked, None, body)
        assert (forbidden.status_code, forbidden.content) == (unknown.status_code, unknown.content), operation
        assert forbidden.status_code == (422 if operation.route.endswith("/endorse") else 404), operation
        assert sorted(forbidden.headers) == sorted(unknown.headers)


def test_nobody_learns_of_a_fellow_members_own_things(cast: Cast) -> None:
    acme, birch, _, _ = cast
    [verdict] = acme.say(acme.sign(acme.signal()))
    for path in (
        f"signals/{verdict['signal']}",
        f"submissions/{Submission.objects.get().id}",
        f"endpoints/{an_endpoint(cast).id}",
    ):
        assert birch.http.get(f"/api/v1/{path}").status_code == 404
        assert acme.http.get(f"/api/v1/{path}").status_code == 200


def test_a_method_that_is_none_is_answered_with_those_that_are(cast: Cast) -> None:
    for operation in GUARDED:
        for method in ("OPTIONS", "TRACE", "PUT"):
            response = cast.acme.http.generic(method, operation.at())
            assert (response.status_code, response.json()["code"]) == (405, "method-not-allowed")
            assert operation.method.upper() in response["Allow"]
            assert "OPTIONS" not in response["Allow"]


def test_an_answer_in_another_media_type_is_refused(cast: Cast) -> None:
    response = cast.acme.http.get("/api/v1/programmes", headers={"accept": "text/html"})
    assert (response.status_code, response.json()["code"]) == (406, "not-acceptable")


def test_an_address_that_is_none_is_a_problem_document(cast: Cast) -> None:
    for path in (
        "/api/v1/nothing",
        "/api/v1/signals/not-a-uuid",
        "/api/v1/programmes/%00",
        "/api/v1/keys/%C3%A9/retire",
    ):
        response = cast.acme.http.get(path)
        assert (response.status_code, response["Content-Type"]) == (404, "application/problem+json")


def test_a_page_for_one_partner_is_kept_by_no_cache_between(cast: Cast) -> None:
    for operation in GUARDED:
        if operation.method == "get":
            response = ask(operation, f"Bearer {cast.acme.token}", operation.at(slug="csea"))
            assert "public" not in response.get("Cache-Control", "")
            if response.status_code == 200:
                assert response.get("Cache-Control"), operation


def an_endpoint(cast: Cast) -> Endpoint:
    at = now()
    return Endpoint.objects.create(
        partner_id=cast.acme.partner.pk,
        programme_id=cast.csea.pk,
        url="https://hooks.acme.example/",
        sealed_secret=b"",
        next_attempt_at=at,
        created_at=at,
    )
