"""Write down who answers for a member, on which legal ground it handles signals, and where."""

from __future__ import annotations

from datetime import datetime

from django.db import transaction

from hub.ledger.leaf import Json
from hub.ledger.record import record
from partners.core.accountability import Accountability, LawfulBasis
from partners.core.refusals import WrongState
from partners.core.states import MembershipState
from partners.lifecycle.rows import lock_membership
from partners.models import Membership

_CONTACTS = ("controller", "legal_contact", "security_contact")


def change_accountability(
    partner_slug: str, programme_slug: str, wanted: Accountability, *, actor: str, at: datetime
) -> Membership:
    """The membership with exactly this; the same again changes nothing. Raises WrongState, also when it has ended.

    Contacts may name persons: the leaf holds commitments to them, and the ground and the jurisdictions in clear.
    """
    wanted = wanted.checked()
    with transaction.atomic():
        membership = lock_membership(partner_slug, programme_slug)
        if membership.state == MembershipState.ENDED:
            raise WrongState("The membership has ended; begin it anew.")
        before = accountability_of(membership)
        if wanted != before:
            for name in _CONTACTS:
                setattr(membership, name, getattr(wanted, name))
            membership.lawful_basis = wanted.lawful_basis.value
            membership.jurisdictions = list(wanted.jurisdictions)
            membership.save(update_fields=[*_CONTACTS, "lawful_basis", "jurisdictions"])
            record(
                "membership.accountability-changed",
                actor=actor,
                at=at,
                subjects=[f"partner:{partner_slug}", f"programme:{programme_slug}"],
                facts={"after": _facts(wanted), "before": _facts(before)},
                private={name: getattr(wanted, name) for name in _CONTACTS},
            )
    return membership


def accountability_of(membership: Membership) -> Accountability:
    """What is written down now."""
    return Accountability(
        membership.controller,
        membership.legal_contact,
        membership.security_contact,
        LawfulBasis(membership.lawful_basis),
        tuple(membership.jurisdictions),
    )


def _facts(said: Accountability) -> dict[str, Json]:
    return {"lawful_basis": said.lawful_basis.value, "jurisdictions": list(said.jurisdictions)}
