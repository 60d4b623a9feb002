"""The queue of signals that wait for a person, oldest first: look, then approve or refuse, one or a ticked few."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any
from uuid import UUID

from django.conf import settings
from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from hub.refusal import Refusal
from hub.staff.roles import Capability, Who, has, require
from partners import public
from signals.admin import masks
from signals.admin.lists import ByIssuer, ByProgramme, ByType, ListOnly, beside, short, since
from signals.cases import deciding
from signals.core.cases import REASONS, CaseKind, Outcome
from signals.core.gates import HoldReason
from signals.core.states import State
from signals.models import Signal

BULK = 100  # decided at once, each in its own case

MEANINGS: dict[str, str] = {
    HoldReason.KNOWN_BENIGN: "a warning list names the value",
    HoldReason.POOR_HASH: "the hash would match unrelated pictures",
    HoldReason.WEAK_VALUE: "the value would match unrelated text",
    HoldReason.PROBATION: "the partner is new or under review",
    HoldReason.CONTESTED: "others dispute the same value",
    HoldReason.FLOOD: "an abnormal burst, or a value that comes up abnormally often",
}


_DONE = {Outcome.APPROVED: "approved", Outcome.REFUSED: "refused for good"}
_REASONS = [(outcome.value, REASONS[CaseKind.HOLD][outcome]) for outcome in _DONE]


class HeldQueue(ListOnly[Signal]):
    """A second list over signals, shown by SignalAdmin under an address of its own."""

    to_view = Capability.SIGNALS_VIEW
    list_display = ("identity", "waiting", "programme", "issuer", "kind", "value", "violation", "reasons")
    list_filter = (ByProgramme, ByIssuer, ByType)
    list_display_links = None  # the addresses around this list are not Django's: the column makes its own
    ordering = ("arrival",)
    actions = ("approve", "refuse")
    change_list_template = "signals/held.html"

    def get_queryset(self, request: HttpRequest) -> QuerySet[Signal]:
        """What is held."""
        return super().get_queryset(request).filter(state=State.HELD.value)

    def has_triage_permission(self, request: HttpRequest) -> bool:
        """Whether the ticks and their actions are there at all."""
        return has(request.user, Capability.SIGNALS_TRIAGE)

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """The queue."""
        return super().changelist_view(request, {"title": "Held signals", "reasons": _REASONS, **(extra_context or {})})

    def beside(self, rows: list[Signal]) -> dict[Any, tuple[str, str, str, datetime]]:
        """Programme, issuer, masked value, and now."""
        programmes, partners, now = public.programme_slugs(), public.partner_slugs(), timezone.now()
        shown = masks.masked(rows)
        return {row.id: (programmes[row.programme_id], partners[row.issuer_id], shown[row.id], now) for row in rows}

    @admin.action(description="Approve the ticked signals", permissions=["triage"])
    def approve(self, request: HttpRequest, chosen: QuerySet[Signal]) -> HttpResponse:
        """Each through the verb, so that each is checked again."""
        return _decide(request, chosen, Outcome.APPROVED)

    @admin.action(description="Refuse the ticked signals, for good", permissions=["triage"])
    def refuse(self, request: HttpRequest, chosen: QuerySet[Signal]) -> HttpResponse:
        """Each through the verb."""
        return _decide(request, chosen, Outcome.REFUSED)

    @admin.display(description="Signal")
    def identity(self, signal: Signal) -> SafeString:
        """Its short id, leading to its page."""
        address = reverse("admin:signals_signal_change", args=[signal.id])
        return format_html('<a href="{}">{}</a>', address, short(signal.id))

    @admin.display(description="Waiting")
    def waiting(self, signal: Signal) -> str:
        """Since the hub received it."""
        return since(signal.received_at, at=beside(signal)[3])

    @admin.display(description="Programme")
    def programme(self, signal: Signal) -> str:
        """By slug."""
        return str(beside(signal)[0])

    @admin.display(description="Issuer")
    def issuer(self, signal: Signal) -> str:
        """By slug."""
        return str(beside(signal)[1])

    @admin.display(description="Value, masked")
    def value(self, signal: Signal) -> str:
        """Masked."""
        return str(beside(signal)[2])

    @admin.display(description="Type")
    def kind(self, signal: Signal) -> str:
        """Of the indicator."""
        return signal.indicator_type

    @admin.display(description="Why it is held")
    def reasons(self, signal: Signal) -> SafeString:
        """The codes, their meaning on hovering."""
        return reasons_shown(signal.held_reasons)


def reasons_shown(reasons: Iterable[str]) -> SafeString:
    """Codes of reasons to hold, each with what it means."""
    rows = ((code, MEANINGS.get(code, ""), code) for code in reasons)
    return format_html_join(" ", '<span class="reason reason-{}" title="{}">{}</span>', rows)


def _decide(request: HttpRequest, chosen: QuerySet[Signal], outcome: Outcome) -> HttpResponse:
    user = require(request.user, Capability.SIGNALS_TRIAGE)
    most = min(BULK, settings.BULK_ALONE)
    ids: list[UUID] = list(chosen.values_list("id", flat=True)[: most + 1])
    if len(ids) > most:
        messages.error(request, f"At most {most} signals are decided here at once; nothing was done. Make a bulk run.")
        return HttpResponseRedirect(request.get_full_path())
    decided, reason, policy = 0, request.POST.get("reason", ""), request.POST.get("policy", "")
    try:
        deciding.check(CaseKind.HOLD, outcome, reason, policy)
    except Refusal as refusal:
        messages.error(request, f"{refusal.detail} Nothing was done.")
        return HttpResponseRedirect(request.get_full_path())
    for identity in ids:
        try:
            who = Who(actor=f"staff:{user.pk}", at=timezone.now())
            deciding.decide_held(identity, outcome, reason=reason, policy=policy, **who)
            decided += 1
        except Refusal as refusal:
            messages.warning(request, f"Signal {short(identity)}: {refusal.detail}")
    if decided:
        messages.success(request, f"{decided} signal{'s' if decided > 1 else ''} {_DONE[outcome]}.")
    return HttpResponseRedirect(request.get_full_path())
