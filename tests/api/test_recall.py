"""Acknowledging a feed, and what an author reads of its recall."""

from __future__ import annotations

from typing import Any

import pytest

from hub.ledger.epochs import renew_epoch
from signals.models import Acknowledgement
from tests.api.conftest import Cast
from tests.companies import Company, membership_of, now
from tests.lifecycle.conftest import LedgerRefuses, Recorded, ledger_refuses, recorded

__all__ = ["ledger_refuses", "recorded"]


def ack(company: Company, cursor: object, programme: str = "csea") -> Any:
    address = f"/api/v1/programmes/{programme}/feed/ack"
    return company.http.post(address, {"cursor": cursor}, content_type="application/json")


def recall(company: Company, signal: str) -> Any:
    return company.http.get(f"/api/v1/signals/{signal}/recall")


def test_a_recall_is_counted_for_its_author_until_everybody_has_acknowledged(cast: Cast) -> None:
    jws = cast.acme.sign(cast.acme.signal())
    [said] = cast.acme.say(jws)
    shown = cast.birch.feed()
    assert recall(cast.acme, said["signal"]).json()["code"] == "not-found", "it stands"
    cast.acme.say(cast.acme.withdrawal(jws))
    before = recall(cast.acme, said["signal"]).json()
    expected = {"kind": "withdrawn", "had": 1, "possibly_had": 0, "acknowledged": 0, "overdue": 0, "receipts": 0}
    assert before.items() >= expected.items()
    told = cast.birch.feed(after=shown["next"])
    assert [item["state"] for item in told["items"]] == ["withdrawn"]
    said_ack = ack(cast.birch, told["next"])
    assert said_ack.json() == {"programme": "csea", "channel": "pull", "epoch": told["epoch"], "walk": told["walk"]}
    after = recall(cast.acme, said["signal"]).json()
    assert after.items() >= {**expected, "acknowledged": 1, "told": 1, "cleared": 0}.items()
    assert after["last_acknowledged_at"] is not None
    assert not {"birch-chat", "partner", "position"} & set(str(after).split("'"))


def test_a_recall_of_another_and_one_that_never_was_look_the_same(cast: Cast) -> None:
    jws = cast.acme.sign(cast.acme.signal())
    [said] = cast.acme.say(jws)
    cast.birch.feed()
    cast.acme.say(cast.acme.withdrawal(jws))
    answers = [
        recall(cast.birch, said["signal"]),
        recall(cast.outsider, said["signal"]),
        recall(cast.acme, "0198c5c2-7f00-7a3b-8000-3c5d6e7f8091"),
    ]
    assert {(answer.status_code, answer.content) for answer in answers} == {(404, answers[0].content)}


def test_within_a_walk_an_acknowledgement_only_rises_and_a_newer_walk_replaces_it(
    cast: Cast, recorded: Recorded
) -> None:
    for _ in range(2):
        cast.acme.say(cast.acme.sign(cast.acme.signal()))
    first = cast.birch.feed(limit=1)
    second = cast.birch.feed(after=first["next"], limit=1)
    for cursor in (second["next"], first["next"], second["next"]):
        assert ack(cast.birch, cursor).status_code == 200
    row = Acknowledgement.objects.get()
    assert (row.partner_id, row.walk_id, row.position) == (cast.birch.partner.pk, second["walk"], 2)
    events = [event for event in recorded() if event["action"] == "feed.acknowledged"]
    assert [event["facts"] for event in events] == [{"channel": "pull", "walk": second["walk"]}]
    cast.acme.say(cast.acme.sign(cast.acme.signal()))
    anew = cast.birch.feed(limit=1)
    assert anew["walk"] > second["walk"]
    ack(cast.birch, anew["next"])
    ack(cast.birch, second["next"])
    row.refresh_from_db()
    assert (row.walk_id, row.position) == (anew["walk"], 1)


@pytest.mark.parametrize("cursor", ["", "x", "A" * 60, "é", "%00", "A" * 401, None, 5, ["x"]])
def test_what_is_no_cursor_is_refused(cast: Cast, cursor: object) -> None:
    cast.birch.feed()
    problem = ack(cast.birch, cursor).json()
    assert (problem["code"], problem["pointer"]) in {("cursor-invalid", "/cursor"), ("invalid-request", "/cursor")}


def test_the_refusals_are_those_of_the_feed(cast: Cast) -> None:
    cast.acme.say(cast.acme.sign(cast.acme.signal()))
    theirs, own = cast.birch.feed()["next"], cast.acme.feed()["next"]
    assert ack(cast.birch, own).json()["code"] == "cursor-invalid"
    assert ack(cast.outsider, theirs).json()["code"] == "not-found"
    assert ack(cast.birch, theirs, "nobodys").json()["code"] == "not-found"
    membership = membership_of(cast.birch, cast.csea)
    membership.generation += 1
    membership.save(update_fields=["generation"])
    assert ack(cast.birch, theirs).json()["code"] == "cursor-expired"
    assert not Acknowledgement.objects.exists()


def test_a_cursor_of_before_a_restore_is_expired(cast: Cast) -> None:
    cast.acme.say(cast.acme.sign(cast.acme.signal()))
    cursor = cast.birch.feed()["next"]
    renew_epoch("restored", actor="system:restore", at=now())
    assert (ack(cast.birch, cursor).status_code, ack(cast.birch, cursor).json()["code"]) == (410, "cursor-expired")


def test_if_the_ledger_cannot_be_written_nothing_is_acknowledged(cast: Cast, ledger_refuses: LedgerRefuses) -> None:
    cast.acme.say(cast.acme.sign(cast.acme.signal()))
    cursor = cast.birch.feed()["next"]
    with ledger_refuses():
        ack(cast.birch, cursor)
    assert not Acknowledgement.objects.exists()
