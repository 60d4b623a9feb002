"""An operator lets a proposed key in after comparing fingerprints: a partner's first key, or one after a loss."""

from __future__ import annotations

from datetime import datetime

from django.db import transaction

from hub.ledger.record import record
from partners.core.refusals import WrongState
from partners.core.states import KeyState
from partners.lifecycle.rows import lock_active_partner, lock_signing_key
from partners.models import SigningKey


def activate_key(kid: str, *, partner_slug: str, actor: str, at: datetime) -> SigningKey:
    """The active key; twice changes nothing. Raises NoSuchKey, and WrongState for one retired or revoked."""
    with transaction.atomic():
        partner = lock_active_partner(partner_slug)
        key = lock_signing_key(partner, kid)
        if key.state not in (KeyState.PROPOSED, KeyState.ACTIVE):
            raise WrongState(f"The key is {key.state}, and a key never comes back.")
        if key.state == KeyState.PROPOSED:
            key.state = KeyState.ACTIVE.value
            key.activated_at = at
            key.approved_by = actor
            key.save(update_fields=["state", "activated_at", "approved_by"])
            record(
                "key.activated",
                actor=actor,
                at=at,
                subjects=[f"partner:{partner_slug}", f"key:{kid}"],
                facts={"jwk": key.jwk, "endorsed_by": None},
            )
    return key
