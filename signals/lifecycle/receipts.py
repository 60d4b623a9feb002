"""A partner signs that it has deleted a removed signal: find which one it means, if it was ever for this partner."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

from signals.core.claims import ReceiptClaims
from signals.core.refusals import UnknownSignal
from signals.lifecycle.about import Named, named, was_shown
from signals.lifecycle.examine import Line
from signals.models import Receipt, Signal


def receipt_of(line: Line, signals: Mapping[Named, Signal], *, partner_id: int, at: datetime) -> Receipt:
    """The row of one receipt, or UnknownSignal: in the same words whether there is no such signal or not for it."""
    assert isinstance(line.claims, ReceiptClaims)
    assert line.programme is not None
    assert line.key is not None
    signal = signals.get(named(line.claims.about))
    if signal is None or signal.programme_id != line.programme.id or not _was_for(signal, partner_id):
        raise UnknownSignal("The partner has no signal with this jti and digest.", pointer="/about")
    deleted_at = line.claims.deleted_at
    return Receipt(
        statement_id=line.id,
        signal_id=signal.id,
        partner_id=partner_id,
        key_id=line.key.id,
        deleted_at=datetime.fromtimestamp(deleted_at, tz=UTC) if deleted_at is not None else None,
        scope=list(line.claims.scope or ()),
        received_at=at,
    )


def _was_for(signal: Signal, partner_id: int) -> bool:
    return bool(signal.removal) and was_shown(signal, partner_id)
