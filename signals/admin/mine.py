"""A person's own page at the desk: what they were shown, a break, and what they do not work on. Nobody else's opens."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.cache import add_never_cache_headers

from hub.refusal import Refusal
from hub.staff.gate import GatedAdmin
from hub.staff.roles import Capability, require
from partners import public
from signals.admin import breaks
from signals.admin.drawing import Bar, bars
from signals.cases import own
from signals.core.breaks import LATER, PAUSE
from signals.models import Case

_DAYS = 14


def page(request: HttpRequest, admin: GatedAdmin[Case]) -> HttpResponse:
    """The page, and what is sent from it."""
    user, now = require(request.user, Capability.SIGNALS_TRIAGE), timezone.now()
    if request.method == "POST":
        try:
            messages.success(request, _act(request, user.pk))
        except Refusal as refusal:
            messages.error(request, refusal.detail)
        return HttpResponseRedirect(reverse("admin:signals_case_mine"))
    days, today, out = own.by_day(user.pk, days=_DAYS, at=now), own.today(user.pk, at=now), own.opted_out(user.pk)
    running = breaks.stretch(request)
    context = {
        **admin.admin_site.each_context(request),
        "opts": admin.opts,
        "title": "Your own page",
        "today": today,
        "drawing": bars(
            "Your last fourteen days",
            [Bar(f"{day:%d %b}", (count.revealed, count.looked_at)) for day, count in days],
            ("revealed", "looked at"),
        ),
        "running": running,
        "is_due": breaks.is_due(request, at=now),
        "later": int(LATER.total_seconds() // 60),
        "pause": int(PAUSE.total_seconds() // 60),
        "violations": [(each, each in out) for each in sorted(public.violations())],
    }
    answer = TemplateResponse(request, "signals/mine.html", context)
    add_never_cache_headers(answer)
    return answer


def _act(request: HttpRequest, person_id: int) -> str:
    match request.POST.get("do"):
        case "had-a-break":
            breaks.had(request)
            return "Welcome back."
        case "later":
            breaks.later(request, at=timezone.now())
            return "You are reminded again later."
        case "opt-out":
            own.opt_out(person_id, request.POST.getlist("violation"))
            return "Noted: the next case that you take will be none of these."
    return "Nothing was asked for."
