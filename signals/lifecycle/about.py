"""Signals that a partner's statements name and that are not its own: receipts, opinions and outcomes are about them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TypeAlias

from hub.jose import from_base64url
from partners import public
from signals.core.claims import About, OpinionClaims, OutcomeClaims, ReceiptClaims
from signals.lifecycle.examine import Line
from signals.models import Signal, Statement

Named: TypeAlias = tuple[str, str, bytes]  # issuer's slug, jti, digest


def named(about: About) -> Named:
    """What `about` says, as a key."""
    return about.iss, about.jti, from_base64url(about.digest)


def named_signals(lines: Iterable[Line]) -> Mapping[Named, Signal]:
    """The signals that these lines' receipts, opinions and outcomes name, whoever they are for.

    Three queries if there is such a line among them, and none if there is not.
    """
    wanted = {
        named(line.claims.about)
        for line in lines
        if isinstance(line.claims, ReceiptClaims | OpinionClaims | OutcomeClaims)
    }
    if not wanted:
        return {}
    issuers = {facts.id: slug for slug, facts in public.partners_by_slug({slug for slug, _, _ in wanted}).items()}
    said = Statement.objects.filter(
        partner_id__in=issuers, jti__in={jti for _, jti, _ in wanted}, typ="signal+jws", signal_id__isnull=False
    ).values_list("partner_id", "jti", "digest", "signal_id")
    meant = {(issuers[issuer], jti, bytes(digest)): signal_id for issuer, jti, digest, signal_id in said}
    signals = Signal.objects.in_bulk({signal_id for name, signal_id in meant.items() if name in wanted})
    return {name: signals[signal_id] for name, signal_id in meant.items() if signal_id in signals}


def was_shown(signal: Signal, partner_id: int) -> bool:
    """Whether a signal of another came out with this partner in its audience; it may have been removed since."""
    if signal.issuer_id == partner_id or signal.published_at is None:
        return False
    if signal.audience == "programme":
        return True
    return (partner_id in signal.audience_partners) == (signal.audience == "only")
