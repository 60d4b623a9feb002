"""The doors of one endpoint over HTTP: its secret, replay, test, attempts, health and drawing."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest

from signals.lifecycle.deliver import deliver_due
from signals.models import Endpoint
from tests.builders import a_programme
from tests.companies import Company, a_company, now
from tests.receivers import Receiver, accepts, in_turn, refuses

pytestmark = pytest.mark.django_db


def ask(company: Company, path: str, document: dict[str, Any] | None = None) -> Any:
    http = company.http
    if document is None:
        return http.get(f"/api/v1/endpoints{path}")
    return http.post(f"/api/v1/endpoints{path}", json.dumps(document), content_type="application/json")


def test_a_life_over_http_from_challenge_to_replay() -> None:
    programme = a_programme("csea")
    acme, birch = a_company("acme-social", programme), a_company("birch-chat", programme)
    with Receiver(in_turn(accepts(), refuses(503, body=b"down for maintenance"), accepts())) as receiver:
        wanted = {"programme": "csea", "url": receiver.url, "signatures": ["v1", "v1a"], "payload": "thin"}
        made = ask(birch, "", {**wanted, "posts_per_minute": 6000, "alert_email": "oncall@birch.example"}).json()
        one = f"/{made['id']}"
        assert (made["verified_at"], made["signatures"], made["payload"]) == (None, ["v1", "v1a"], "thin")
        assert made["public_keys"][0].startswith("whpk_")
        acme.say(acme.sign(acme.signal()))
        for _ in range(3):
            Endpoint.objects.update(next_attempt_at=now() - timedelta(seconds=1))
            deliver_due(clock=now, for_at_most=timedelta(seconds=2))
        shown = ask(birch, one).json()
        assert shown["verified_at"] is not None
        page = ask(birch, f"{one}/attempts").json()
        came = [(each["kind"], each["status"], each["delivered"]) for each in page["attempts"]]
        assert came == [("batch", 200, True), ("batch", 503, False), ("challenge", 200, True)]
        assert page["attempts"][1]["excerpt"] == "down for maintenance"
        older = ask(birch, f"{one}/attempts?limit=1&before={page['attempts'][0]['at']}").json()
        assert [each["status"] for each in older["attempts"]] == [503]
        health = ask(birch, f"{one}/health").json()
        assert (health["lag"]["signals"], health["attempts"], health["breaker"]) == (0, 3, "closed")
        drawn = ask(birch, f"{one}/health.svg")
        assert drawn["Content-Type"] == "image/svg+xml"
        assert drawn.content.startswith(b"<svg ")
        rotated = ask(birch, f"{one}/secret", {"old_valid_for": 3600}).json()
        assert rotated["secret"] != made["secret"]
        assert len(rotated["old_secrets_valid_until"]) == 1
        assert ask(birch, f"{one}/replay", {"from": "start"}).status_code == 200
        assert ask(birch, f"{one}/test", {}).status_code == 202
        deliver_due(clock=now, for_at_most=timedelta(seconds=2))
        sent = [json.loads(received.body)["type"] for received in receiver.received[-2:]]
        assert sorted(sent) == ["endpoint.test", "feed.changes"]


def test_a_parameter_of_the_attempts_that_there_is_not_is_refused() -> None:
    birch = a_company("birch-chat", a_programme("csea"))
    made = ask(birch, "", {"programme": "csea", "url": "https://hooks.birch.example/"}).json()
    answer = ask(birch, f"/{made['id']}/attempts?after=2026-11-20T12:00:00Z")
    assert (answer.status_code, answer.json()["code"], answer.json()["parameter"]) == (
        400,
        "parameter-invalid",
        "after",
    )


@pytest.mark.parametrize(
    ("door", "document"),
    [
        ("secret", {"old_valid_for": 7 * 86400 + 1}),
        ("secret", {"old_valid_for": -1}),
        ("replay", {}),
        ("replay", {"from": "yesterday"}),
        ("replay", {"from": "2026-11-20T12:00:00"}),
        ("replay", {"from": "start", "to": "end"}),
    ],
)
def test_what_cannot_be_done_is_said_and_changes_nothing(door: str, document: dict[str, Any]) -> None:
    birch = a_company("birch-chat", a_programme("csea"))
    made = ask(birch, "", {"programme": "csea", "url": "https://hooks.birch.example/"}).json()
    before = Endpoint.objects.values().get()
    answer = ask(birch, f"/{made['id']}/{door}", document)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid-request")
    assert Endpoint.objects.values().get() == before


@pytest.mark.parametrize(
    "wanted", [{"signatures": ["v1a"]}, {"posts_per_minute": 0}, {"payload": "fat"}, {"ca_pem": "x"}]
)
def test_terms_that_make_no_sense_are_refused(wanted: dict[str, Any]) -> None:
    birch = a_company("birch-chat", a_programme("csea"))
    answer = ask(birch, "", {"programme": "csea", "url": "https://hooks.birch.example/", **wanted})
    assert answer.status_code == 422
    assert not Endpoint.objects.exists()
