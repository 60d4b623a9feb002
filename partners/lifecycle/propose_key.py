"""Propose a signing key: the hub knows it from now on, and nothing signed with it counts yet."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.db import IntegrityError, transaction
from django.db.models import Q

from hub.jose import thumbprint
from hub.ledger.record import record
from partners.core.keys import read_public_jwk
from partners.core.refusals import KeyTaken, WrongState
from partners.core.states import KeyState
from partners.lifecycle.rows import lock_active_partner
from partners.models import SigningKey

# An API key alone may propose, and every key is kept for ever: a stolen one must not fill the table. Giving a proposal
# up makes no room before its month is over, or proposing and retiring in turns would go round the limit.
MAX_PROPOSED = 20
PROPOSED_WITHIN = timedelta(days=30)


def propose_key(jwk: object, *, partner_slug: str, actor: str, at: datetime) -> SigningKey:
    """The proposed key, or this partner's key of that thumbprint as it stands: proposing twice changes nothing.

    Raises InvalidKey, PrivateKeySent, KeyTaken for another partner's key, WrongState when too many are waiting.
    """
    public = read_public_jwk(jwk)
    kid = thumbprint(public)
    with transaction.atomic():
        partner = lock_active_partner(partner_slug)
        known = SigningKey.objects.filter(partner=partner, kid=kid).first()
        if known is not None:
            return known
        waiting = Q(state=KeyState.PROPOSED.value) | Q(proposed_at__gt=at - PROPOSED_WITHIN)
        if partner.signing_keys.filter(waiting, activated_at__isnull=True).count() >= MAX_PROPOSED:
            raise WrongState(
                f"{MAX_PROPOSED} keys are waiting or were proposed within {PROPOSED_WITHIN.days} days without becoming "
                "active; endorse one of them, or retire what is older."
            )
        try:
            with transaction.atomic():
                key = SigningKey.objects.create(partner=partner, kid=kid, jwk=public, proposed_at=at)
        except IntegrityError:
            raise KeyTaken("This key cannot be registered; make a new one.") from None
        record(
            "key.proposed",
            actor=actor,
            at=at,
            subjects=[f"partner:{partner_slug}", f"key:{kid}"],
            facts={"jwk": public},
        )
    return key
