"""The two doors to values: reveal one, search for one. POST only, recorded, on pages that nothing keeps."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from django import forms
from django.contrib import admin
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.cache import add_never_cache_headers

from hub.refusal import Refusal
from hub.staff.roles import Capability, Somebody, has, require
from partners import public
from signals.admin import breaks, masks
from signals.core import indicators
from signals.lifecycle.reveal import reveal as open_value
from signals.lifecycle.search import LIMIT
from signals.lifecycle.search import search as find_value
from signals.models import Signal

_REVEALED = "revealed_at"  # in the session: when values were revealed, as Unix seconds
_HOUR = 3600
_LONGEST_REASON = 300


class _Unrepeated(forms.TextInput):
    """Comes back empty: what was typed is a value."""

    def format_value(self, value: object) -> None:
        """Nothing."""


class Search(forms.Form):
    """A value as a partner might say it."""

    type = forms.ChoiceField(
        choices=[(kind.name, f"{kind.name}: {kind.meaning}") for kind in indicators.INDICATOR_TYPES.values()]
    )
    value = forms.CharField(
        max_length=4096,
        strip=False,
        widget=_Unrepeated(attrs={"autocomplete": "off", "spellcheck": "false", "autocapitalize": "off", "size": 60}),
    )
    service = forms.CharField(
        required=False,
        max_length=253,
        widget=forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false"}),
        help_text="The domain it belongs to; for username and account_id only.",
    )


def reveal(request: HttpRequest, page: admin.ModelAdmin[Signal], signal: Signal) -> HttpResponse:
    """Show one value, after it has been written down that this person saw it. A GET shows nothing."""
    user = require(request.user, Capability.SIGNALS_REVEAL)
    if request.method != "POST":
        return HttpResponseNotAllowed(["POST"])
    at = timezone.now()
    context: dict[str, Any] = {"signal": signal, "title": "The value of a signal", "subtitle": str(signal)}
    context["back"] = _back(request, signal)
    reason = request.POST.get("reason", "").strip()[:_LONGEST_REASON]
    if must_say_why(user) and not reason:
        context["refused"] = "Say why you need to see it: deciding about signals is not your task."
        return _answer(request, page, "signals/revealed.html", context)
    try:
        context["revealed"] = open_value(signal.id, actor=f"staff:{user.pk}", at=at, reason=reason)
    except Refusal as refusal:
        context["refused"] = refusal.detail
    else:
        context["this_hour"] = count_revealed(request, 1, at=at)
        breaks.revealed(request, at=at)
    return _answer(request, page, "signals/revealed.html", context)


def _back(request: HttpRequest, signal: Signal) -> str:
    """Where somebody goes on who has seen it: to the case they are at, or to the signal's page."""
    try:
        return reverse("admin:signals_case_change", args=[UUID(request.POST.get("case", ""))])
    except ValueError:
        return reverse("admin:signals_signal_change", args=[signal.pk])


def must_say_why(somebody: Somebody) -> bool:
    """Whether revealing takes a reason: of everybody but those who decide about signals all day."""
    return not has(somebody, Capability.SIGNALS_TRIAGE)


def search(request: HttpRequest, page: admin.ModelAdmin[Signal]) -> HttpResponse:
    """The form, and below it what was found, in the answer to the POST: no address ever holds the value."""
    user = require(request.user, Capability.SIGNALS_SEARCH)
    form = Search(request.POST if request.method == "POST" else None)
    context: dict[str, Any] = {"form": form, "title": "Search for a value", "limit": LIMIT}
    if request.method == "POST" and form.is_valid():
        asked = form.cleaned_data
        try:
            found = find_value(
                asked["type"],
                asked["value"],
                service=asked["service"] or None,
                actor=f"staff:{user.pk}",
                at=timezone.now(),
            )
        except Refusal as refusal:
            context["refused"] = refusal.detail
        else:
            context |= {"found": found, "rows": _rows(found.ids), "asked_type": asked["type"]}
    return _answer(request, page, "signals/search.html", context)


def _rows(ids: tuple[Any, ...]) -> list[dict[str, Any]]:
    signals = sorted(Signal.objects.filter(id__in=ids), key=lambda signal: ids.index(signal.id))
    programmes, partners = public.programme_slugs(), public.partner_slugs()
    shown = masks.masked(signals)
    return [
        {
            "signal": signal,
            "address": reverse("admin:signals_signal_change", args=[signal.id]),
            "programme": programmes[signal.programme_id],
            "issuer": partners[signal.issuer_id],
            "masked": shown[signal.id],
        }
        for signal in signals
    ]


def count_revealed(request: HttpRequest, many: int, *, at: datetime) -> int:
    """How many values this person has seen in the past hour of this session, these included."""
    now = int(at.timestamp())
    recent = [moment for moment in request.session.get(_REVEALED, []) if moment > now - _HOUR]
    request.session[_REVEALED] = [*recent, *[now] * many]
    return len(recent) + many


def _answer(
    request: HttpRequest, page: admin.ModelAdmin[Signal], template: str, context: dict[str, Any]
) -> HttpResponse:
    whole = {**page.admin_site.each_context(request), "opts": page.opts, **context}
    answer = TemplateResponse(request, template, whole)
    add_never_cache_headers(answer)
    return answer
