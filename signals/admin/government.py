"""The register of requests by governments, in the admin: note one, write down what was done."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin

from hub.staff.roles import Capability
from hub.staff.site import site
from hub.staff.verbs import ListVerb, RowVerb, Who
from signals.admin.lists import ListOnly
from signals.core.government import Asker, Decision, Wanted
from signals.lifecycle.government_requests import decide_request, note_request
from signals.models import GovernmentRequest


class Came(forms.Form):
    """A request, in closed words."""

    asker = forms.ChoiceField(choices=[(each.value, each.value) for each in Asker], label="Who asked")
    jurisdiction = forms.CharField(max_length=6, help_text="ISO 3166, such as DE or US-CA.")
    wanted = forms.ChoiceField(choices=[(each.value, each.value) for each in Wanted], label="What for")
    received_at = forms.DateTimeField(
        label="Received (UTC)",
        widget=forms.DateTimeInput(attrs={"type": "datetime-local"}, format="%Y-%m-%dT%H:%M"),
    )


class Decided(forms.Form):
    """What was done."""

    decision = forms.ChoiceField(choices=[(each.value, each.value) for each in Decision if each])


def _note(given: dict[str, Any], who: Who) -> str:
    asker, wanted = Asker(given["asker"]), Wanted(given["wanted"])
    note_request(asker, given["jurisdiction"], wanted, received_at=given["received_at"], **who)
    return "The request is in the register."


def _decide(row: GovernmentRequest, given: dict[str, Any], who: Who) -> str:
    decide_request(row.pk, Decision(given["decision"]), **who)
    return "What was done is in the register, for good."


@admin.register(GovernmentRequest, site=site)
class GovernmentRequests(ListOnly[GovernmentRequest]):
    """Requests, the newest first. No names: the file lies with counsel."""

    to_view = Capability.COMPLIANCE_ASK
    place, called = 6, "Government requests"
    list_display = ("received_at", "asker", "jurisdiction", "wanted", "decision", "decided_at")
    ordering = ("-received_at",)
    fields = ("id", "received_at", "asker", "jurisdiction", "wanted", "decision", "decided_at")
    list_verbs = (
        ListVerb(
            "note",
            "Note a request",
            Capability.COMPLIANCE_REGISTER,
            "That somebody asked, where and what for stands in the ledger from now on. Write no name anywhere.",
            _note,
            Came,
        ),
    )
    row_verbs = (
        RowVerb(
            "decide",
            "Write down what was done",
            Capability.COMPLIANCE_REGISTER,
            "Once, and for good.",
            _decide,
            Decided,
            is_offered=lambda row: not row.decision,
        ),
    )
