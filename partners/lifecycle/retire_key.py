"""Retire a signing key nobody else ever held: what the hub received under it before stays good."""

from __future__ import annotations

from datetime import datetime

from django.db import transaction

from hub.ledger.record import record
from partners.core.refusals import WrongState
from partners.core.states import KeyState
from partners.lifecycle.rows import lock_partner, lock_signing_key
from partners.models import SigningKey


def retire_key(kid: str, *, partner_slug: str, actor: str, at: datetime) -> SigningKey:
    """The retired key (a proposal is given up the same way); twice changes nothing. Raises WrongState if revoked."""
    with transaction.atomic():
        partner = lock_partner(partner_slug)
        key = lock_signing_key(partner, kid)
        if key.state == KeyState.REVOKED:
            raise WrongState("The key is revoked.")
        if key.state != KeyState.RETIRED:
            key.state = KeyState.RETIRED.value
            key.retired_at = at
            key.save(update_fields=["state", "retired_at"])
            subjects = [f"partner:{partner_slug}", f"key:{kid}"]
            record("key.retired", actor=actor, at=at, subjects=subjects, facts={"jwk": key.jwk})
    return key
