"""Webhook endpoints in the admin: where they stand, how far behind, what came of each attempt; pause, disable, resume.

The secret is never shown: it was, once, to the partner.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

from django import forms
from django.contrib import admin
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString

from hub.staff.gate import Chart, Figure
from hub.staff.roles import Capability
from hub.staff.site import site
from hub.staff.verbs import RowVerb, ShownOnce, Who
from partners import public
from signals import endpoint_health, monitoring, queries
from signals.admin import charts
from signals.admin.lists import ByPartner, ByProgramme, Closed, ListOnly, badge, beside, lasting, short, since
from signals.lifecycle import endpoints
from signals.lifecycle.failing import failing_count
from signals.lifecycle.reveal import read_answer
from signals.models import Attempt, Endpoint

_ATTEMPTS = 50


def _pause(endpoint: Endpoint, _given: dict[str, Any], who: Who) -> str:
    endpoints.pause_endpoint(endpoint.id, partner_id=endpoint.partner_id, **who)
    return "The endpoint is paused; its place in the feed stays."


def _disable(endpoint: Endpoint, _given: dict[str, Any], who: Who) -> str:
    endpoints.disable_endpoint(endpoint.id, partner_id=endpoint.partner_id, **who)
    return "The endpoint is disabled; its place in the feed stays."


def _resume(endpoint: Endpoint, _given: dict[str, Any], who: Who) -> str:
    endpoints.resume_endpoint(endpoint.id, partner_id=endpoint.partner_id, **who)
    return "The endpoint goes on where it stopped."


def _replay(endpoint: Endpoint, given: dict[str, Any], who: Who) -> str:
    since = given["since"]
    endpoints.replay(endpoint.id, partner_id=endpoint.partner_id, since=since, **who)
    place = f"{since:%d %b %Y %H:%M} UTC" if since else "the start"
    return f"The endpoint walks its feed anew, from {place}."


def _test(endpoint: Endpoint, _given: dict[str, Any], who: Who) -> str:
    endpoints.send_test(endpoint.id, partner_id=endpoint.partner_id, **who)
    return "A test event is on its way; its attempt appears below within seconds."


def _answer(endpoint: Endpoint, _given: dict[str, Any], who: Who) -> ShownOnce:
    return ShownOnce("What the receiver answered last:", read_answer(endpoint.id, **who))


class _From(forms.Form):
    """Where to begin."""

    since = forms.DateTimeField(
        required=False, label="From", help_text="In UTC, such as 2026-11-02 09:00. Empty: from the start of the feed."
    )


class ByEndpointState(Closed[Endpoint]):
    """Whether it is served."""

    title, parameter_name, column = "state", "state", "state"

    def lookups(self, request: HttpRequest, model_admin: admin.ModelAdmin[Endpoint]) -> list[tuple[str, str]]:
        """The states, and those that fail."""
        del request, model_admin
        return [(state, state) for state in ("active", "failing", "paused", "disabled", "deleted")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Endpoint]) -> QuerySet[Endpoint]:
        """Failing is active and without success at the last attempt; the deleted show only when asked for."""
        if self.value() == "failing":
            return queryset.filter(state="active", failures__gt=0)
        return super().queryset(request, queryset) if self.value() else queryset.exclude(state="deleted")


class _Beside:
    """What the list shows beside an endpoint's row."""

    __slots__ = ("at", "behind", "last", "partner", "programme", "seconds")

    def __init__(self, endpoint: Endpoint, names: _Names, at: datetime) -> None:
        self.partner = names.partners[endpoint.partner_id]
        self.programme = names.programmes[endpoint.programme_id] if endpoint.programme_id is not None else "notices"
        lag = names.lags.get(endpoint.id)
        self.behind, self.seconds = (lag.positions, lag.seconds) if lag is not None else (0, 0.0)
        self.last = names.attempts.get(endpoint.id)
        self.at = at


class _Names:
    """What a page of endpoints needs to know, in four queries."""

    def __init__(self, rows: list[Endpoint]) -> None:
        self.partners, self.programmes = public.partner_slugs(), public.programme_slugs()
        self.lags = {lag.endpoint_id: lag for lag in monitoring.endpoint_lags()}
        self.attempts = queries.last_attempts(row.id for row in rows)


