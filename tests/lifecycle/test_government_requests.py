"""The register of requests by governments: closed words, a leaf for each step, nothing said twice."""

from __future__ import annotations

from datetime import timedelta

import pytest

from signals.core.government import Asker, Decision, Wanted
from signals.core.refusals import CannotMove
from signals.lifecycle.government_requests import decide_request, note_request
from signals.models import GovernmentRequest
from tests.companies import now
from tests.lifecycle.conftest import LedgerRefuses, Recorded

pytestmark = pytest.mark.django_db
STAFF = "staff:7"


def a_request(jurisdiction: str = "de") -> GovernmentRequest:
    return note_request(Asker.POLICE, jurisdiction, Wanted.DISCLOSURE, received_at=now(), actor=STAFF, at=now())


def test_a_request_and_what_was_done_have_their_leaves(recorded: Recorded) -> None:
    request = a_request()
    decide_request(request.id, Decision.REFUSED, actor=STAFF, at=now())
    received, decided = recorded()
    assert (received["action"], received["actor"]) == ("government-request.received", STAFF)
    assert received["facts"] == {"asker": "police", "jurisdiction": "DE", "wanted": "disclosure"}
    assert decided["facts"] == {"asker": "police", "jurisdiction": "DE", "decision": "refused"}
    assert received["subjects"] == decided["subjects"] == [f"government-request:{request.id}"]


def test_what_was_done_is_written_down_once() -> None:
    request = a_request()
    decide_request(request.id, Decision.NOTHING_HELD, actor=STAFF, at=now())
    for decision in (Decision.COMPLIED, Decision.OPEN):
        with pytest.raises(CannotMove):
            decide_request(request.id, decision, actor=STAFF, at=now())
    request.refresh_from_db()
    assert request.decision == "nothing-held"


def test_no_place_that_is_none_and_no_request_from_the_future() -> None:
    with pytest.raises(CannotMove):
        a_request("Germany")
    later = now() + timedelta(days=1)
    with pytest.raises(CannotMove):
        note_request(Asker.COURT, "DE", Wanted.REMOVAL, received_at=later, actor=STAFF, at=now())
    assert not GovernmentRequest.objects.exists()


def test_if_the_ledger_cannot_be_written_nothing_happened(ledger_refuses: LedgerRefuses) -> None:
    with ledger_refuses():
        a_request()
    assert not GovernmentRequest.objects.exists()
    request = a_request()
    with ledger_refuses():
        decide_request(request.id, Decision.COMPLIED, actor=STAFF, at=now())
    request.refresh_from_db()
    assert request.decision == ""
