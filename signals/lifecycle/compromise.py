"""Declaring a key compromised hides what was received under it, from all members: one proposes, another lets it happen.

What cannot wait does not: whoever proposes it may retire the key in the same step, and nothing that comes in under it
counts from then on.
"""

from __future__ import annotations

from datetime import datetime

from django.contrib.auth.models import User
from django.db import transaction

from hub.ledger.leaf import Json
from hub.staff.approvals import Act, Description, hold_proposer, propose, register
from hub.staff.models import Approval
from hub.staff.roles import Capability, Who
from partners import public
from partners.public import SigningKeyFacts
from signals.core.refusals import NotFound
from signals.lifecycle.effects.take import lock_issuer
from signals.lifecycle.quarantine import revoke_compromised_key

_KEY = "key:"
_THEN = (
    "what the hub received under them since is hidden from every member at once, and their withdrawals and opinions "
    "since are undone; signals may be cleared one by one afterwards, keys stay fallen"
)
_USABLE = {"proposed", "active"}


def propose_compromise(
    kid: str, *, compromised_at: datetime | None, is_retired_now: bool, by: User, reason: str, at: datetime
) -> Approval:
    """Propose that a key was compromised since then (None: nobody knows), and, if asked to, retire it at once.

    Retired with it are those that would fall with it: whoever stole one key could go on with another that it endorsed,
    and endorse more of them, so that the second person never sees what was proposed.
    Refuses NotFound, InvalidTime for a moment in the future, and what `propose` refuses.
    """
    key = _key(kid)
    public.check_moment(compromised_at, at=at)
    facts: dict[str, Json] = {"compromised_at": compromised_at.isoformat() if compromised_at else None}
    with transaction.atomic():
        hold_proposer(by)
        _lock(key)
        if is_retired_now:
            _retire_all(key, compromised_at, actor=f"staff:{by.pk}", at=at)
        return propose(COMPROMISE, by=by, subject=f"{_KEY}{kid}", facts=facts, reason=reason, at=at)


def _retire_all(key: SigningKeyFacts, compromised_at: datetime | None, *, actor: str, at: datetime) -> None:
    slug = public.partner(key.partner_id).slug
    falling = {key.kid, *public.would_fall(key.kid, partner_id=key.partner_id, compromised_at=compromised_at)}
    for kid, known in sorted(public.signing_keys(falling).items()):
        if known.state in _USABLE:
            public.retire_key(kid, partner_slug=slug, actor=actor, at=at)


def _key(kid: str) -> SigningKeyFacts:
    key = public.signing_keys([kid]).get(kid)
    if key is None:
        raise NotFound("No key with this kid is registered.")
    return key


def _lock(key: SigningKeyFacts) -> None:
    """In the order of `revoke_compromised_key`; nobody endorses or retires a key of the partner meanwhile."""
    lock_issuer(key.partner_id)
    public.hold_keys(key.partner_id)


def _about(approval: Approval) -> SigningKeyFacts:
    return _key(approval.subject.removeprefix(_KEY))


def _since(approval: Approval) -> datetime | None:
    said = approval.facts["compromised_at"]
    return datetime.fromisoformat(said) if said else None


def _describe(approval: Approval) -> Description:
    key, since = _about(approval), _since(approval)
    falling = public.would_fall(key.kid, partner_id=key.partner_id, compromised_at=since)
    return (
        ("Key", key.kid),
        ("Of", public.partner(key.partner_id).slug),
        ("It is", key.state),
        ("Compromised since", f"{since:%Y-%m-%d %H:%M} UTC" if since else "nobody knows: at any time"),
        ("Keys that fall", ", ".join(falling) or "none: it fell before, and no later than that"),
        ("Then", _THEN),
    )


def _perform(approval: Approval, who: Who) -> str:
    key = _about(approval)
    fallen = revoke_compromised_key(key.kid, partner_id=key.partner_id, compromised_at=_since(approval), **who)
    count = len(fallen.keys)
    return f"{count} key{'s have' if count != 1 else ' has'} fallen; what the hub received under them is hidden."


COMPROMISE = register(
    Act(
        name="key.compromise",
        meaning="Declare a signing key compromised",
        to_propose=Capability.KEYS_MANAGE,
        to_approve=Capability.PARTNERS_APPROVE,
        perform=_perform,
        describe=_describe,
        hold=lambda approval: _lock(_about(approval)),
    )
)
