"""Endorse a proposed key with an active key of the same partner: the ordinary way in which a key becomes active."""

from __future__ import annotations

from datetime import datetime

from django.db import transaction

from hub.ledger.leaf import Json
from hub.ledger.record import Event, record_many
from partners.core import endorsement
from partners.core.endorsement import Endorsement
from partners.core.refusals import EndorsementRefused, WrongState
from partners.core.states import KeyState
from partners.lifecycle.rows import lock_active_partner, lock_signing_key
from partners.models import KeyEndorsement, Partner, SigningKey


def endorse_key(line: bytes, *, kid: str, partner_slug: str, hub_id: str, actor: str, at: datetime) -> SigningKey:
    """The key, active by this endorsement (a compact `key-endorsement+jws`); the same bytes again change nothing.

    Raises NoSuchKey for a key that was not proposed, EndorsementRefused with a `reason`, WrongState for one retired
    or revoked.
    """
    said = endorsement.read(line)
    with transaction.atomic():
        partner = lock_active_partner(partner_slug)
        key = lock_signing_key(partner, kid)
        sponsor = _sponsor(partner, said)
        endorsement.verify(said, sponsor.jwk)
        if _was_said_before(partner, said):
            return key
        if sponsor.state != KeyState.ACTIVE:
            raise EndorsementRefused(f"The endorsing key is {sponsor.state}.", reason="key-not-active")
        endorsement.check_claims(said, issuer=partner_slug, audience=hub_id, at=at)
        if said.endorsed_kid != kid:
            raise EndorsementRefused("The jwk is not the key of this address.", reason="schema", pointer="/jwk")
        if key.state != KeyState.PROPOSED:
            raise WrongState(f"The key is {key.state}.")
        key.state = KeyState.ACTIVE.value
        key.activated_at = at
        key.endorsed_by = sponsor
        key.save(update_fields=["state", "activated_at", "endorsed_by"])
        KeyEndorsement.objects.create(
            partner=partner,
            jti=said.jti,
            key=key,
            signed_with=sponsor,
            digest=said.digest,
            jws=said.verbatim,
            received_at=at,
        )
        record_many(_events(said, partner_slug, actor=actor, at=at))
    return key


def _sponsor(partner: Partner, said: Endorsement) -> SigningKey:
    sponsor = SigningKey.objects.filter(partner=partner, kid=said.kid).first()
    if sponsor is None:
        raise EndorsementRefused("The header's kid is no key of yours.", reason="unknown-key")
    return sponsor


def _was_said_before(partner: Partner, said: Endorsement) -> bool:
    """A jti is taken once: the same payload is the same statement, other bytes are refused."""
    earlier = KeyEndorsement.objects.filter(partner=partner, jti=said.jti).first()
    if earlier is None:
        return False
    if bytes(earlier.digest) != said.digest:
        raise EndorsementRefused("This jti was used for another endorsement.", reason="jti-reused", pointer="/jti")
    return True


def _events(said: Endorsement, partner_slug: str, *, actor: str, at: datetime) -> list[Event]:
    subjects = (f"partner:{partner_slug}", f"key:{said.endorsed_kid}")
    endorsed = {"endorsed_by": said.kid, "digest": said.digest.hex()}
    activated: dict[str, Json] = {"jwk": said.jwk, "endorsed_by": said.kid}
    return [
        Event(
            action="key.endorsed",
            actor=actor,
            at=at,
            subjects=(*subjects, f"key:{said.kid}"),
            facts=endorsed,
            private={"jti": said.jti},  # the partner's own text; a leaf is for ever
        ),
        Event(action="key.activated", actor=actor, at=at, subjects=subjects, facts=activated),
    ]
