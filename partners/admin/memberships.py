"""Memberships in the admin: change the terms, suspend, resume, end."""

from __future__ import annotations

from typing import Any

from django.contrib import admin

from hub.staff.roles import Capability
from hub.staff.site import site
from hub.staff.verbs import RowVerb, VerbAdmin, Who
from partners.admin import forms
from partners.core.states import MembershipState
from partners.lifecycle.change_accountability import change_accountability
from partners.lifecycle.change_membership import change_membership
from partners.lifecycle.end_membership import end_membership
from partners.lifecycle.resume_membership import resume_membership
from partners.lifecycle.suspend_membership import suspend_membership
from partners.models import Membership

_MANAGE = Capability.PARTNERS_MANAGE


def _change(membership: Membership, given: dict[str, Any], who: Who) -> str:
    change_membership(membership.partner.slug, membership.programme.slug, forms.terms_from(given), **who)
    return "The terms stand as you wrote them."


def _answer(membership: Membership, given: dict[str, Any], who: Who) -> str:
    wanted = forms.accountability_from(given)
    change_accountability(membership.partner.slug, membership.programme.slug, wanted, **who)
    return "Who answers for it is written down."


def _suspend(membership: Membership, _given: dict[str, Any], who: Who) -> str:
    suspend_membership(membership.partner.slug, membership.programme.slug, **who)
    return f"{membership} is suspended."


def _resume(membership: Membership, _given: dict[str, Any], who: Who) -> str:
    resume_membership(membership.partner.slug, membership.programme.slug, **who)
    return f"{membership} is active."


def _end(membership: Membership, _given: dict[str, Any], who: Who) -> str:
    end_membership(membership.partner.slug, membership.programme.slug, **who)
    return f"{membership} has ended: it is told to erase what it holds."


@admin.register(Membership, site=site)
class MembershipAdmin(VerbAdmin[Membership]):
    """Partners in programmes. They begin on the partner's page."""

    to_view = Capability.PARTNERS_VIEW
    place = 12
    list_display = ("partner", "programme", "state", "generation", "may_submit", "may_receive", "training_valid_until")
    list_filter = ("state", "programme", "may_submit", "may_receive", "partner")
    list_select_related = ("partner", "programme")
    ordering = ("partner__slug", "programme__slug")
    row_verbs = (
        RowVerb(
            "change",
            "Change the terms",
            _MANAGE,
            "The new terms replace the old ones whole.",
            _change,
            forms.MemberTerms,
            initial=forms.MemberTerms.of,
            is_offered=lambda membership: membership.state != MembershipState.ENDED,
        ),
        RowVerb(
            "accountability",
            "Who answers for it",
            _MANAGE,
            "What you write replaces what stands; the ledger keeps contacts as commitments only.",
            _answer,
            forms.Answering,
            initial=forms.Answering.of,
            is_offered=lambda membership: membership.state != MembershipState.ENDED,
        ),
        RowVerb(
            "suspend",
            "Suspend",
            _MANAGE,
            "No pages, no deliveries and no statements until it is resumed; what it holds it may keep.",
            _suspend,
            is_offered=lambda membership: membership.state == MembershipState.ACTIVE,
        ),
        RowVerb(
            "resume",
            "Resume",
            _MANAGE,
            "It goes on where it stopped, in the same generation.",
            _resume,
            is_offered=lambda membership: membership.state == MembershipState.SUSPENDED,
        ),
        RowVerb(
            "end",
            "End",
            _MANAGE,
            "It is told to erase all it holds of the programme. A new beginning starts from nothing.",
            _end,
            is_offered=lambda membership: membership.state != MembershipState.ENDED,
        ),
    )
