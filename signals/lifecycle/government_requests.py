"""Keep the register of requests by governments: one came, and what the hub's operator did about it."""

from __future__ import annotations

import re
from datetime import datetime
from uuid import UUID

from django.db import transaction

from hub.ledger.record import record
from signals.core.government import Asker, Decision, Wanted
from signals.core.refusals import CannotMove
from signals.models import GovernmentRequest

_JURISDICTION = re.compile(r"[A-Z]{2}(-[A-Z0-9]{1,3})?")


def note_request(
    asker: Asker, jurisdiction: str, wanted: Wanted, *, received_at: datetime, actor: str, at: datetime
) -> GovernmentRequest:
    """Write down that a request came. Refuses CannotMove for a jurisdiction that is no code, or a time yet to come."""
    jurisdiction = jurisdiction.strip().upper()
    if not _JURISDICTION.fullmatch(jurisdiction):
        raise CannotMove("A jurisdiction is a code of ISO 3166, such as DE or US-CA.")
    if received_at > at:
        raise CannotMove("A request that came in the future is a slip of the pen.")
    with transaction.atomic():
        request = GovernmentRequest.objects.create(
            received_at=received_at, asker=asker.value, jurisdiction=jurisdiction, wanted=wanted.value
        )
        facts = {"asker": asker.value, "jurisdiction": jurisdiction, "wanted": wanted.value}
        record(
            "government-request.received",
            actor=actor,
            at=at,
            subjects=[f"government-request:{request.id}"],
            facts=facts,
        )
    return request


def decide_request(request_id: UUID, decision: Decision, *, actor: str, at: datetime) -> GovernmentRequest:
    """Write down what was done about it, once. Refuses CannotMove when that is written down already."""
    with transaction.atomic():
        request = GovernmentRequest.objects.select_for_update().filter(id=request_id).first()
        if request is None or request.decision or not decision:
            raise CannotMove("What was done about it is written down already, and stays.")
        request.decision, request.decided_at = decision.value, at
        request.save(update_fields=["decision", "decided_at"])
        record(
            "government-request.decided",
            actor=actor,
            at=at,
            subjects=[f"government-request:{request.id}"],
            facts={"decision": decision.value, "asker": request.asker, "jurisdiction": request.jurisdiction},
        )
    return request
