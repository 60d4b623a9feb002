"""A signed deletion receipt: taken from whom the signal was for, refused to everybody else in the same words."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from django.conf import settings
from heliograph_client import statements

from partners.models import Programme
from signals.compliance.recall import who_had
from signals.core.recall import Standing
from signals.lifecycle.quarantine import revoke_compromised_key
from signals.models import Receipt, Statement
from tests.companies import Company, a_company, membership_of, now
from tests.lifecycle.conftest import LedgerRefuses, Recorded

pytestmark = pytest.mark.django_db


def receipt(company: Company, jws: bytes, **members: Any) -> bytes:
    payload = statements.receipt(
        issuer=company.slug,
        hub=settings.HUB_ID,
        **{"programme": "csea", "about": statements.about(jws), "at": now(), **members},
    )
    return company.sign(payload, statements.RECEIPT)


def removed(acme: Company, *lines: bytes) -> tuple[UUID, bytes]:
    jws = acme.sign(acme.signal())
    said = acme.say(jws, *lines)
    acme.say(acme.withdrawal(jws))
    return UUID(said[0]["signal"]), jws


def test_a_receipt_is_kept_recorded_and_shown_on_the_board(acme: Company, birch: Company, recorded: Recorded) -> None:
    jws = acme.sign(acme.signal())
    [said] = acme.say(jws)
    birch.feed()
    acme.say(acme.withdrawal(jws))
    deleted_at = now() - timedelta(minutes=3)
    line = receipt(birch, jws, deleted_at=deleted_at, scope=["systems", "backups"])
    [verdict] = birch.say(line)
    assert (verdict["verdict"], verdict["type"], verdict["signal"]) == ("accepted", "receipt", said["signal"])
    row = Receipt.objects.get()
    assert (row.partner_id, row.scope) == (birch.partner.pk, ["systems", "backups"])
    assert row.deleted_at == deleted_at.replace(microsecond=0)
    [event] = [each for each in recorded() if each["facts"].get("typ") == "receipt+jws"]
    assert (event["action"], f"signal:{said['signal']}" in event["subjects"]) == ("statement.accepted", True)
    board = who_had(UUID(said["signal"]), at=now() + timedelta(days=2))
    assert board is not None
    assert [copy.standing for copy in board.copies] == [Standing.RECEIPT]
    answer = acme.http.get(f"/api/v1/signals/{said['signal']}/recall").json()
    assert (answer["receipts"], answer["acknowledged"]) == (1, 0)


def test_the_same_receipt_twice_counts_once_and_other_bytes_under_its_jti_are_refused(
    acme: Company, birch: Company
) -> None:
    _, jws = removed(acme)
    line = receipt(birch, jws, jti="gone-1")
    assert [birch.say(line)[0]["verdict"] for _ in range(2)] == ["accepted", "accepted"]
    assert Receipt.objects.count() == 1
    [verdict] = birch.say(receipt(birch, jws, jti="gone-1", scope=["derived"]))
    assert verdict["code"] == "jti-reused"


def test_what_stands_was_not_for_one_or_never_was_is_unknown_in_the_same_words(
    acme: Company, birch: Company, csea: Programme
) -> None:
    cedar = a_company("cedar-video", csea)
    standing = acme.sign(acme.signal())
    routed = acme.sign(acme.signal(audience="routed"))
    acme.say(standing, routed, acme.routing(routed, only=["cedar-video"]))
    acme.say(acme.withdrawal(routed))
    _, gone = removed(acme)
    never = birch.sign(birch.signal())
    other = {**statements.about(gone), "digest": statements.about(standing)["digest"]}
    lines = [
        receipt(birch, standing),
        receipt(birch, routed),
        receipt(birch, never),
        receipt(birch, gone, about={**statements.about(gone), "iss": "nobody"}),
        receipt(birch, gone, about=other),
    ]
    verdicts = birch.say(*lines) + acme.say(receipt(acme, gone))
    assert {(each["code"], each["detail"], each["pointer"]) for each in verdicts} == {
        ("unknown-signal", "The partner has no signal with this jti and digest.", "/about")
    }
    assert cedar.say(receipt(cedar, routed))[0]["verdict"] == "accepted"


def test_who_only_receives_or_has_left_may_still_say_that_it_deleted(acme: Company, birch: Company) -> None:
    _, jws = removed(acme)
    membership = membership_of(birch, Programme.objects.get())
    membership.may_submit = False
    membership.save(update_fields=["may_submit"])
    assert birch.say(receipt(birch, jws))[0]["verdict"] == "accepted"
    membership.state, membership.ended_at = "ended", now()
    membership.save(update_fields=["state", "ended_at"])
    assert birch.say(receipt(birch, jws))[0]["verdict"] == "accepted"
    outsider = a_company("outsider")
    assert outsider.say(receipt(outsider, jws))[0]["code"] == "not-a-member"


@pytest.mark.parametrize("members", [{"scope": []}, {"scope": ["systems", "systems"]}, {"scope": ["cloud"]}])
def test_a_scope_is_of_closed_words(acme: Company, birch: Company, members: dict[str, Any]) -> None:
    _, jws = removed(acme)
    payload = statements.receipt(
        issuer="birch-chat", hub=settings.HUB_ID, programme="csea", about=statements.about(jws), at=now()
    )
    [verdict] = birch.say(birch.sign(payload | members, statements.RECEIPT))
    assert (verdict["code"], verdict["pointer"].startswith("/scope")) == ("schema", True)


def test_a_receipt_under_a_key_that_fell_counts_no_more(acme: Company, birch: Company) -> None:
    jws = acme.sign(acme.signal())
    [said] = acme.say(jws)
    birch.feed()
    acme.say(acme.withdrawal(jws))
    birch.say(receipt(birch, jws))
    revoke_compromised_key(
        birch.key.kid, partner_id=birch.partner.pk, compromised_at=None, actor="partner:birch-chat", at=now()
    )
    board = who_had(UUID(said["signal"]), at=now())
    assert board is not None
    assert (board.receipts, [copy.standing for copy in board.copies]) == ((), [Standing.WAITING])


def test_if_the_ledger_cannot_be_written_there_is_no_receipt(
    acme: Company, birch: Company, ledger_refuses: LedgerRefuses
) -> None:
    _, jws = removed(acme)
    with ledger_refuses():
        birch.say(receipt(birch, jws))
    assert not Receipt.objects.exists()
    assert not Statement.objects.filter(typ="receipt+jws").exists()
