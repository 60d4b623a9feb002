"""A held signal waits for a person: approved after its checks ran again, or refused for good."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest

from partners.lifecycle.suspend_membership import suspend_membership
from partners.models import Programme
from signals.core.refusals import CannotMove
from signals.lifecycle.quarantine import revoke_compromised_key
from signals.lifecycle.review import approve, refuse
from signals.models import Signal
from tests.builders import a_programme
from tests.companies import Company, a_company, now, settle
from tests.lifecycle.conftest import LedgerRefuses, Recorded

pytestmark = pytest.mark.django_db

STAFF = "staff:7"


@pytest.fixture
def pair(db: None) -> tuple[Company, Company]:
    programme = a_programme("csea")
    return a_company("acme-social", programme, is_probationary=True), a_company("birch-chat", programme)


@pytest.fixture
def held(pair: tuple[Company, Company]) -> Signal:
    acme, _ = pair
    [verdict] = acme.say(acme.sign(acme.signal()))
    assert (verdict["verdict"], verdict["held"]) == ("held", ["probation"])
    return Signal.objects.get()


def test_nobody_is_shown_what_is_held_and_its_author_reads_only_its_own_reasons(
    pair: tuple[Company, Company], held: Signal
) -> None:
    acme, birch = pair
    assert birch.feed()["items"] == [] == acme.feed(own="true")["items"]
    Signal.objects.filter(id=held.id).update(held_reasons=["probation", "contested"])
    assert acme.http.get(f"/api/v1/signals/{held.id}").json()["held"] == ["probation", "review"]


def test_approved_it_is_published(pair: tuple[Company, Company], held: Signal, recorded: Recorded) -> None:
    _, birch = pair
    approve(held.id, actor=STAFF, at=now())
    settle()
    assert len(birch.feed()["items"]) == 1
    assert "hold.approved" in {event["action"] for event in recorded()}


def test_a_poor_hash_is_held_whoever_says_it(pair: tuple[Company, Company]) -> None:
    _, birch = pair
    [verdict] = birch.say(birch.sign(birch.signal("0" * 64, type="pdq", quality=80)))
    assert (verdict["verdict"], verdict["held"]) == ("held", ["poor-hash"])


@pytest.mark.parametrize(
    "change",
    [
        lambda acme: suspend_membership("acme-social", "csea", actor=STAFF, at=now()),
        lambda acme: Programme.objects.update(violations=["other"]),
        lambda acme: Programme.objects.update(indicator_types=["md5"]),
        lambda acme: Signal.objects.update(expires_at=now() - timedelta(days=1)),
        lambda acme: revoke_compromised_key(
            acme.key.kid, partner_id=acme.partner.pk, compromised_at=None, actor=STAFF, at=now()
        ),
        lambda acme: acme.say(acme.withdrawal(_jws(acme))),
    ],
    ids=["suspended", "violation gone", "type gone", "expired", "key fell", "withdrawn"],
)
def test_approving_runs_the_checks_again(
    pair: tuple[Company, Company], held: Signal, change: Callable[[Company], object]
) -> None:
    acme, _ = pair
    change(acme)
    with pytest.raises(CannotMove):
        approve(held.id, actor=STAFF, at=now())
    settle()
    assert Signal.objects.get(id=held.id).revision == 0


def test_refused_it_is_gone_and_its_author_is_told_also_when_it_says_it_again(pair: tuple[Company, Company]) -> None:
    acme, birch = pair
    jws = acme.sign(acme.signal())
    acme.say(jws)
    refuse(Signal.objects.get().id, actor=STAFF, at=now())
    [verdict] = acme.say(jws)
    assert (verdict["verdict"], verdict["code"]) == ("refused", "refused-by-review")
    assert birch.feed()["items"] == []
    with pytest.raises(CannotMove):
        approve(Signal.objects.get().id, actor=STAFF, at=now())


def test_a_revision_of_what_is_held_is_held(pair: tuple[Company, Company]) -> None:
    acme, _ = pair
    first = acme.signal("https://bad.example/x")
    acme.say(acme.sign(first))
    [verdict] = acme.say(acme.sign(acme.signal("https://bad.example/x", supersedes=first["jti"])))
    assert verdict["verdict"] == "held"


def test_if_the_ledger_cannot_be_written_nothing_happened(held: Signal, ledger_refuses: LedgerRefuses) -> None:
    for decide in (approve, refuse):
        with ledger_refuses():
            decide(held.id, actor=STAFF, at=now())
        assert Signal.objects.get().state == "held"


def _jws(acme: Company) -> bytes:
    """The line that the held signal was said with, as its author keeps it."""
    from hub.vault import keyring
    from signals.lifecycle.examine import context
    from signals.models import Statement

    row = Statement.objects.get(partner_id=acme.partner.pk)
    said = keyring.open_sealed(bytes(row.sealed or b""), context=context(row.id))
    return said.rpartition(b'"jws":"')[2].rstrip(b'"')
