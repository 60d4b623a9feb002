"""A partner reads its own opinions, where a signal stands, and how good its own signals have proved."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest

from partners.models import Programme
from signals.compliance.quality import quality_of
from signals.lifecycle.quarantine import revoke_compromised_key
from tests.companies import Company, now

pytestmark = pytest.mark.django_db


def said(company: Company, **members: Any) -> tuple[str, bytes]:
    jws = company.sign(company.signal(**members))
    return str(company.say(jws)[0]["signal"]), jws


def asked(company: Company, path: str, status: int = 200, **query: Any) -> dict[str, Any]:
    answer = company.http.get(f"/api/v1/{path}", query)
    assert answer.status_code == status, answer.content
    document: dict[str, Any] = answer.json()
    return document


def test_ones_own_opinions_are_listed_newest_first_with_what_stands(acme: Company, birch: Company) -> None:
    identity, jws = said(acme)
    _, other = said(acme)
    birch.say(birch.opinion(jws, "seen", jti="o-1"), birch.opinion(jws, "outdated", jti="o-2"))
    taken_back = birch.opinion(other, "confirm", jti="o-3")
    birch.say(taken_back)
    birch.say(birch.retraction(taken_back))
    page = asked(birch, "opinions")
    rows = [(each["jti"], each["opinion"], each["reason"], each["stands"]) for each in page["opinions"]]
    assert rows == [
        ("o-3", "confirm-own", "", False),
        ("o-2", "outdated", "account-closed", True),
        ("o-1", "seen", "", False),
    ]
    assert page["opinions"][1]["signal"] == identity
    first = asked(birch, "opinions", limit=2)
    assert (len(first["opinions"]), first["next"]) == (2, "o-2")
    assert [each["jti"] for each in asked(birch, "opinions", before="o-2")["opinions"]] == ["o-1"]
    assert asked(acme, "opinions") == {"opinions": [], "next": None}
    assert asked(acme, "opinions", 400, before="o-2")["code"] == "parameter-invalid"
    birch.say(birch.outcome(jws, "account-actioned", jti="did-1", policy="tos/4"))
    [row] = asked(birch, "outcomes")["outcomes"]
    assert (row["jti"], row["did"], row["review"], row["basis"]) == (
        "did-1",
        ["account-actioned"],
        "human",
        "own-finding",
    )
    assert (row["policy"], row["stands"]) == ("tos/4", True)


def test_what_a_fallen_key_signed_does_not_stand(acme: Company, birch: Company) -> None:
    _, jws = said(acme)
    birch.say(birch.opinion(jws, "seen"))
    revoke_compromised_key(
        birch.key.kid, partner_id=birch.partner.pk, compromised_at=None, actor="partner:birch-chat", at=now()
    )
    assert [each["stands"] for each in asked(birch, "opinions")["opinions"]] == [False]
    identity = asked(birch, "opinions")["opinions"][0]["signal"]
    assert asked(acme, f"signals/{identity}/standing")["opinions"] == {}  # at once, weighed again or not


def test_a_standing_is_that_of_now_for_whom_the_signal_is_for(acme: Company, birch: Company, cedar: Company) -> None:
    identity, jws = said(acme, permitted=["investigate", "refer"])
    birch.say(birch.opinion(jws, "confirm"), birch.outcome(jws, "referred"))
    cedar.say(cedar.opinion(jws, "confirm", observation="derived"))
    for company in (acme, birch, cedar):
        assert asked(company, f"signals/{identity}/standing") == {
            "signal": identity,
            "programme": "csea",
            "state": "published",
            "permitted": ["investigate", "refer"],
            "standing": "corroborated",
            "opinions": {"confirm-derived": 1, "confirm-own": 1},
            "outcomes": {"referred": 1},
        }
    acme.say(acme.withdrawal(jws))
    gone = asked(cedar, f"signals/{identity}/standing")
    assert (gone["state"], gone["permitted"]) == ("withdrawn", [])


def test_the_standing_of_what_is_not_for_one_is_not_found(acme: Company, birch: Company, cedar: Company) -> None:
    jws = acme.sign(acme.signal(audience="routed"))
    [verdict, _] = acme.say(jws, acme.routing(jws, only=["birch-chat"]))
    path = f"signals/{verdict['signal']}/standing"
    assert asked(birch, path)["standing"] == "unreviewed"
    hidden, never = asked(cedar, path, 404), asked(cedar, f"signals/{UUID(int=7)}/standing", 404)
    assert (hidden["code"], hidden["detail"]) == (never["code"], never["detail"])


def test_quality_counts_what_proved_right_wrong_withdrawn_and_echoed(
    acme: Company, birch: Company, cedar: Company, csea: Programme
) -> None:
    lines = [said(acme)[1] for _ in range(5)]
    birch.say(
        birch.opinion(lines[0], "confirm"),
        birch.outcome(lines[1], "account-actioned"),
        birch.outcome(lines[2], "account-actioned", basis="signal-alone", review="none"),
        birch.opinion(lines[3], "false-positive"),
    )
    acme.say(acme.withdrawal(lines[4]))
    said(acme, type="domain", value="derived.example", origin="derived")
    domain, url = asked(acme, "quality")["types"]
    assert (url["signals"], url["right"], url["wrong"], url["withdrawn"]) == (5, 2, 1, 1)
    assert url["precision"] == {"of": 3, "value": 0.6667, "low": 0.2077, "high": 0.9385}
    assert (url["dispute_rate"]["value"], url["echo_share"]["value"]) == (0.2, 0.0)
    assert url["seconds_to_withdraw"] > 0
    assert (domain["type"], domain["echo_share"]["value"], domain["precision"]["value"]) == ("domain", 1.0, None)
    assert asked(birch, "quality") == {"types": []}


def test_ones_own_figures_tell_nothing_of_what_is_hidden_from_one(
    acme: Company, birch: Company, cedar: Company, csea: Programme
) -> None:
    value = "https://bad.example/hidden"
    hidden = cedar.sign(cedar.signal(value, audience="routed"))
    cedar.say(hidden, cedar.routing(hidden, only=["birch-chat"]))
    said(acme, value=value)
    [url] = asked(acme, "quality")["types"]
    assert (url["right"], url["echo_share"]["value"]) == (0, 0.0)
    seen = quality_of(acme.partner.pk, programme_ids=[csea.pk], hidden=True, at=now())["url"]
    assert (seen.tally.right, seen.tally.echoes) == (1, 1)
