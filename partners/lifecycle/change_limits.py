"""Give a company limits of its own, or those of everybody again."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime

from django.db import transaction

from hub.ledger.record import record
from partners.core.limits import OwnLimits
from partners.core.refusals import InvalidLimits
from partners.lifecycle.rows import lock_partner
from partners.models import Partner

HIGHEST = 1_000_000


def change_limits(slug: str, limits: OwnLimits, *, actor: str, at: datetime) -> Partner:
    """The partner with exactly these limits, from its next request on; the same ones again change nothing.

    Refuses NoSuchPartner and InvalidLimits.
    """
    wanted = asdict(limits)
    for name, value in wanted.items():
        if value is not None and not 1 <= value <= HIGHEST:
            raise InvalidLimits(f"A limit lies between 1 and {HIGHEST:,}, or is left out.", pointer=f"/{name}")
    with transaction.atomic():
        partner = lock_partner(slug)
        before = {name: getattr(partner, name) for name in wanted}
        if wanted != before:
            for name, value in wanted.items():
                setattr(partner, name, value)
            partner.save(update_fields=list(wanted))
            facts = {"before": before, "after": wanted}
            record("partner.limits-changed", actor=actor, at=at, subjects=[f"partner:{slug}"], facts=facts)
    return partner
