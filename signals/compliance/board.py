"""What an author may read of its own recall: counts, and nobody's name."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from signals.compliance.recall import who_had
from signals.core.recall import Standing
from signals.core.refusals import NotFound
from signals.models import Signal


def recall_document(signal_id: UUID, *, partner_id: int, at: datetime) -> dict[str, Any]:
    """The counts of a recall of one's own; NotFound for others' signals and for those that stand, alike."""
    is_own = Signal.objects.filter(id=signal_id, issuer_id=partner_id).exists()
    found = who_had(signal_id, at=at) if is_own else None
    if found is None:
        raise NotFound("There is nothing here that this key may see.")
    tally = found.tally
    return {
        "signal": str(signal_id),
        "kind": found.kind,
        "recalled_at": found.at,
        "had": found.had,
        "possibly_had": found.possibly_had,
        "acknowledged": found.acknowledged,
        "told": tally[Standing.TOLD],
        "cleared": tally[Standing.CLEARED],
        "overdue": tally[Standing.OVERDUE],
        "receipts": len({receipt.partner_id for receipt in found.receipts}),
        "last_acknowledged_at": found.last_acknowledged_at,
    }
