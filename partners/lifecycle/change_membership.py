"""Change what a member may do, or note a newer agreement or a renewed training."""

from __future__ import annotations

from datetime import datetime

from django.db import transaction

from hub.ledger.record import record
from partners.core.refusals import WrongState
from partners.core.states import MembershipState
from partners.lifecycle.begin_membership import Terms, apply, facts_of
from partners.lifecycle.rows import lock_membership
from partners.models import Membership


def change_membership(partner_slug: str, programme_slug: str, terms: Terms, *, actor: str, at: datetime) -> Membership:
    """The membership under the new terms, which replace the old ones whole. Raises WrongState when it has ended."""
    with transaction.atomic():
        membership = lock_membership(partner_slug, programme_slug)
        if membership.state == MembershipState.ENDED:
            raise WrongState("The membership has ended; begin it anew.")
        before = terms_of(membership)
        if terms != before:
            apply(terms, membership)
            membership.save(update_fields=["may_submit", "may_receive", "agreement_version", "training_valid_until"])
            subjects = [f"partner:{partner_slug}", f"programme:{programme_slug}"]
            facts = {"after": facts_of(terms), "before": facts_of(before)}
            record("membership.changed", actor=actor, at=at, subjects=subjects, facts=facts)
    return membership


def terms_of(membership: Membership) -> Terms:
    """The terms as they stand."""
    return Terms(
        membership.may_submit,
        membership.may_receive,
        membership.agreement_version,
        membership.training_valid_until,
    )
