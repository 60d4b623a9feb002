"""Rows as the members of JSON answers; times are RFC 3339 in UTC."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from partners.core.keys import fingerprint
from partners.core.membership import is_in_good_standing
from partners.core.states import KeyState, MembershipState, PartnerState
from partners.models import ApiKey, Membership, SigningKey


def signing_key(key: SigningKey) -> dict[str, Any]:
    """One of the caller's own keys."""
    return {
        "kid": key.kid,
        "fingerprint": fingerprint(key.kid),
        "jwk": key.jwk,
        "state": key.state,
        "proposed_at": key.proposed_at,
        "activated_at": key.activated_at,
        "retired_at": key.retired_at,
        "revoked_at": key.revoked_at,
        "compromised_at": key.compromised_at,
        "endorsed_by": key.endorsed_by.kid if key.endorsed_by else None,
    }


def published_jwk(key: SigningKey) -> dict[str, Any]:
    """A key for fellow members. A key revoked since nobody knows when was valid for no time at all."""
    ends = [key.retired_at, key.compromised_at]
    if key.state == KeyState.REVOKED and key.compromised_at is None:
        ends.append(key.activated_at)
    published = {
        **key.jwk,
        "kid": key.kid,
        "use": "sig",
        "state": key.state,
        "valid_from": key.activated_at,
        "valid_until": min((end for end in ends if end is not None), default=None),
        "compromised_at": key.compromised_at,
    }
    endorsement = next(iter(key.endorsements.all()), None)
    return published if endorsement is None else {**published, "endorsement": bytes(endorsement.jws).decode("ascii")}


def programme(membership: Membership, *, at: datetime) -> dict[str, Any]:
    """A programme with the caller's own standing in it."""
    programme = membership.programme
    is_good = membership.state == MembershipState.ACTIVE and is_in_good_standing(
        agreement_version=membership.agreement_version,
        agreement_demanded=programme.agreement_version,
        training_valid_until=membership.training_valid_until,
        is_training_required=programme.is_training_required,
        on=at.date(),
    )
    return {
        "slug": programme.slug,
        "name": programme.name,
        "violations": programme.violations,
        "indicator_types": programme.indicator_types,
        "retention_days": programme.retention_days,
        "agreement_version": programme.agreement_version,
        "on_leaving": programme.on_leaving,
        "membership": {
            "state": membership.state,
            "generation": membership.generation,
            "may_submit": is_good and membership.may_submit,
            "may_receive": is_good and membership.may_receive,
            "agreement_version": membership.agreement_version,
            "training_valid_until": membership.training_valid_until,
        },
    }


def member(membership: Membership) -> dict[str, Any]:
    """A fellow member; a suspended company counts as a suspended member."""
    is_suspended = membership.state != MembershipState.ACTIVE or membership.partner.state != PartnerState.ACTIVE
    return {
        "slug": membership.partner.slug,
        "name": membership.partner.name,
        "state": "suspended" if is_suspended else "active",
    }


def api_key(key: ApiKey) -> dict[str, Any]:
    """One of the caller's own API keys, without anything secret."""
    return {
        "id": key.pk,
        "name": key.label,
        "scopes": key.scopes,
        "networks": key.networks,
        "issued_at": key.issued_at,
        "expires_at": key.expires_at,
        "last_used_at": key.last_used_at,
    }
