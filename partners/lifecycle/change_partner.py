"""Rename a company; its slug never changes, because statements name it."""

from __future__ import annotations

from datetime import datetime

from django.db import transaction

from hub.ledger.record import record
from partners.core.refusals import WrongState
from partners.lifecycle.rows import lock_partner
from partners.models import Partner


def change_partner(slug: str, *, name: str, actor: str, at: datetime) -> Partner:
    """The partner under its new name."""
    with transaction.atomic():
        partner = lock_partner(slug)
        if not name.strip():
            raise WrongState("A partner has a name.", pointer="/name")
        before, partner.name = partner.name, name.strip()
        if partner.name != before:
            partner.save(update_fields=["name"])
            facts = {"name": partner.name, "name_before": before}
            record("partner.changed", actor=actor, at=at, subjects=[f"partner:{slug}"], facts=facts)
    return partner
