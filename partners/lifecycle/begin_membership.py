"""Let a partner into a programme, for the first time or again; either way a new generation begins."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime

from django.db import transaction

from hub.ledger.record import record
from partners.core.refusals import WrongState
from partners.core.states import MembershipState
from partners.lifecycle.rows import lock_active_partner, lock_programme
from partners.models import Membership


@dataclass(frozen=True, slots=True)
class Terms:
    """What a member may do, which agreement it signed, and the last day its people's training counts."""

    may_submit: bool = True
    may_receive: bool = True
    agreement_version: int = 0
    training_valid_until: date | None = None


def begin_membership(partner_slug: str, programme_slug: str, terms: Terms, *, actor: str, at: datetime) -> Membership:
    """The membership, active, its generation one higher than ever. Raises WrongState while one is running."""
    with transaction.atomic():
        partner = lock_active_partner(partner_slug)
        programme = lock_programme(programme_slug)  # two beginnings of one pair meet here
        membership = Membership.objects.filter(partner=partner, programme=programme).first()
        if membership is None:
            membership = Membership(partner=partner, programme=programme, generation=0)
        elif membership.state != MembershipState.ENDED:
            raise WrongState(f"The partner is in the programme already; the membership is {membership.state}.")
        membership.state = MembershipState.ACTIVE.value
        membership.generation += 1
        membership.began_at = at
        membership.ended_at = None
        apply(terms, membership)
        membership.save()
        record(
            "membership.began",
            actor=actor,
            at=at,
            subjects=[f"partner:{partner_slug}", f"programme:{programme_slug}"],
            facts={"generation": membership.generation, **facts_of(terms)},
        )
    return membership


def apply(terms: Terms, membership: Membership) -> None:
    """Write the terms on the row, not yet saved."""
    membership.may_submit = terms.may_submit
    membership.may_receive = terms.may_receive
    membership.agreement_version = terms.agreement_version
    membership.training_valid_until = terms.training_valid_until


def facts_of(terms: Terms) -> dict[str, bool | int | str | None]:
    """The terms as a leaf holds them."""
    until = terms.training_valid_until
    return {
        "may_submit": terms.may_submit,
        "may_receive": terms.may_receive,
        "agreement_version": terms.agreement_version,
        "training_valid_until": until.isoformat() if until else None,
    }
