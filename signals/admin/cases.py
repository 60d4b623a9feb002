"""The desk: the queue of cases, the oldest due first, and the page on which one is decided."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from django.contrib import admin, messages
from django.contrib.auth.models import User
from django.db.models import Exists, OuterRef, QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect, JsonResponse
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.cache import add_never_cache_headers
from django.utils.safestring import SafeString

from hub.refusal import Refusal
from hub.staff.gate import Chart, Figure
from hub.staff.roles import Capability, Who, has, member, require
from hub.staff.site import site
from partners import public
from signals.admin import breaks, charts, masks, mine, values
from signals.admin.case_page import CaseForm, page, people
from signals.admin.lists import ByProgramme, Closed, ListOnly, badge, beside, lasting, short
from signals.cases import claiming, own, second_person, talking, undoing
from signals.cases.refusals import InvalidDecision
from signals.cases.rows import is_leased
from signals.core.breaks import PAUSE
from signals.core.cases import CaseKind, CaseState, Outcome, PauseReason
from signals.models import Case, RemedyAsked, Signal

_Given = Mapping[str, Any]
_NO_CLAIM = UUID(int=0)  # a page that was drawn while nobody held the case


class ByCaseKind(Closed[Case]):
    """Why a person is asked."""

    title, parameter_name, column = "kind", "kind", "kind"

    def lookups(self, request: HttpRequest, model_admin: admin.ModelAdmin[Case]) -> list[tuple[str, str]]:
        """Every kind."""
        del request, model_admin
        return [(kind.value, kind.value) for kind in CaseKind]


class ByStanding(Closed[Case]):
    """What waits, unless something else is asked for."""

    title, parameter_name, column = "standing", "standing", "state"

    def lookups(self, request: HttpRequest, model_admin: admin.ModelAdmin[Case]) -> list[tuple[str, str]]:
        """What one looks for."""
        del request, model_admin
        return [(name, name) for name in ("overdue", "mine", "free", "paused", "decided", "unremedied", "left out")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Case]) -> QuerySet[Case]:
        """The rows of one of them."""
        chosen, now = self.value(), timezone.now()
        if chosen in {"paused", "decided"}:
            return queryset.filter(state=chosen)
        if chosen == "unremedied":
            late = RemedyAsked.objects.filter(answered_at__isnull=True, due_at__lte=now)
            return queryset.filter(pk__in=late.values("case_id"))
        waiting = queryset.filter(state=CaseState.WAITING.value)
        if chosen == "mine":
            return waiting.filter(holder=f"staff:{request.user.pk}", lease_until__gt=now)
        if out := own.opted_out(request.user.pk or 0):
            about = Exists(Signal.objects.filter(pk=OuterRef("signal_id"), violation__in=out))
            waiting = waiting.filter(about) if chosen == "left out" else waiting.filter(~about)
        elif chosen == "left out":
            return waiting.none()
        if chosen == "overdue":
            return waiting.filter(due_at__lte=now)
        return waiting.exclude(lease_until__gt=now) if chosen == "free" else waiting


@admin.register(Case, site=site)
class CaseAdmin(ListOnly[Case]):
    """What a person is asked to decide."""

    to_view = Capability.SIGNALS_VIEW
    place, called, kept_as = 0, "Cases", "cases"
    list_display = ("identity", "kind", "due", "programme", "about", "value", "cause", "at_it")
    list_filter = (ByStanding, ByCaseKind, ByProgramme)
    ordering = ("due_at", "id")
    fields = ()
    change_form_template = "signals/case.html"
    change_list_template = "signals/cases.html"

    def figures(self, request: HttpRequest) -> list[Figure]:
        """What waits, what is late, and what this person is at."""
        waiting, now = Case.objects.filter(state=CaseState.WAITING.value), timezone.now()
        late = waiting.filter(due_at__lte=now).count()
        mine = waiting.filter(holder=f"staff:{request.user.pk}", lease_until__gt=now).count()
        unanswered = RemedyAsked.objects.filter(answered_at__isnull=True, due_at__lte=now).count()
        address = reverse("admin:signals_case_changelist")
        return [
            Figure("cases wait", str(waiting.count()), address),
            Figure("cases overdue", str(late), f"{address}?standing=overdue", is_alarm=late > 0),
            *(
                [Figure("remedies overdue", str(unanswered), f"{address}?standing=unremedied", is_alarm=True)]
                if unanswered
                else []
            ),
            *([Figure("cases are yours", str(mine), f"{address}?standing=mine")] if mine else []),
        ]

    def charts(self, request: HttpRequest) -> list[Chart]:
        """The queues, what came and went, and how old it is."""
        del request
        now = timezone.now()
        return [charts.queues(at=now), charts.cases_by_day(at=now), charts.cases_by_age(at=now)]

    def note(self, request: HttpRequest) -> Figure | None:
        """What somebody was shown today, for their own eyes."""
        if not isinstance(request.user, User) or not has(request.user, Capability.SIGNALS_TRIAGE):
            return None
        count = own.today(request.user.pk, at=timezone.now())
        words = f"today {count.revealed} revealed, {count.looked_at} seen"
        return Figure("Only you see this; your own page has more", words, reverse("admin:signals_case_mine"))

    def banner(self, request: HttpRequest) -> Figure | None:
        """The reminder to look away."""
        if not breaks.is_due(request, at=timezone.now()):
            return None
        minutes = int(PAUSE.total_seconds() // 60)
        words = f"Look away for {minutes} minutes: you have been at it for long, or seen much."
        return Figure(words, "A break.", reverse("admin:signals_case_mine"))

    def get_urls(self) -> list[URLPattern]:
        """Taking the next, what is sent from a page, and its heartbeat, ahead of what takes anything."""
        view = self.admin_site.admin_view
        return [
            path("mine/", view(self._mine), name="signals_case_mine"),
            path("next/", view(self._next), name="signals_case_next"),
            path("<uuid:case_id>/act/", view(self._act), name="signals_case_act"),
            path("<uuid:case_id>/heartbeat/", view(self._heartbeat), name="signals_case_heartbeat"),
            *super().get_urls(),
        ]

    def beside(self, rows: list[Case]) -> dict[Any, tuple[str, str, str, str, datetime]]:
        """Programme, whom it is about, the masked value, who is at it, and now; in a fixed number of queries."""
        programmes, partners, now = public.programme_slugs(), public.partner_slugs(), timezone.now()
        signals = Signal.objects.in_bulk([row.signal_id for row in rows if row.signal_id is not None])
        shown, names = masks.masked(signals.values()), people({row.holder for row in rows})
        found = {}
        for row in rows:
            signal = signals.get(row.signal_id) if row.signal_id is not None else None
            about = partners[signal.issuer_id] if signal is not None else partners.get(row.partner_id or 0, "")
            kind = f"{signal.indicator_type}: {shown[signal.pk]}" if signal is not None else ""
            is_held = row.lease_until is not None and row.lease_until > now
            holder = names.get(row.holder, row.holder) if is_held else ""
            found[row.pk] = (programmes.get(row.programme_id or 0, ""), about, kind, holder, now)
        return found

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """The queue."""
        may_take = has(request.user, Capability.SIGNALS_TRIAGE)
        kinds = [kind.value for kind in CaseKind]
        is_narrowed = request.GET.get("standing") in {None, "overdue", "free"}  # by what this person does not work on
        leaves_out = is_narrowed and bool(own.opted_out(request.user.pk or 0))
        context = {"may_take": may_take, "kinds": kinds, "leaves_out": leaves_out, **(extra_context or {})}
        return super().changelist_view(request, context)

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Everything for the decision on one page."""
        row = self.get_object(request, object_id) if self.has_view_permission(request) else None
        if row is None:
            return super().change_view(request, object_id, form_url, extra_context)
        context = self._context(request, row, CaseForm(None, case=row, actor=f"staff:{request.user.pk}"))
        return super().change_view(request, object_id, form_url, {**context, **(extra_context or {})})

    def _context(self, request: HttpRequest, row: Case, form: CaseForm) -> dict[str, Any]:
        shown = page(row, actor=f"staff:{request.user.pk}", is_leased=is_leased(row), at=timezone.now())
        if row.signal_id is not None:
            breaks.looked_at(request, shown.looked_at, at=timezone.now())
        return {
            "title": "Case",
            "case": row,
            "form": form,
            "page": shown,
            "may_decide": has(request.user, Capability.SIGNALS_TRIAGE),
            "may_reveal": has(request.user, Capability.SIGNALS_REVEAL),
            "must_say_why": values.must_say_why(request.user),
        }

    def _mine(self, request: HttpRequest) -> HttpResponse:
        return mine.page(request, self)

    def _next(self, request: HttpRequest) -> HttpResponse:
        user = require(request.user, Capability.SIGNALS_TRIAGE)
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        wanted = request.POST.get("kind", "")
        kinds = [CaseKind(wanted)] if wanted in set(CaseKind) else list(CaseKind)
        case = claiming.claim_next(actor=f"staff:{user.pk}", at=timezone.now(), kinds=kinds)
        if case is None:
            messages.info(request, "Nothing waits for you here.")
            return HttpResponseRedirect(reverse("admin:signals_case_changelist"))
        return HttpResponseRedirect(reverse("admin:signals_case_change", args=[case.pk]))

    def _act(self, request: HttpRequest, case_id: UUID) -> HttpResponse:
        """One button of the page. What is refused is said above the same page, with all that was typed."""
        user = require(request.user, Capability.SIGNALS_TRIAGE)
        row = self.get_object(request, str(case_id))
        act = _ACTS.get(request.POST.get("do", ""))
        if request.method != "POST" or row is None or act is None:
            raise Http404
        form = CaseForm(request.POST, case=row, actor=f"staff:{user.pk}")
        refused = "Please correct what is marked below."
        if form.is_valid():
            try:
                sentence, goes_on = act(row.pk, form.cleaned_data, Who(actor=f"staff:{user.pk}", at=timezone.now()))
            except Refusal as refusal:
                refused = refusal.detail
            else:
                messages.success(request, sentence)
                if goes_on:
                    return HttpResponseRedirect(reverse("admin:signals_case_changelist"))
                return HttpResponseRedirect(reverse("admin:signals_case_change", args=[row.pk]))
        row.refresh_from_db()
        context = {
            **self.admin_site.each_context(request),
            **self._context(request, row, form),
            "opts": self.opts,
            "original": row,
            "refused": refused,
            "has_view_permission": True,
            "fresh": CaseForm(None, case=row, actor=f"staff:{user.pk}"),
        }
        answer = TemplateResponse(request, "signals/case.html", context)
        add_never_cache_headers(answer)
        return answer

    def _heartbeat(self, request: HttpRequest, case_id: UUID) -> HttpResponse:
        user = require(request.user, Capability.SIGNALS_TRIAGE)
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        try:
            until = claiming.heartbeat(case_id, token=UUID(request.POST.get("token", "")), actor=f"staff:{user.pk}")
        except (Refusal, ValueError) as error:
            sentence = error.detail if isinstance(error, Refusal) else "This page holds no claim."
            return JsonResponse({"refused": sentence}, status=409)
        return JsonResponse({"until": until.isoformat()})

    @admin.display(description="Case")
    def identity(self, case: Case) -> str:
        """Its short id."""
        return short(case.pk)

    @admin.display(description="Due")
    def due(self, case: Case) -> SafeString | str:
        """Loud only where it is late."""
        now = beside(case)[4]
        if case.state != CaseState.WAITING:
            return badge(case.state, case.outcome or case.state)
        if case.due_at <= now:
            return badge("overdue", f"overdue for {lasting(now - case.due_at)}")
        return f"in {lasting(case.due_at - now)}"

    @admin.display(description="Programme")
    def programme(self, case: Case) -> str:
        """By slug."""
        return str(beside(case)[0])

    @admin.display(description="Partner")
    def about(self, case: Case) -> str:
        """Who said the signal, or whom it is about."""
        return str(beside(case)[1])

    @admin.display(description="Signal, masked")
    def value(self, case: Case) -> str:
        """Its type and masked value."""
        return str(beside(case)[2])

    @admin.display(description="At it")
    def at_it(self, case: Case) -> str:
        """Who claimed it, while the claim runs."""
        return str(beside(case)[3])


