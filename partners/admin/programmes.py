"""Programmes in the admin: found one from a preset, change its settings."""

from __future__ import annotations

from typing import Any

from django.contrib import admin

from hub.staff.roles import Capability, member
from hub.staff.site import site
from hub.staff.verbs import ListVerb, RowVerb, VerbAdmin, Who
from partners.admin import forms
from partners.core.programmes import PRESETS
from partners.lifecycle.add_programme import add_programme
from partners.models import Programme
from partners.second_person.audience import change_programme_or_propose

_MANAGE = Capability.PROGRAMMES_MANAGE


def _found(given: dict[str, Any], who: Who) -> str:
    programme = add_programme(given["slug"], given["name"], PRESETS[given["preset"]], **who)
    return f"Founded {programme.slug}."


def _change(programme: Programme, given: dict[str, Any], who: Who) -> str:
    wanted = forms.settings_from(given)
    proposal = change_programme_or_propose(
        programme.slug, given["name"], wanted, by=member(who), reason=given["reason"], at=who["at"]
    )
    if proposal is None:
        return f"The settings of {programme.slug} stand as you wrote them."
    return "Its demands on members stay as they are until somebody else has approved yours; the rest stands."


@admin.register(Programme, site=site)
class ProgrammeAdmin(VerbAdmin[Programme]):
    """Sharing agreements."""

    to_view = Capability.PARTNERS_VIEW
    place = 13
    list_display = ("slug", "name", "agreement_version", "is_training_required", "added_at")
    search_fields = ("slug", "name")
    ordering = ("slug",)
    list_verbs = (
        ListVerb("found", "Found a programme", _MANAGE, "A new programme has no members yet.", _found, forms.Found),
    )
    row_verbs = (
        RowVerb(
            "change",
            "Change the settings",
            _MANAGE,
            "The new settings replace the old ones whole and count for what is received from now on. "
            "Where they ask less of who receives, a second person decides about that.",
            _change,
            forms.Settings,
            initial=forms.Settings.of,
        ),
    )
