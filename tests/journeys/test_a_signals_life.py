"""A signal's life, read aloud: said, verified, published, read by those entitled, withdrawn, expired, purged."""

from __future__ import annotations

from datetime import timedelta

import pytest

from signals.lifecycle.expire import expire_due
from signals.lifecycle.purge import purge_due
from signals.models import Signal, Statement
from tests.builders import a_programme
from tests.companies import Company, a_company, now, settle


@pytest.fixture
def csea(db: None) -> tuple[Company, Company, Company]:
    programme = a_programme("csea")
    a_programme("ncii")
    return a_company("acme-social", programme), a_company("birch-chat", programme), a_company("outsider")


def test_what_one_company_says_the_other_reads_and_the_outsider_does_not(
    csea: tuple[Company, Company, Company],
) -> None:
    acme, birch, outsider = csea
    jws = acme.sign(acme.signal("HTTP://Bad.Example:80/path#fragment"))

    [verdict] = acme.say(jws)
    page = birch.feed()

    assert verdict["verdict"] == "accepted"
    assert verdict["state"] == "published"
    [item] = page["items"]
    assert item["indicator"]["value"] == "http://bad.example/path"
    assert item["issuer"] == "acme-social"
    assert item["jws"] == jws.decode()
    assert page["listed"] is True
    assert page["more"] is False
    assert acme.feed()["items"] == []
    assert [i["id"] for i in acme.feed(own="true")["items"]] == [item["id"]]
    assert outsider.feed()["code"] == "not-found"


def test_a_withdrawal_reaches_who_was_told_as_a_tombstone(csea: tuple[Company, Company, Company]) -> None:
    acme, birch, _ = csea
    jws = acme.sign(acme.signal())
    acme.say(jws)
    page = birch.feed()

    acme.say(acme.withdrawal(jws))
    later = birch.feed(after=page["next"])

    [tombstone] = later["items"]
    assert tombstone["id"] == page["items"][0]["id"]
    assert tombstone["state"] == "withdrawn"
    assert tombstone["revision"] == 2
    assert set(tombstone) == {"id", "revision", "state", "changed_at"}
    assert birch.feed()["items"] == []


def test_a_signal_expires_and_its_content_is_erased(csea: tuple[Company, Company, Company]) -> None:
    acme, birch, _ = csea
    [verdict] = acme.say(acme.sign(acme.signal()))
    page = birch.feed()

    assert expire_due(at=now() + timedelta(days=366)) == 1
    assert [item["state"] for item in birch.feed(after=page["next"])["items"]] == ["expired"]
    assert purge_due(at=now() + timedelta(days=366 + 31)) == 1

    signal = Signal.objects.get(id=verdict["signal"])
    assert signal.state == "purged"
    assert signal.value_index is None
    assert not Statement.objects.filter(signal_id=signal.id, sealed__isnull=False).exists()
    assert [item["state"] for item in birch.feed(after=page["next"])["items"]] == ["expired"]


def test_a_revision_moves_the_signal(csea: tuple[Company, Company, Company]) -> None:
    acme, birch, _ = csea
    first = acme.signal("https://bad.example/x", confidence=10)
    [said] = acme.say(acme.sign(first))
    page = birch.feed()

    acme.say(acme.sign(acme.signal("https://bad.example/x", confidence=90, supersedes=first["jti"])))

    [item] = birch.feed(after=page["next"])["items"]
    assert item["id"] == said["signal"]
    assert item["revision"] == 2
    assert item["signal"]["confidence"] == 90


def test_a_routed_signal_waits_for_its_routing_and_then_only_widens(
    csea: tuple[Company, Company, Company],
) -> None:
    acme, birch, _ = csea
    cedar = a_company("cedar-video", *[m.programme for m in birch.partner.memberships.all()])
    jws = acme.sign(acme.signal(audience="routed", tlp="red"))
    [verdict] = acme.say(jws)
    assert verdict["waiting"] == "routing"
    assert birch.feed()["items"] == [] == cedar.feed()["items"]

    acme.say(acme.routing(jws, only=["birch-chat"]))
    assert len(birch.feed()["items"]) == 1
    page = cedar.feed()
    assert page["items"] == []

    [narrower] = acme.say(acme.routing(jws, only=["cedar-video"]))
    assert narrower["code"] == "audience-narrowed"
    acme.say(acme.routing(jws, only=["birch-chat", "cedar-video"]))
    assert len(cedar.feed(after=page["next"])["items"]) == 1


def test_a_withdrawal_before_its_signal_meets_it(csea: tuple[Company, Company, Company]) -> None:
    acme, birch, _ = csea
    jws = acme.sign(acme.signal())

    [early] = acme.say(acme.withdrawal(jws))
    [late] = acme.say(jws)

    assert early["waiting"] == "signal"
    assert late["verdict"] == "accepted"
    assert late["state"] == "withdrawn"
    assert birch.feed()["items"] == []


def test_the_same_batch_twice_gets_the_same_verdicts(csea: tuple[Company, Company, Company]) -> None:
    acme, birch, _ = csea
    lines = [acme.sign(acme.signal()) for _ in range(5)]

    first, second = acme.submit(*lines), acme.submit(*lines)
    settle()

    assert Signal.objects.count() == 5
    assert [v["signal"] for v in acme.say(*lines)] == [v["signal"] for v in acme.say(*lines)]
    assert first.id != second.id
    assert len(birch.feed()["items"]) == 5