def _claim(case_id: UUID, _given: _Given, who: Who) -> tuple[str, bool]:
    claiming.claim(case_id, **who)
    return "The case is yours.", False


def _release(case_id: UUID, given: _Given, who: Who) -> tuple[str, bool]:
    claiming.release(case_id, token=_token(given), **who)
    return "Given back.", True


def _skip(case_id: UUID, given: _Given, who: Who) -> tuple[str, bool]:
    claiming.skip(case_id, token=_token(given), **who)
    return "Passed over: it is offered to others.", True


def _hand_over(case_id: UUID, given: _Given, who: Who) -> tuple[str, bool]:
    to: User | None = given["to"]
    if to is None:
        raise InvalidDecision("Say to whom you hand it over.")
    claiming.hand_over(case_id, token=_token(given), to=to, text=given["text"], **who)
    return f"Handed over to {to.get_username()}.", True


def _comment(case_id: UUID, given: _Given, who: Who) -> tuple[str, bool]:
    talking.comment(case_id, given["text"], **who)
    return "Noted.", False


def _pause(case_id: UUID, given: _Given, who: Who) -> tuple[str, bool]:
    if not given["pause"]:
        raise InvalidDecision("Say what the case waits for.")
    talking.pause(case_id, PauseReason(given["pause"]), text=given["text"], **who)
    return "Paused: its clock stands still.", True


