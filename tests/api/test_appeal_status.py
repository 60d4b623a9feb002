"""Whoever holds an appeal's reference reads how it stands, without a key, and learns nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest
from django.conf import settings as hub_settings
from django.test import Client
from pytest_django import DjangoAssertNumQueries, Settings

from partners.api.guessing import guessing
from signals.cases import claiming, deciding
from signals.core.cases import Outcome
from signals.models import Case
from tests.builders import a_programme
from tests.companies import Company, a_company, now

pytestmark = pytest.mark.django_db
SHOWN = {"state", "appealed_at", "due_at", "decided_at"}
SECRETS = ("acme", "dora", "csea", "mistaken", "bad.example")  # members, the programme, the reason, the value


@pytest.fixture(autouse=True)
def _nobody_is_remembered(full_buckets: None) -> Iterator[None]:
    guessing.forget()
    yield
    guessing.forget()


@pytest.fixture
def dora(db: None) -> Company:
    return a_company("dora-games", a_programme("csea"))


@pytest.fixture
def reference(dora: Company) -> str:
    from partners.models import Programme

    acme = a_company("acme-social", Programme.objects.get())
    [verdict] = acme.say(acme.sign(acme.signal()))
    asked = {"programme": "csea", "signal": verdict["signal"], "reason": "mistaken-identity"}
    body = {**asked, "evidence": "identity-checked"}
    return str(dora.http.post("/api/v1/appeals", body, content_type="application/json").json()["reference"])


def ask(reference: object) -> Any:
    return Client().get(f"/api/v1/appeal-status/{reference}")


def type_in(reference: str) -> Any:
    return Client().post("/appeal", {"reference": reference})


def test_a_reference_shows_state_and_times_to_whoever_holds_it(reference: str) -> None:
    said = ask(reference)
    assert (said.status_code, set(said.json()), said.json()["state"]) == (200, SHOWN, "in-review")
    page = type_in(f"  {reference.upper()} ").content.decode()
    assert "in-review" in page
    assert "To be decided by" in page
    for text in (said.content.decode(), page):
        assert not [secret for secret in SECRETS if secret in text]
    assert reference not in page


@pytest.mark.parametrize(
    ("outcome", "reason", "in_words"),
    [(Outcome.UPHELD, "victim", "asked to put right"), (Outcome.REJECTED, "insufficient", "what was reported stands")],
)
def test_what_was_decided_is_said_and_not_why(reference: str, outcome: Outcome, reason: str, in_words: str) -> None:
    who: dict[str, Any] = {"actor": "staff:7", "at": now()}
    case = claiming.claim(Case.objects.get(kind="appeal").pk, **who)
    assert case.lease_token
    how: dict[str, Any] = {"outcome": outcome, "reason": reason, "policy": "handbook 4", "text": "a comment"}
    deciding.decide(case.pk, token=case.lease_token, version=case.version, **how, **who)
    said = ask(reference).json()
    assert (said["state"], said["due_at"], said["decided_at"] is not None) == (outcome.value, None, True)
    page = type_in(reference).content.decode()
    assert in_words in page
    assert not [secret for secret in (*SECRETS, reason, "handbook", "a comment") if secret in page]


def test_unknown_and_mistyped_look_the_same(reference: str, django_assert_num_queries: DjangoAssertNumQueries) -> None:
    answers = [ask(each) for each in (uuid4(), uuid4(), "nonsense", reference[:-1], "%00", "x" * 500)]
    assert {(answer.status_code, answer.content) for answer in answers} == {(404, answers[0].content)}
    pages = [type_in(each) for each in (str(uuid4()), "nonsense", "", reference[:-1], "x" * 500)]
    assert {(page.status_code, page.content) for page in pages} == {(404, pages[0].content)}
    known = ask(reference)
    assert {tuple(sorted(answer.headers)) for answer in (known, *answers)} == {tuple(sorted(known.headers))}
    assert ask(reference.upper()).json() == known.json()


def test_guessing_is_limited_by_address_and_locks_no_key_out(reference: str, dora: Company, settings: Settings) -> None:
    settings.LIMITS = {**hub_settings.LIMITS, "unauthorized": (0.01, 3)}
    assert [ask(uuid4()).status_code for _ in range(3)] == [404, 404, 404]
    refused = ask(reference)
    assert (refused.status_code, refused.json()["code"]) == (429, "rate-limited")
    assert refused["Retry-After"]
    page = type_in(reference)
    assert (page.status_code, "in-review" in page.content.decode()) == (429, False)
    assert page["Retry-After"]
    assert dora.http.get("/api/v1/programmes").status_code == 200


def test_the_page_is_plain_and_sets_no_cookie(reference: str) -> None:
    for page in (Client().get("/appeal"), type_in(reference)):
        assert page.status_code == 200
        assert "<script" not in page.content.decode()
        assert not page.cookies
        assert "no-store" in page["Cache-Control"]
    assert Client().delete("/appeal").status_code == 405
