"""Revoke an API key: it opens no door from the commit on."""

from __future__ import annotations

from datetime import datetime

from django.db import transaction

from hub.ledger.record import record
from partners.lifecycle.rows import lock_api_key, lock_partner
from partners.models import ApiKey


def revoke_api_key(key_id: str, *, partner_slug: str, actor: str, at: datetime) -> ApiKey:
    """The revoked API key; twice changes nothing. Raises NoSuchApiKey."""
    with transaction.atomic():
        partner = lock_partner(partner_slug)
        key = lock_api_key(partner, key_id)
        if key.revoked_at is None:
            key.revoked_at = at
            key.save(update_fields=["revoked_at"])
            subjects = [f"partner:{partner_slug}"]
            record("api-key.revoked", actor=actor, at=at, subjects=subjects, facts={"api_key": key_id})
    return key
