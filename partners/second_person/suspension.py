"""Suspending a company, or one membership of it, takes two people; so does letting it go on."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from django.contrib.auth.models import User
from django.db import transaction

from hub.staff.approvals import Act, Description, hold_proposer, register
from hub.staff.models import Approval
from hub.staff.roles import Capability, Who
from partners.core.refusals import WrongState
from partners.core.states import MembershipState, PartnerState
from partners.lifecycle.resume_membership import resume_membership
from partners.lifecycle.resume_partner import resume_partner
from partners.lifecycle.rows import lock_membership, lock_partner
from partners.lifecycle.suspend_membership import suspend_membership
from partners.lifecycle.suspend_partner import suspend_partner
from partners.second_person.about import (
    ALL_IT_SEES,
    hold_pair,
    hold_partner,
    pair,
    partner_slug,
    propose_about_pair,
    propose_about_partner,
    say_pair,
    say_partner,
)


def propose_suspension(slug: str, *, by: User, reason: str, at: datetime) -> Approval:
    """Propose that an active company be suspended in every programme.

    Refuses NoSuchPartner, WrongState and what `propose` refuses.
    """
    return _propose(SUSPEND, slug, PartnerState.ACTIVE, by=by, reason=reason, at=at)


def propose_resumption(slug: str, *, by: User, reason: str, at: datetime) -> Approval:
    """Propose that a suspended company goes on. Refuses NoSuchPartner, WrongState and what `propose` refuses."""
    return _propose(RESUME, slug, PartnerState.SUSPENDED, by=by, reason=reason, at=at)


def propose_membership_suspension(slug: str, programme_slug: str, *, by: User, reason: str, at: datetime) -> Approval:
    """Propose that an active membership be suspended.

    Refuses NoSuchMembership, WrongState and what `propose` refuses.
    """
    wanted = MembershipState.ACTIVE
    return _propose_in(SUSPEND_MEMBERSHIP, slug, programme_slug, wanted, by=by, reason=reason, at=at)


def propose_membership_resumption(slug: str, programme_slug: str, *, by: User, reason: str, at: datetime) -> Approval:
    """Propose that a suspended membership goes on. Refuses NoSuchMembership, WrongState and what `propose` refuses."""
    wanted = MembershipState.SUSPENDED
    return _propose_in(RESUME_MEMBERSHIP, slug, programme_slug, wanted, by=by, reason=reason, at=at)


def _propose(act: Act, slug: str, wanted: PartnerState, *, by: User, reason: str, at: datetime) -> Approval:
    with transaction.atomic():
        hold_proposer(by)
        partner = lock_partner(slug)
        if partner.state != wanted:
            raise WrongState(f"The partner is {partner.state}.")
        return propose_about_partner(act, slug, by=by, reason=reason, at=at)


def _propose_in(
    act: Act, slug: str, programme_slug: str, wanted: MembershipState, *, by: User, reason: str, at: datetime
) -> Approval:
    with transaction.atomic():
        hold_proposer(by)
        membership = lock_membership(slug, programme_slug)
        if membership.state != wanted:
            raise WrongState(f"The membership is {membership.state}.")
        return propose_about_pair(act, slug, programme_slug, {}, by=by, reason=reason, at=at)


def _saying(say: Callable[[Approval, str], Description], then: str) -> Callable[[Approval], Description]:
    return lambda approval: say(approval, then)


def _suspend(approval: Approval, who: Who) -> str:
    return f"{suspend_partner(partner_slug(approval), **who).slug} is suspended."


def _resume(approval: Approval, who: Who) -> str:
    return f"{resume_partner(partner_slug(approval), **who).slug} is active."


def _suspend_membership(approval: Approval, who: Who) -> str:
    return f"{suspend_membership(*pair(approval), **who)} is suspended."


def _resume_membership(approval: Approval, who: Who) -> str:
    return f"{resume_membership(*pair(approval), **who)} is active."


SUSPEND = register(
    Act(
        name="partner.suspend",
        meaning="Suspend a company in every programme",
        to_propose=Capability.PARTNERS_PROPOSE,
        to_approve=Capability.PARTNERS_APPROVE,
        perform=_suspend,
        describe=_saying(
            say_partner, "none of its API keys and signing keys works, in any programme, until it is resumed"
        ),
        hold=hold_partner,
    )
)

RESUME = register(
    Act(
        name="partner.resume",
        meaning="Let a suspended company go on",
        to_propose=Capability.PARTNERS_MANAGE,
        to_approve=Capability.PARTNERS_APPROVE,
        perform=_resume,
        describe=_saying(
            say_partner, f"its keys and memberships work as they did: where it may receive, it sees {ALL_IT_SEES}"
        ),
        hold=hold_partner,
    )
)

SUSPEND_MEMBERSHIP = register(
    Act(
        name="membership.suspend",
        meaning="Suspend a company in one programme",
        to_propose=Capability.PARTNERS_PROPOSE,
        to_approve=Capability.PARTNERS_APPROVE,
        perform=_suspend_membership,
        describe=_saying(
            say_pair, "no pages, no deliveries and no statements until it is resumed; what it holds it may keep"
        ),
        hold=hold_pair,
    )
)

RESUME_MEMBERSHIP = register(
    Act(
        name="membership.resume",
        meaning="Let a suspended membership go on",
        to_propose=Capability.PARTNERS_MANAGE,
        to_approve=Capability.PARTNERS_APPROVE,
        perform=_resume_membership,
        describe=_saying(say_pair, f"it goes on where it stopped: where it may receive, it sees {ALL_IT_SEES}"),
        hold=hold_pair,
    )
)
