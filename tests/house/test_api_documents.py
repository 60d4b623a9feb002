"""The API's documents say what the code does: OpenAPI, problems, and the pages that show them."""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import jsonschema
import pytest
import yaml
from django.conf import settings
from django.test import Client
from django.urls import get_resolver

from hub import docs, openapi_examples, problems
from hub.jose import thumbprint
from hub.refusal import Refusal
from partners.core import endorsement
from signals.core import statement
from signals.core.refusals import LineRefusal, RequestRefusal
from signals.delivery import payload
from tests.api.routes import OPEN, operations

DOCS = settings.BASE_DIR / "docs"
NEVER_RAISED = {Refusal, LineRefusal, RequestRefusal}


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(docs.openapi_as_yaml())
    return found


def refusals(base: type[Refusal] = Refusal) -> Iterator[type[Refusal]]:
    assert get_resolver().url_patterns  # every door, and with it every refusal, is loaded
    for kind in base.__subclasses__():
        if kind.__module__.startswith(("signals.cases", "signals.bulk")):
            continue  # told to staff, on their own pages
        if kind.__module__.startswith(("hub.problems", "partners.", "signals.")):
            yield kind
            yield from refusals(kind)


# ---------------------------------------------------------------- OpenAPI
def test_the_committed_openapi_document_is_the_codes_own() -> None:
    assert (DOCS / "openapi.yaml").read_bytes() == docs.openapi_as_yaml(), "run `make openapi`"


def test_the_document_has_every_operation_and_no_other(document: dict[str, Any]) -> None:
    written = {f"{method.upper()} {path}" for path, item in document["paths"].items() for method in item}
    assert written == {str(operation) for operation in operations()}


def test_every_operation_explains_itself(document: dict[str, Any]) -> None:
    tags = {tag["name"] for tag in document["tags"]}
    names = set()
    for path, item in document["paths"].items():
        for method, operation in item.items():
            assert min(len(operation["summary"]), len(operation["description"])) > 5, path
            assert len(tags & set(operation["tags"])) == len(operation["tags"]) == 1, path
            names.add(operation["operationId"])
            is_open = f"{method.upper()} {path}" in OPEN
            assert operation["security"] == ([{}] if is_open else [{"apiKey": []}])
            for parameter in operation.get("parameters", ()):
                assert "description" in parameter or parameter["name"] == "limit", (path, method, parameter["name"])
    assert len(names) == len(operations())


def test_every_shape_has_an_example_that_fits_it(document: dict[str, Any]) -> None:
    schemas = document["components"]["schemas"]
    assert set(openapi_examples.EXAMPLES) | {"Problem"} == set(schemas)
    for name, example in openapi_examples.EXAMPLES.items():
        jsonschema.validate(
            example,
            {**document, "$ref": f"#/components/schemas/{name}"},
            cls=jsonschema.Draft202012Validator,
            format_checker=jsonschema.FormatChecker(),
        )


def test_examples_are_on_reserved_domains() -> None:
    text = str(openapi_examples.EXAMPLES)
    hosts = re.findall(r"[a-z]+://([a-z.-]+)", text)
    assert hosts
    assert all(host.endswith(".example") for host in hosts)


def test_the_examples_statements_verify() -> None:
    jwk = {name: openapi_examples.EXAMPLES["Jwk"][name] for name in ("kty", "crv", "x")}
    said = statement.parse(openapi_examples.STATEMENT.encode())
    statement.verify(said, jwk)
    assert said.kid == thumbprint(jwk)
    endorsed = endorsement.read(openapi_examples.ENDORSEMENT.encode())
    endorsement.verify(endorsed, jwk)
    assert endorsed.endorsed_kid == thumbprint(openapi_examples.EXAMPLES["Proposal"]["jwk"])


def test_the_webhooks_are_described_with_their_three_headers(document: dict[str, Any]) -> None:
    told = re.findall(r"^\| `([a-z]+\.[a-z]+)` \|", (DOCS / "delivery.md").read_text(), re.MULTILINE)
    assert set(document["webhooks"]) == set(told)
    assert len(told) == 6
    for hook in document["webhooks"].values():
        headers = {parameter["name"] for parameter in hook["post"]["parameters"]}
        assert headers == {"webhook-id", "webhook-timestamp", "webhook-signature"}
        media = hook["post"]["requestBody"]["content"]["application/json"]
        jsonschema.validate(media["example"], {**document, **media["schema"]}, cls=jsonschema.Draft202012Validator)