@admin.register(Endpoint, site=site)
class EndpointAdmin(ListOnly[Endpoint]):
    """Partners' webhook addresses. Partners add, change and remove them by REST."""

    to_view = Capability.ENDPOINTS_VIEW
    place = 2
    list_display = ("identity", "partner", "programme", "host", "state_shown", "lag", "in_a_row", "last_attempt")
    list_filter = (ByEndpointState, ByPartner, ByProgramme)
    ordering = ("created_at",)
    fields = ()
    change_form_template = "signals/endpoint.html"
    row_verbs = (
        RowVerb(
            "pause",
            "Pause",
            Capability.ENDPOINTS_MANAGE,
            "No POSTs until an operator resumes it; nothing is lost.",
            _pause,
            is_offered=lambda endpoint: endpoint.state == "active",
        ),
        RowVerb(
            "disable",
            "Disable",
            Capability.ENDPOINTS_MANAGE,
            "No POSTs until the partner has mended it and an operator resumes it. Its place in the feed stays.",
            _disable,
            is_offered=lambda endpoint: endpoint.state in {"active", "paused"},
        ),
        RowVerb(
            "resume",
            "Resume",
            Capability.ENDPOINTS_MANAGE,
            "POSTs go on where they stopped, at once.",
            _resume,
            is_offered=lambda endpoint: endpoint.state in {"paused", "disabled"} or endpoint.failures > 0,
        ),
        RowVerb(
            "replay",
            "Replay",
            Capability.ENDPOINTS_MANAGE,
            "A new walk of its feed begins: everything from the start, or what changed since a time, is sent again.",
            _replay,
            form=_From,
            is_offered=lambda endpoint: endpoint.state != "deleted",
        ),
        RowVerb(
            "test",
            "Send test",
            Capability.ENDPOINTS_MANAGE,
            "One event without content is sent at once; nothing else changes.",
            _test,
            is_offered=lambda endpoint: endpoint.state in {"active", "paused"},
        ),
        RowVerb(
            "answer",
            "Read answer",
            Capability.ENDPOINTS_MANAGE,
            "Shows how the receiver's last answer began. It may repeat what it was sent: who reads it is written down.",
            _answer,
        ),
    )

    def banner(self, request: HttpRequest) -> Figure | None:
        """Endpoints marked failing: they have had no success for days."""
        del request
        count = failing_count()
        address = f"{reverse('admin:signals_endpoint_changelist')}?state=failing"
        label = "endpoint has failed for days" if count == 1 else "endpoints have failed for days"
        return Figure(label, str(count), address, is_alarm=True) if count else None

    def get_urls(self) -> list[URLPattern]:
        """The drawing, ahead of what takes anything."""
        drawing = path(
            "<uuid:endpoint_id>/health.svg",
            self.admin_site.admin_view(self._drawing),
            name="signals_endpoint_drawing",
        )
        return [drawing, *super().get_urls()]

    def _drawing(self, request: HttpRequest, endpoint_id: UUID) -> HttpResponse:
        row = Endpoint.objects.filter(id=endpoint_id).first() if self.has_view_permission(request) else None
        if row is None:
            raise Http404
        return HttpResponse(endpoint_health.drawing(row, at=timezone.now()), content_type="image/svg+xml")

    def charts(self, request: HttpRequest) -> list[Chart]:
        """What was delivered in the last day."""
        del request
        return [charts.deliveries_by_hour(at=timezone.now())]

    def figures(self, request: HttpRequest) -> list[Figure]:
        """Who fails, and how far behind the slowest is."""
        del request
        failing = Endpoint.objects.filter(state="active", failures__gt=0).count()
        slowest = max((lag.seconds for lag in monitoring.endpoint_lags() if lag.positions), default=0.0)
        every = reverse("admin:signals_endpoint_changelist")
        return [
            Figure("failing endpoints", str(failing), f"{every}?state=failing", is_alarm=failing > 0),
            Figure("largest lag of an endpoint", _seconds(slowest), every, is_alarm=slowest > 60),
        ]

    def beside(self, rows: list[Endpoint]) -> dict[Any, _Beside]:
        """Names, lags and last attempts."""
        names, at = _Names(rows), timezone.now()
        return {row.id: _Beside(row, names, at) for row in rows}

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """The endpoint and its latest attempts."""
        row = self.get_object(request, object_id) if self.has_view_permission(request) else None
        context: dict[str, Any] = {"title": "Endpoint", **(extra_context or {})}
        if row is not None:
            attempts = Attempt.objects.filter(endpoint=row).defer("sealed_excerpt").order_by("-at", "-id")[:_ATTEMPTS]
            context |= {"endpoint": row, "shown": _Beside(row, _Names([row]), timezone.now()), "attempts": attempts}
            context["filter"] = _filter(row)
            context["health"] = endpoint_health.health(row, at=timezone.now())
        return super().change_view(request, object_id, form_url, context)

    @admin.display(description="Endpoint")
    def identity(self, endpoint: Endpoint) -> str:
        """Its short id."""
        return short(endpoint.id)

    @admin.display(description="Partner")
    def partner(self, endpoint: Endpoint) -> str:
        """By slug."""
        return str(beside(endpoint).partner)

    @admin.display(description="Programme")
    def programme(self, endpoint: Endpoint) -> str:
        """By slug."""
        return str(beside(endpoint).programme)

    @admin.display(description="Host")
    def host(self, endpoint: Endpoint) -> str:
        """Of its address; the rest may hold a token and is on the page only."""
        return urlsplit(endpoint.url).netloc or "—"

    @admin.display(description="State")
    def state_shown(self, endpoint: Endpoint) -> SafeString:
        """In its colour; failing where the last attempt was no success."""
        return badge("failing" if endpoint.state == "active" and endpoint.failures else endpoint.state)

    @admin.display(description="Lag")
    def lag(self, endpoint: Endpoint) -> str:
        """How many changes it is behind, and for how long."""
        shown = beside(endpoint)
        return f"{shown.behind} changes, {_seconds(shown.seconds)}" if shown.behind else "none"

    @admin.display(description="Failures in a row")
    def in_a_row(self, endpoint: Endpoint) -> int:
        """Since the last success."""
        return endpoint.failures

    @admin.display(description="Last attempt")
    def last_attempt(self, endpoint: Endpoint) -> SafeString | str:
        """What came of it, and when."""
        shown = beside(endpoint)
        if shown.last is None:
            return "none yet"
        return format_html("{}, {} ago", outcome(shown.last), since(shown.last.at, at=shown.at))


def outcome(attempt: Attempt) -> str:
    """An attempt in a few words: "200", "503", "timeout"."""
    return str(attempt.status) if attempt.status is not None else attempt.error or "no answer"


def _filter(endpoint: Endpoint) -> str:
    partners = public.partner_slugs() if endpoint.filter.get("issuers") else {}
    parts = [
        f"{name}: {', '.join(str(partners.get(value, value) if name == 'issuers' else value) for value in values)}"
        for name, values in sorted(endpoint.filter.items())
    ]
    return "; ".join(parts) or "everything"


def _seconds(seconds: float) -> str:
    return lasting(timedelta(seconds=seconds))
