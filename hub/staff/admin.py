"""The hub's own people in the admin: who may come in, as what; other roles need a second person."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin
from django.contrib.auth.models import User
from django.db.models import QuerySet
from django.http import HttpRequest

from hub.staff import factors, identities
from hub.staff.accounts import switch_off
from hub.staff.approvals import propose
from hub.staff.changes import RESET_FACTORS, SET_ROLES, subject_of
from hub.staff.roles import Capability, Role, Who, member, roles_of
from hub.staff.second_person import Why
from hub.staff.site import site
from hub.staff.verbs import RowVerb, VerbAdmin


class OtherRoles(Why):
    """Which roles, and why."""

    roles = forms.MultipleChoiceField(
        choices=[(role.value, role.value) for role in Role],
        widget=forms.CheckboxSelectMultiple,
        help_text="Exactly these, from then on.",
    )
    field_order = ("roles", "reason")


def _propose_roles(user: User, given: dict[str, Any], who: Who) -> str:
    facts = {"roles": sorted(given["roles"])}
    propose(SET_ROLES, by=member(who), subject=subject_of(user), facts=facts, reason=given["reason"], at=who["at"])
    return "Proposed. It is done once somebody else has approved it."


def _propose_reset(user: User, given: dict[str, Any], who: Who) -> str:
    propose(RESET_FACTORS, by=member(who), subject=subject_of(user), facts={}, reason=given["reason"], at=who["at"])
    return "Proposed. It is done once somebody else has approved it."


def _unlink(user: User, _given: dict[str, Any], who: Who) -> str:
    identities.unlink(user, **who)
    return f"Single sign-on does not open the account of {user.username} any more."


def _switch_off(user: User, _given: dict[str, Any], who: Who) -> str:
    switch_off(user, **who)
    return f"{user.username} opens nothing any more."


@admin.register(User, site=site)
class StaffAdmin(VerbAdmin[User]):
    """Who may come in, and as what."""

    to_view = Capability.STAFF_VIEW
    place, called = 40, "Staff"
    list_display = ("username", "roles", "second_factor", "is_active", "last_login")
    list_filter = ("groups", "is_active")
    search_fields = ("username",)
    ordering = ("username",)
    fields = ("username", "roles", "second_factor", "is_active", "date_joined", "last_login")
    readonly_fields = fields
    row_verbs = (
        RowVerb(
            "set-roles",
            "Propose other roles",
            Capability.STAFF_MANAGE,
            "Nothing changes until a second person has approved it.",
            _propose_roles,
            OtherRoles,
            initial=lambda user: {"roles": [role.value for role in roles_of(user)]},
            is_offered=lambda user: user.is_active,
        ),
        RowVerb(
            "reset-second-factors",
            "Propose to reset the second factors",
            Capability.STAFF_MANAGE,
            "For somebody who lost theirs: make sure, in person or by a call, that it is them. "
            "Nothing changes until a second person has approved it.",
            _propose_reset,
            Why,
            is_offered=factors.has_any,
        ),
        RowVerb(
            "unlink-sign-on",
            "Unlink single sign-on",
            Capability.STAFF_MANAGE,
            "Single sign-on does not open the account any more, and its running sessions end. Its password does, and "
            "its owner may link another identity.",
            _unlink,
            is_offered=identities.is_linked,
        ),
        RowVerb(
            "switch-off",
            "Switch off",
            Capability.STAFF_MANAGE,
            "The account opens nothing any more, its running sessions included. "
            "`manage.py readmit_staff` switches it on again.",
            _switch_off,
            is_offered=lambda user: user.is_active,
        ),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[User]:
        """Staff only, with their roles."""
        return (
            super().get_queryset(request).filter(is_staff=True).select_related("credentials").prefetch_related("groups")
        )

    @admin.display(description="roles")
    def roles(self, user: User) -> str:
        """By name."""
        return ", ".join(sorted(group.name for group in user.groups.all()))

    @admin.display(description="second factor", boolean=True)
    def second_factor(self, user: User) -> bool:
        """Whether there is one."""
        return factors.has_any(user)