def test_what_is_posted_fits_its_webhook(document: dict[str, Any]) -> None:
    place: dict[str, Any] = {"channel": "endpoint:5f0c8d3e-2b1a-4c6d-9e8f-0a1b2c3d4e5f", "epoch": 1, "walk": 2}
    batch = {**place, "programme": "csea", "listed": True, "items": b""}
    owed = {"departure": "6f1c1f52-9a51-4c1e-8f0e-2f2b8a1d7c3e", "due_at": "2026-12-02T09:00:00+00:00"}
    endpoint = "5f0c8d3e-2b1a-4c6d-9e8f-0a1b2c3d4e5f"
    bodies = [
        payload.challenge(endpoint=endpoint, challenge="c" * 32),
        payload.test(endpoint=endpoint),
        b"".join(payload.batch(**batch)),
        b"".join(payload.batch(**batch, is_thin=True)),
        payload.notices(**place, listed=False, items=b""),
        payload.farewell(**place, programme="csea"),
        payload.farewell(**{**place, **owed}, programme="csea"),
    ]
    posted = [json.loads(body) for body in bodies]
    assert {body["type"] for body in posted} == set(document["webhooks"])
    for body in posted:
        media = document["webhooks"][body["type"]]["post"]["requestBody"]["content"]["application/json"]
        assert set(body) <= set(media["schema"]["properties"])
        jsonschema.validate(body, {**document, **media["schema"]}, cls=jsonschema.Draft202012Validator)


# ---------------------------------------------------------------- problems
def test_every_refusal_has_its_status_and_its_paragraph() -> None:
    told = {paragraph.code: paragraph for paragraph in problems.paragraphs()}
    for kind in set(refusals()) - NEVER_RAISED:
        if kind.code == Refusal.code:
            continue  # a base: every one that is raised has a code of its own
        assert kind.code in told, kind
        assert told[kind.code].title.endswith((".", ":")), kind
        if not issubclass(kind, LineRefusal):
            assert kind.code in problems.STATUS, kind
        assert inspect.getdoc(kind), kind


def test_every_status_belongs_to_a_refusal() -> None:
    assert set(problems.STATUS) <= {paragraph.code for paragraph in problems.paragraphs()}


def test_the_committed_page_of_problems_is_the_codes_own() -> None:
    assert (DOCS / "problems.md").read_text() == docs.problems_as_markdown(), "run `make openapi`"


# ---------------------------------------------------------------- pages
@pytest.mark.django_db
@pytest.mark.parametrize("path", ["/", "/appeal", "/api/docs", "/api/problems"])
def test_a_page_needs_no_outside_host_and_nothing_inline(path: str) -> None:
    response = Client().get(path)
    text = response.text
    assert response.status_code == 200
    policy = response["Content-Security-Policy"]
    assert "script-src 'self'" in policy
    assert "style-src 'self'" in policy
    assert "unsafe" not in policy
    assert not re.search(r"(?:src|href)=\"(?:https?:)?//", text)
    assert not re.search(r"<style|\sstyle=|\son[a-z]+=|<script(?![^>]*\ssrc=)", text)
    for address in re.findall(r"(?:src|href)=\"(/static/[^\"]+)\"", text):
        with closing(Client().get(address)) as file:
            assert file.status_code == 200, address


@pytest.mark.django_db
def test_a_problems_type_leads_to_its_paragraph() -> None:
    page = Client().get("/api/problems").text
    for paragraph in problems.paragraphs():
        assert f'id="{paragraph.code}"' in page
    document = Client().get("/api/v1/nothing").json()
    assert document["type"] == "http://testserver/api/problems#not-found"


@pytest.mark.django_db
def test_the_document_is_served_as_yaml() -> None:
    response = Client().get("/api/openapi.yaml")
    assert response["Content-Type"] == "application/yaml"
    assert yaml.safe_load(response.content)["openapi"].startswith("3.1")