def _resume(case_id: UUID, _given: _Given, who: Who) -> tuple[str, bool]:
    talking.resume(case_id, **who)
    return "Its clock goes on.", False


def _decide(case_id: UUID, given: _Given, who: Who) -> tuple[str, bool]:
    outcome, _, reason = str(given["decision"]).partition(":")
    if not outcome:
        raise InvalidDecision("Choose an outcome together with one of its reasons.")
    case = second_person.decide_or_propose(
        case_id,
        token=_token(given),
        version=given["version"] or 0,
        outcome=Outcome(outcome),
        reason=reason,
        policy=given["policy"],
        text=given["text"],
        by=member(who),
        at=who["at"],
    )
    if case.state == CaseState.PAUSED:
        return "Others bear this signal out: your decision is proposed, and somebody else approves it.", True
    return f"Case {short(case_id)} is decided: {case.outcome}.", True


def _undo(case_id: UUID, given: _Given, who: Who) -> tuple[str, bool]:
    undoing.undo(case_id, text=given["text"], **who)
    return "Undone: the case waits again.", False


def _reopen(case_id: UUID, given: _Given, who: Who) -> tuple[str, bool]:
    undoing.reopen(case_id, text=given["text"], **who)
    return "Opened again.", False


def _token(given: _Given) -> UUID:
    token: UUID = given["token"] or _NO_CLAIM
    return token


_ACTS: Mapping[str, Callable[[UUID, _Given, Who], tuple[str, bool]]] = {  # the sentence, and whether to leave the page
    "claim": _claim,
    "release": _release,
    "skip": _skip,
    "hand-over": _hand_over,
    "comment": _comment,
    "pause": _pause,
    "resume": _resume,
    "decide": _decide,
    "undo": _undo,
    "reopen": _reopen,
}
