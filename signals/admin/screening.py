"""What makes the hub look twice, in the admin: warning lists of harmless values, and the keys that fell."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django import forms
from django.contrib import admin
from django.core.files.uploadedfile import UploadedFile
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from hub.staff.gate import Figure
from hub.staff.roles import Capability, member
from hub.staff.second_person import Why
from hub.staff.site import site
from hub.staff.verbs import ListVerb, RowVerb, Who
from partners import public
from signals.admin.lists import ListOnly, badge, beside
from signals.lifecycle.compromise import propose_compromise
from signals.lifecycle.import_warning_list import import_list, remove_list
from signals.models import Distrust, Signal, WarningList

_LARGEST = 4 * 1024 * 1024  # bytes of one upload; `manage.py import_warning_list` takes larger files


class Upload(forms.Form):
    """One list."""

    file = forms.FileField(help_text="JSON in the MISP warning-list format, at most 4 MiB.")

    def clean_file(self) -> bytes:
        """Its bytes; the verb reads them."""
        file: UploadedFile[bytes] = self.cleaned_data["file"]
        if (file.size or 0) > _LARGEST:
            raise forms.ValidationError("The file is larger than 4 MiB; import it by command.")
        raw: bytes = file.read()
        return raw


class Fall(Why):
    """Which key, since when, and why."""

    kid = forms.CharField(
        max_length=64, label="Key (kid)", widget=forms.TextInput(attrs={"size": 48, "spellcheck": "false"})
    )
    compromised_at = forms.DateTimeField(
        required=False,
        label="Compromised since (UTC)",
        widget=forms.DateTimeInput(attrs={"type": "datetime-local"}, format="%Y-%m-%dT%H:%M"),
        help_text="Empty if nobody knows: then nothing the hub ever received under it is believed.",
    )
    is_retired_now = forms.BooleanField(
        required=False,
        initial=True,
        label="Retire it at once, with the keys that fall with it",
        help_text="Nothing that comes in under them counts from now on, whatever the second person decides; they never "
        "come back. Leave it ticked if somebody else may hold the key.",
    )
    field_order = ("kid", "compromised_at", "is_retired_now", "reason")


def _import(given: dict[str, Any], who: Who) -> str:
    row = import_list(given["file"], **who)
    return f"“{row.name}” is in force with {row.entry_count:,} entries."


def _remove(row: WarningList, _given: dict[str, Any], who: Who) -> str:
    name = row.name
    remove_list(name, **who)
    return f"“{name}” is removed."


def _revoke(given: dict[str, Any], who: Who) -> str:
    propose_compromise(**given, by=member(who), at=who["at"])
    retired = "The key is retired. " if given["is_retired_now"] else ""
    return f"{retired}Proposed: what was received under it is hidden once somebody else has approved it."


@admin.register(WarningList, site=site)
class WarningListAdmin(ListOnly[WarningList]):
    """Lists of well-known harmless values."""

    to_view = Capability.SIGNALS_VIEW
    place = 4
    list_display = ("name", "version", "entry_count", "imported_at")
    ordering = ("name",)
    fields = ("name", "version", "description", "entry_count", "imported_at")
    list_verbs = (
        ListVerb(
            "import",
            "Import a list",
            Capability.WARNING_LISTS_MANAGE,
            "It replaces the list of the same name. New signals that it names are held; published ones stay.",
            _import,
            Upload,
        ),
    )
    row_verbs = (
        RowVerb(
            "remove",
            "Remove",
            Capability.WARNING_LISTS_MANAGE,
            "Signals that it names are no longer held for it. Those that are held already stay held.",
            _remove,
        ),
    )

    def after(self, verb: RowVerb[Any], row: WarningList) -> str:
        """The list: what is removed has no page."""
        del verb, row
        return reverse("admin:signals_warninglist_changelist")


@admin.register(Distrust, site=site)
class DistrustAdmin(ListOnly[Distrust]):
    """Keys that fell."""

    to_view = Capability.SIGNALS_VIEW
    place, called = 5, "Fallen keys"
    list_display = ("kid", "partner", "since_shown", "fell", "state_shown")
    ordering = ("-at",)
    fields = ("kid_alone", "since", "at", "is_settled", "touched")
    readonly_fields = ("kid_alone", "touched")
    list_verbs = (
        ListVerb(
            "revoke",
            "Propose that a key was compromised",
            Capability.KEYS_MANAGE,
            "Once a second person has approved it, the key falls with every key it endorsed since then. What the hub "
            "received under them is hidden from all members at once, and their withdrawals are undone. Signals may be "
            "cleared afterwards; keys stay fallen.",
            _revoke,
            Fall,
            initial=lambda asked: {"kid": asked.get("kid", "")},
        ),
    )

    def figures(self, request: HttpRequest) -> list[Figure]:
        """Keys whose signals are still being hidden."""
        del request
        unsettled = Distrust.objects.filter(is_settled=False).count()
        address = reverse("admin:signals_distrust_changelist")
        return [Figure("fallen keys not settled yet", str(unsettled), address, is_alarm=unsettled > 0)]

    def beside(self, rows: list[Distrust]) -> dict[Any, tuple[str, str]]:
        """The key's kid and its partner."""
        keys, partners = public.signing_keys_by_id({row.key_id for row in rows}), public.partner_slugs()
        return {row.key_id: (keys[row.key_id].kid, partners[keys[row.key_id].partner_id]) for row in rows}

    @admin.display(description="Key")
    def kid(self, fallen: Distrust) -> str:
        """Its thumbprint."""
        return str(beside(fallen)[0])

    @admin.display(description="Partner")
    def partner(self, fallen: Distrust) -> str:
        """By slug."""
        return str(beside(fallen)[1])

    @admin.display(description="Not believed since")
    def since_shown(self, fallen: Distrust) -> object:
        """The moment, or for all its time."""
        return fallen.since or "ever"

    @admin.display(description="Fell")
    def fell(self, fallen: Distrust) -> datetime:
        """When it was revoked."""
        return fallen.at

    @admin.display(description="Signals hidden")
    def state_shown(self, fallen: Distrust) -> SafeString:
        """Reads hide them at once; the moves follow."""
        return badge("settled" if fallen.is_settled else "settling")

    @admin.display(description="Key")
    def kid_alone(self, fallen: Distrust) -> str:
        """Its thumbprint, on the page."""
        return public.signing_keys_by_id({fallen.key_id})[fallen.key_id].kid

    @admin.display(description="Signals under it")
    def touched(self, fallen: Distrust) -> SafeString:
        """How many of its signals stand quarantined, and how many were cleared."""
        under = Signal.objects.filter(key_id=fallen.key_id)
        hidden, cleared = under.filter(state="quarantined").count(), under.filter(is_cleared=True).count()
        return format_html("{} quarantined, {} cleared", hidden, cleared)
