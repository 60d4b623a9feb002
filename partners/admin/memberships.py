"""Memberships in the admin: change the terms, propose to suspend, to resume, to end."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from hub.staff.roles import Capability, has, member
from hub.staff.second_person import Why
from hub.staff.site import site
from hub.staff.verbs import RowVerb, VerbAdmin, Who
from partners.admin import forms
from partners.core.states import MembershipState
from partners.lifecycle.change_accountability import change_accountability
from partners.models import Membership
from partners.second_person.about import PROPOSED
from partners.second_person.audience import change_membership_or_propose
from partners.second_person.suspension import propose_membership_resumption, propose_membership_suspension

_MANAGE = Capability.PARTNERS_MANAGE


def _change(membership: Membership, given: dict[str, Any], who: Who) -> str:
    about, terms = (membership.partner.slug, membership.programme.slug), forms.terms_from(given)
    proposal = change_membership_or_propose(*about, terms, by=member(who), reason=given["reason"], at=who["at"])
    return "The terms stand as you wrote them." if proposal is None else PROPOSED


def _answer(membership: Membership, given: dict[str, Any], who: Who) -> str:
    wanted = forms.accountability_from(given)
    change_accountability(membership.partner.slug, membership.programme.slug, wanted, **who)
    return "Who answers for it is written down."


def _suspend(membership: Membership, given: dict[str, Any], who: Who) -> str:
    about = membership.partner.slug, membership.programme.slug
    propose_membership_suspension(*about, by=member(who), reason=given["reason"], at=who["at"])
    return PROPOSED


def _resume(membership: Membership, given: dict[str, Any], who: Who) -> str:
    about = membership.partner.slug, membership.programme.slug
    propose_membership_resumption(*about, by=member(who), reason=given["reason"], at=who["at"])
    return PROPOSED


@admin.register(Membership, site=site)
class MembershipAdmin(VerbAdmin[Membership]):
    """Partners in programmes. They begin on the partner's page."""

    to_view = Capability.PARTNERS_VIEW
    place = 12
    list_display = ("partner", "programme", "state", "generation", "may_submit", "may_receive", "training_valid_until")
    list_filter = ("state", "programme", "may_submit", "may_receive", "partner")
    list_select_related = ("partner", "programme")
    ordering = ("partner__slug", "programme__slug")
    readonly_fields = ("if_it_leaves",)
    row_verbs = (
        RowVerb(
            "change",
            "Change the terms",
            _MANAGE,
            "The new terms replace the old ones whole. Where it comes to receive by them, a second person decides.",
            _change,
            forms.OtherTerms,
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
            "Propose to suspend",
            Capability.PARTNERS_PROPOSE,
            "Once a second person has approved it: no pages, no deliveries and no statements until it is resumed; "
            "what it holds it may keep.",
            _suspend,
            Why,
            is_offered=lambda membership: membership.state == MembershipState.ACTIVE,
        ),
        RowVerb(
            "resume",
            "Propose to resume",
            _MANAGE,
            "Once a second person has approved it, it goes on where it stopped, in the same generation.",
            _resume,
            Why,
            is_offered=lambda membership: membership.state == MembershipState.SUSPENDED,
        ),
    )

    def get_fields(self, request: HttpRequest, obj: Membership | None = None) -> list[Any]:
        """The facts; and for who manages companies, the way to end it."""
        may = obj is not None and obj.state != MembershipState.ENDED and has(request.user, _MANAGE)
        fields = [name for name in super().get_fields(request, obj) if name != "if_it_leaves"]
        return [*fields, *(["if_it_leaves"] if may else [])]

    @admin.display(description="If it leaves")
    def if_it_leaves(self, membership: Membership) -> SafeString:
        """The way to signals' page, which settles what it said and what it holds."""
        address = reverse("admin:signals_departure_list_verb", args=["propose"])
        about = membership.partner.slug, membership.programme.slug
        return format_html(
            '<a href="{}?partner={}&amp;programme={}">Propose that it leaves the programme</a>', address, *about
        )
