"""A partner signs that it has deleted a removed signal: find which one it means, if it was ever for this partner."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime

from hub.jose import from_base64url
from partners import public
from signals.core.claims import ReceiptClaims
from signals.core.refusals import UnknownSignal
from signals.lifecycle.examine import Line
from signals.models import Receipt, Signal, Statement

Named = tuple[str, str, bytes]  # issuer's slug, jti, digest


def receipted_signals(lines: Iterable[Line], *, partner_id: int) -> Mapping[Named, Signal]:
    """The removed signals that these lines' receipts may name: others', and for this partner while they were served.

    Three queries if there is a receipt among them, and none if there is not.
    """
    named = {_named(line.claims) for line in lines if isinstance(line.claims, ReceiptClaims)}
    if not named:
        return {}
    issuers = {facts.id: slug for slug, facts in public.partners_by_slug({slug for slug, _, _ in named}).items()}
    said = Statement.objects.filter(
        partner_id__in=issuers, jti__in={jti for _, jti, _ in named}, typ="signal+jws", signal_id__isnull=False
    ).values_list("partner_id", "jti", "digest", "signal_id")
    meant = {(issuers[issuer], jti, bytes(digest)): signal_id for issuer, jti, digest, signal_id in said}
    signals = Signal.objects.in_bulk({signal_id for name, signal_id in meant.items() if name in named})
    found = {name: signals[signal_id] for name, signal_id in meant.items() if signal_id in signals}
    return {name: signal for name, signal in found.items() if _was_for(signal, partner_id)}


def receipt_of(line: Line, signals: Mapping[Named, Signal], *, partner_id: int, at: datetime) -> Receipt:
    """The row of one receipt, or UnknownSignal: in the same words whether there is no such signal or not for it."""
    assert isinstance(line.claims, ReceiptClaims)
    assert line.programme is not None
    assert line.key is not None
    signal = signals.get(_named(line.claims))
    if signal is None or signal.programme_id != line.programme.id:
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


def _named(claims: ReceiptClaims) -> Named:
    return claims.about.iss, claims.about.jti, from_base64url(claims.about.digest)


def _was_for(signal: Signal, partner_id: int) -> bool:
    if signal.issuer_id == partner_id or not signal.removal or signal.published_at is None:
        return False
    if signal.audience == "programme":
        return True
    return (partner_id in signal.audience_partners) == (signal.audience == "only")
