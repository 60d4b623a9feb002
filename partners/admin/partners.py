"""Companies in the admin: enrol, suspend, resume, let join, propose a key, issue an API key."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from hub.staff.roles import Capability, has, member
from hub.staff.second_person import Why
from hub.staff.site import site
from hub.staff.verbs import ListVerb, RowVerb, ShownOnce, VerbAdmin, Who
from partners.admin import forms
from partners.core.keys import fingerprint
from partners.core.limits import OwnLimits
from partners.core.states import PartnerState
from partners.lifecycle.add_partner import add_partner
from partners.lifecycle.change_limits import change_limits
from partners.lifecycle.change_partner import change_partner
from partners.lifecycle.issue_api_key import Use, issue_api_key
from partners.lifecycle.probation import begin_probation, end_probation
from partners.lifecycle.propose_key import propose_key
from partners.models import Partner
from partners.second_person.about import PROPOSED
from partners.second_person.audience import propose_membership
from partners.second_person.suspension import propose_resumption, propose_suspension

_MANAGE = Capability.PARTNERS_MANAGE


def _enrol(given: dict[str, Any], who: Who) -> str:
    partner = add_partner(given["slug"], given["name"], **who)
    return f"Enrolled {partner.slug}, on probation."


def _rename(partner: Partner, given: dict[str, Any], who: Who) -> str:
    return f"Its name is {change_partner(partner.slug, name=given['name'], **who).name}."


def _limit(partner: Partner, given: dict[str, Any], who: Who) -> str:
    changed = change_limits(partner.slug, OwnLimits(**given), **who)
    return f"The limits of {changed.slug} stand from its next request on."


def _suspend(partner: Partner, given: dict[str, Any], who: Who) -> str:
    propose_suspension(partner.slug, by=member(who), reason=given["reason"], at=who["at"])
    return PROPOSED


def _resume(partner: Partner, given: dict[str, Any], who: Who) -> str:
    propose_resumption(partner.slug, by=member(who), reason=given["reason"], at=who["at"])
    return PROPOSED


def _begin_probation(partner: Partner, _given: dict[str, Any], who: Who) -> str:
    return f"{begin_probation(partner.slug, **who).slug} is on probation."


def _end_probation(partner: Partner, _given: dict[str, Any], who: Who) -> str:
    return f"{end_probation(partner.slug, **who).slug} is off probation."


def _join(partner: Partner, given: dict[str, Any], who: Who) -> str:
    by, programme, terms = member(who), given["programme"].slug, forms.terms_from(given)
    propose_membership(partner.slug, programme, terms, by=by, reason=given["reason"], at=who["at"])
    return PROPOSED


def _propose(partner: Partner, given: dict[str, Any], who: Who) -> str:
    key = propose_key(given["jwk"], partner_slug=partner.slug, **who)
    return f"Key {key.kid} is {key.state}. Its fingerprint: {fingerprint(key.kid)}."


def _issue(partner: Partner, given: dict[str, Any], who: Who) -> ShownOnce:
    use = Use(
        scopes=frozenset(given["scopes"]),
        networks=tuple(given["networks"]),
        expires_at=who["at"] + timedelta(days=given["days"]) if given["days"] else None,
        label=given["label"],
    )
    issued = issue_api_key(partner.slug, use, **who)
    return ShownOnce(f"API key {issued.row.pk} of {partner.slug}. This is shown once and kept nowhere.", issued.token)


@admin.register(Partner, site=site)
class PartnerAdmin(VerbAdmin[Partner]):
    """Companies."""

    to_view = Capability.PARTNERS_VIEW
    place = 11
    list_display = ("slug", "name", "state", "probation", "added_at")
    list_filter = ("state", "is_probationary", "memberships__programme")
    search_fields = ("slug", "name")
    ordering = ("slug",)
    fields = ("slug", "name", "state", "probation", "limits", "added_at", "more")
    readonly_fields = ("probation", "limits", "more", "if_it_leaves")
    list_verbs = (
        ListVerb("enrol", "Enrol a partner", _MANAGE, "A new partner begins on probation.", _enrol, forms.Enrol),
    )
    row_verbs = (
        RowVerb(
            "join",
            "Propose to let into a programme",
            _MANAGE,
            "Once a second person has approved it, it sees what the programme shares. Nothing changes before.",
            _join,
            forms.Join,
            is_offered=lambda partner: partner.state == PartnerState.ACTIVE,
        ),
        RowVerb(
            "propose-key",
            "Propose a signing key",
            Capability.KEYS_MANAGE,
            "The key counts for nothing until one of the partner's active keys endorses it, or you activate it.",
            _propose,
            forms.Propose,
            is_offered=lambda partner: partner.state == PartnerState.ACTIVE,
        ),
        RowVerb(
            "issue-api-key",
            "Issue an API key",
            Capability.KEYS_MANAGE,
            "The token is shown once, on the next page.",
            _issue,
            forms.Issue,
            is_offered=lambda partner: partner.state == PartnerState.ACTIVE,
        ),
        RowVerb(
            "rename",
            "Rename",
            _MANAGE,
            "The slug stays: statements name it.",
            _rename,
            forms.Rename,
            initial=lambda partner: {"name": partner.name},
        ),
        RowVerb(
            "limit",
            "Set its limits",
            _MANAGE,
            "How much it may ask, from its next request on. What is left empty is as for everybody.",
            _limit,
            forms.Limits,
            initial=forms.Limits.of,
        ),
        RowVerb(
            "begin-probation",
            "Put on probation",
            _MANAGE,
            "From now on its signals wait for a person.",
            _begin_probation,
            is_offered=lambda partner: not partner.is_probationary,
        ),
        RowVerb(
            "end-probation",
            "End probation",
            _MANAGE,
            "From now on its signals are published without a person.",
            _end_probation,
            is_offered=lambda partner: partner.is_probationary,
        ),
        RowVerb(
            "suspend",
            "Propose to suspend",
            Capability.PARTNERS_PROPOSE,
            "Once a second person has approved it, none of its API keys and signing keys works, in any programme. "
            "What cannot wait: probation, revoking its API keys and retiring its signing keys need one person each.",
            _suspend,
            Why,
            is_offered=lambda partner: partner.state == PartnerState.ACTIVE,
        ),
        RowVerb(
            "resume",
            "Propose to resume",
            _MANAGE,
            "Once a second person has approved it, its keys and memberships work again as they did.",
            _resume,
            Why,
            is_offered=lambda partner: partner.state == PartnerState.SUSPENDED,
        ),
    )

    def get_fields(self, request: HttpRequest, obj: Partner | None = None) -> list[Any]:
        """The facts; and for who manages companies, the way to part with one."""
        may = obj is not None and obj.state != PartnerState.LEFT and has(request.user, _MANAGE)
        return [*super().get_fields(request, obj), *(["if_it_leaves"] if may else [])]

    @admin.display(description="If it leaves")
    def if_it_leaves(self, partner: Partner) -> SafeString:
        """The way to signals' page, which settles what it said and what it holds."""
        address = reverse("admin:signals_departure_list_verb", args=["propose"])
        return format_html('<a href="{}?partner={}">Propose that it leaves the hub</a>', address, partner.slug)

    @admin.display(description="Probation")
    def probation(self, partner: Partner) -> str:
        """In words: Django would draw a red cross for the good case."""
        return "its signals wait for a person" if partner.is_probationary else "none"

    @admin.display(description="Its own limits")
    def limits(self, partner: Partner) -> str:
        """In words; none: everybody's."""
        own = forms.Limits.of(partner).items()
        return ", ".join(f"{name.replace('_', ' ')}: {value:,}" for name, value in own if value) or "none"

    @admin.display(description="See also")
    def more(self, partner: Partner) -> SafeString:
        """Links to its memberships, its keys, and how good what it says has proved."""
        pages = (("membership", "memberships"), ("signingkey", "signing keys"), ("apikey", "API keys"))
        links = ((reverse(f"admin:partners_{model}_changelist"), partner.pk, words) for model, words in pages)
        quality = reverse("admin:signals_partneralarm_partner", args=[partner.pk])
        listed = format_html_join(" · ", '<a href="{}?partner__id__exact={}">{}</a>', links)
        return format_html('{} · <a href="{}">quality</a>', listed, quality)
