"""Signals in the admin: the list, the page of one signal, and what may be done to it. The queue is in `held`."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from django import forms
from django.contrib import admin
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.safestring import SafeString

from hub.staff.gate import Chart, Figure
from hub.staff.roles import Capability, has
from hub.staff.site import site
from hub.staff.verbs import RowVerb, Who
from partners import public
from signals.admin import breaks, charts, held, masks, page_of_signal, reveals, values
from signals.admin.lists import ByIssuer, ByProgramme, ByState, ByType, ListOnly, badge, beside, short, since
from signals.cases import deciding
from signals.core.cases import REASONS, CaseKind, Outcome
from signals.core.opinions import RULING_REASONS
from signals.core.states import LIVE, State
from signals.lifecycle import legal_hold, quarantine, rule
from signals.models import Signal


class Reason(forms.Form):
    """Why; kept as a commitment only."""

    reason = forms.CharField(max_length=500, help_text="A file number, say. The ledger keeps a commitment to it only.")


class Approval(forms.Form):
    """Why a held signal may go out."""

    reason = forms.ChoiceField(choices=list(REASONS[CaseKind.HOLD][Outcome.APPROVED].items()))
    policy = forms.CharField(max_length=80, help_text="The place in a policy that it rests on.")
    text = forms.CharField(required=False, max_length=4000, label="Comment")


class Refused(Approval):
    """Why it may not."""

    reason = forms.ChoiceField(choices=list(REASONS[CaseKind.HOLD][Outcome.REFUSED].items()))


class WhyDisputed(forms.Form):
    """A reason code of docs/standing.md; the author is told it."""

    reason = forms.ChoiceField(choices=[(reason, reason) for reason in RULING_REASONS])


def _approve(signal: Signal, given: dict[str, Any], who: Who) -> str:
    deciding.decide_held(signal.id, Outcome.APPROVED, **given, **who)
    return f"Signal {short(signal.id)} is approved and goes on to be published."


def _refuse(signal: Signal, given: dict[str, Any], who: Who) -> str:
    deciding.decide_held(signal.id, Outcome.REFUSED, **given, **who)
    return f"Signal {short(signal.id)} is refused for good."


def _clear(signal: Signal, _given: dict[str, Any], who: Who) -> str:
    quarantine.clear(signal.id, **who)
    return "The signal is served again."


def _place(signal: Signal, given: dict[str, Any], who: Who) -> str:
    legal_hold.place(signal.id, reason=given["reason"], **who)
    return "The signal is under legal hold: it is not purged."


def _lift(signal: Signal, given: dict[str, Any], who: Who) -> str:
    legal_hold.lift(signal.id, reason=given["reason"], **who)
    return "The legal hold is lifted."


def _dispute(signal: Signal, given: dict[str, Any], who: Who) -> str:
    rule.dispute(signal.id, reason=given["reason"], **who)
    return "The signal is restricted: its members may only investigate."


def is_served(signal: Signal) -> bool:
    """Whether members are shown its value."""
    return signal.state in LIVE


def is_held(signal: Signal) -> bool:
    """Whether a person must decide about it."""
    return signal.state == State.HELD.value


@admin.register(Signal, site=site)
class SignalAdmin(ListOnly[Signal]):
    """What partners said, as it stands now."""

    to_view = Capability.SIGNALS_VIEW
    place = 1
    kept_as = "signals"
    list_display = (
        *("identity", "programme", "issuer", "kind", "value", "state_shown", "revision", "received", "expires"),
    )
    list_filter = (ByState, ByProgramme, ByType, ByIssuer)
    ordering = ("-arrival",)
    fields = ()
    change_form_template = "signals/signal.html"
    change_list_template = "signals/signals.html"
    actions = ("ask_to_reveal",)
    row_verbs = (
        RowVerb(
            "approve",
            "Approve",
            Capability.SIGNALS_TRIAGE,
            "Its checks run again, and it is published to everyone it is for.",
            _approve,
            Approval,
            is_offered=is_held,
        ),
        RowVerb(
            "refuse",
            "Refuse",
            Capability.SIGNALS_TRIAGE,
            "For good: its author reads `refused-by-review` and may say it anew.",
            _refuse,
            Refused,
            is_offered=is_held,
        ),
        RowVerb(
            "clear",
            "Clear",
            Capability.SIGNALS_QUARANTINE,
            "You looked at it and let it stand although its key fell: it is served again.",
            _clear,
            is_offered=lambda signal: signal.state == State.QUARANTINED.value,
        ),
        RowVerb(
            "dispute",
            "Dispute",
            Capability.SIGNALS_TRIAGE,
            "It is restricted at once, and whoever had it is told that it may only be investigated; its case decides.",
            _dispute,
            WhyDisputed,
            is_offered=is_served,
        ),
        RowVerb(
            "place-legal-hold",
            "Place a legal hold",
            Capability.SIGNALS_LEGAL_HOLD,
            "Its content is kept beyond its time, under a key of its own, until the hold is lifted.",
            _place,
            Reason,
            is_offered=lambda signal: not signal.has_legal_hold and signal.state != State.PURGED.value,
        ),
        RowVerb(
            "lift-legal-hold",
            "Lift the legal hold",
            Capability.SIGNALS_LEGAL_HOLD,
            "From now on it is purged when its time comes; if that is past, within minutes.",
            _lift,
            Reason,
            is_offered=lambda signal: signal.has_legal_hold,
        ),
    )

    def figures(self, request: HttpRequest) -> list[Figure]:
        """What waits for a person."""
        del request
        waiting = Signal.objects.filter(state=State.HELD.value).order_by("arrival")
        count, oldest = waiting.count(), waiting.values_list("received_at", flat=True).first()
        quarantined = Signal.objects.filter(state=State.QUARANTINED.value, removed_at__isnull=False).count()
        every = reverse("admin:signals_signal_changelist")
        age = f", the oldest for {since(oldest, at=timezone.now())}" if oldest is not None else ""
        return [
            Figure(f"held for a person{age}", str(count), reverse("admin:signals_signal_held"), is_alarm=count > 0),
            Figure("quarantined", str(quarantined), f"{every}?state=quarantined", is_alarm=quarantined > 0),
        ]

    def charts(self, request: HttpRequest) -> list[Chart]:
        """What came in, by day."""
        del request
        return [charts.signals_by_day(at=timezone.now())]

    def get_urls(self) -> list[URLPattern]:
        """The queue, the search, and revealing one value, ahead of what takes anything."""
        view = self.admin_site.admin_view
        return [
            path("held/", view(self._held), name="signals_signal_held"),
            path("search/", view(self._search), name="signals_signal_search"),
            path("<uuid:signal_id>/reveal/", view(self._reveal), name="signals_signal_reveal"),
            *super().get_urls(),
        ]

    def describe(self, row: Signal) -> list[tuple[str, object]]:
        """What is decided about."""
        programme, issuer, masked = self.beside([row])[row.id]
        return [
            ("Issuer", f"{issuer}, in {programme}"),
            (row.indicator_type, masked),
            ("Violation", row.violation),
            ("State", badge(row.state)),
            ("Held for", held.reasons_shown(row.held_reasons) or "—"),
        ]

    def after(self, verb: RowVerb[Any], row: Signal) -> str:
        """Who decides about the held goes on in the queue."""
        return reverse("admin:signals_signal_held") if verb.name in {"approve", "refuse"} else super().after(verb, row)

    def beside(self, rows: list[Signal]) -> dict[Any, tuple[str, str, str]]:
        """Programme, issuer and masked value."""
        programmes, partners = public.programme_slugs(), public.partner_slugs()
        shown = masks.masked(rows)
        return {row.id: (programmes[row.programme_id], partners[row.issuer_id], shown[row.id]) for row in rows}

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """The page of one signal."""
        row = self.get_object(request, object_id) if self.has_view_permission(request) else None
        page = None
        if row is not None:
            names = {"programmes": public.programme_slugs(), "partners": public.partner_slugs()}
            page = page_of_signal.page(row, **names, at=timezone.now())
            breaks.looked_at(request, row.violation, at=timezone.now())
        may_reveal = has(request.user, Capability.SIGNALS_REVEAL)
        why = values.must_say_why(request.user)
        context = {"page": page, "may_reveal": may_reveal, "must_say_why": why, "title": "Signal"}
        context |= extra_context or {}
        return super().change_view(request, object_id, form_url, context)

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """The list, with the way to the queue and to the search."""
        may_search = has(request.user, Capability.SIGNALS_SEARCH)
        return super().changelist_view(request, {"may_search": may_search, **(extra_context or {})})

    def has_reveal_permission(self, request: HttpRequest) -> bool:
        """Whether the ticks and what may be asked for them are there at all."""
        return has(request.user, Capability.SIGNALS_REVEAL)

    @admin.action(description="Ask to see the ticked values", permissions=["reveal"])
    def ask_to_reveal(self, request: HttpRequest, chosen: QuerySet[Signal]) -> HttpResponse | None:
        """First why, then a second person."""
        return reveals.ask(request, self, chosen)

    def _held(self, request: HttpRequest) -> HttpResponse:
        return held.HeldQueue(self.model, self.admin_site).changelist_view(request)

    def _search(self, request: HttpRequest) -> HttpResponse:
        return values.search(request, self)

    def _reveal(self, request: HttpRequest, signal_id: UUID) -> HttpResponse:
        row = self.get_object(request, str(signal_id)) if self.has_view_permission(request) else None
        if row is None:
            raise Http404
        return values.reveal(request, self, row)

    @admin.display(description="Signal")
    def identity(self, signal: Signal) -> str:
        """Its short id."""
        return short(signal.id)

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

    @admin.display(description="Received")
    def received(self, signal: Signal) -> datetime:
        """By the hub."""
        return signal.received_at

    @admin.display(description="Expires")
    def expires(self, signal: Signal) -> datetime:
        """Unless it is withdrawn before."""
        return signal.expires_at

    @admin.display(description="State")
    def state_shown(self, signal: Signal) -> SafeString:
        """In its colour."""
        return badge(signal.state)
