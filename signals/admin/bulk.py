"""Bulk runs at the desk: choose by filter, look at the dry run, apply it or have somebody agree, watch it, undo it."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django import forms
from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString

from hub.staff.gate import Figure
from hub.staff.roles import Capability, Who, member
from hub.staff.site import site
from hub.staff.verbs import GoTo, ListVerb, RowVerb
from partners import public
from signals.admin import masks
from signals.admin.case_page import people
from signals.admin.lists import ByProgramme, Closed, ListOnly, badge, beside, short
from signals.bulk import drafting, running, second_person
from signals.core import indicators
from signals.core.bulk import MEANINGS, SENTENCES, Deed, Filter, ItemState, RunState, reasons_of
from signals.core.cases import AppealReason, CaseKind
from signals.core.gates import HoldReason
from signals.models import BulkItem, BulkRun, Signal

_SAMPLES, _LISTED = 20, 100
_DRAFT = (
    "A dry run changes nothing: it finds the signals, freezes the list, and shows what would become of them. Then you"
    " apply it, or somebody else agrees first."
)


def _any(words: list[str]) -> list[tuple[str, str]]:
    return [("", "any"), *((word, word) for word in words)]


def _slugs(slugs: dict[int, str]) -> list[tuple[str, str]]:
    return _any(sorted(slugs.values()))


def _violations() -> list[tuple[str, str]]:
    return _any(sorted({each for key in public.programme_slugs() for each in public.programme_by_id(key).violations}))


class Wanted(forms.Form):
    """What is decided, and about which signals: closed words only, never a value."""

    decision = forms.ChoiceField(
        choices=[
            ("", "—"),
            *(
                (
                    sentence,
                    [
                        (f"{deed.value}:{code}", f"{deed.value}, {code}: {meaning}")
                        for code, meaning in reasons_of(deed).items()
                    ],
                )
                for deed, sentence in SENTENCES.items()
            ),
        ],
    )
    policy = forms.CharField(max_length=80, help_text="The place in a policy that it rests on.")
    programme = forms.ChoiceField(choices=lambda: sorted((s, s) for s in public.programme_slugs().values()))
    partner = forms.ChoiceField(required=False, choices=lambda: _slugs(public.partner_slugs()), label="Said by")
    type = forms.ChoiceField(required=False, choices=_any(list(indicators.INDICATOR_TYPES)))
    violation = forms.ChoiceField(required=False, choices=_violations)
    held = forms.ChoiceField(required=False, choices=_any([each.value for each in HoldReason]), label="Held because")
    case = forms.ChoiceField(
        required=False,
        choices=_any([CaseKind.HOLD.value, CaseKind.DISPUTE.value]),
        label="With a case of kind",
    )
    cause = forms.ChoiceField(
        required=False,
        choices=_any(sorted({*(each.value for each in HoldReason), *(each.value for each in AppealReason)})),
        label="With a case caused by",
    )
    key = forms.RegexField(
        r"^[A-Za-z0-9_-]{43}$",
        required=False,
        label="Signed with key",
        widget=forms.TextInput(attrs={"size": 48, "spellcheck": "false"}),
        help_text="Its kid, as the partner's page shows it.",
    )
    since = forms.DateTimeField(
        required=False, widget=forms.DateTimeInput(attrs={"type": "datetime-local"}), label="Received since"
    )
    until = forms.DateTimeField(
        required=False,
        widget=forms.DateTimeInput(attrs={"type": "datetime-local"}),
        label="Received before",
        help_text="UTC.",
    )


class Why(forms.Form):
    """What the second person is told."""

    why = forms.CharField(max_length=500, widget=forms.Textarea(attrs={"rows": 3}), label="Why")


def _moment(given: datetime | None) -> str:
    return given.isoformat() if given is not None else ""


def _draft(given: dict[str, Any], who: Who) -> GoTo:
    words = ("programme", "partner", "type", "violation", "held", "case", "cause", "key")
    wanted = Filter(
        **{name: given[name] for name in words}, since=_moment(given["since"]), until=_moment(given["until"])
    )
    deed, _, reason = str(given["decision"]).partition(":")
    run = drafting.draft(Deed(deed), wanted, reason=reason, policy=given["policy"], **who)
    return GoTo("Nothing has happened yet: look first.", _address(run))


def _apply(run: BulkRun, _given: dict[str, Any], who: Who) -> str:
    running.apply(run.pk, **who)
    return f"{run.would:,} signals are being decided."


def _propose(run: BulkRun, given: dict[str, Any], who: Who) -> str:
    second_person.propose(run.pk, why=given["why"], by=member(who), at=who["at"])
    return "It waits for a second person; nothing happens before."


def _stop(run: BulkRun, _given: dict[str, Any], who: Who) -> str:
    running.stop(run.pk, **who)
    return "Stopped: what is decided is decided, and the rest is as it was."


def _go_on(run: BulkRun, _given: dict[str, Any], who: Who) -> str:
    running.go_on(run.pk, **who)
    return "It goes on where it stood."


def _undo(run: BulkRun, _given: dict[str, Any], who: Who) -> str:
    running.undo(run.pk, **who)
    return "It is being undone; below is what could not be."


def _address(run: BulkRun) -> str:
    return reverse("admin:signals_bulkrun_change", args=[run.pk])


class ByRunState(Closed[BulkRun]):
    """Where the run stands."""

    title, parameter_name, column = "state", "state", "state"

    def lookups(self, request: HttpRequest, model_admin: admin.ModelAdmin[BulkRun]) -> list[tuple[str, str]]:
        """Every state."""
        del request, model_admin
        return [(state.value, state.value) for state in RunState]


@admin.register(BulkRun, site=site)
class BulkAdmin(ListOnly[BulkRun]):
    """Decisions about many signals, newest first."""

    to_view = Capability.SIGNALS_VIEW
    place, called = 3, "Bulk runs"
    list_display = ("identity", "drafted_at", "person", "deed", "programme", "chosen", "state_shown", "progress")
    list_filter = (ByRunState, ByProgramme)
    ordering = ("-drafted_at",)
    fields = ()
    change_form_template = "signals/bulk_run.html"
    list_verbs = (ListVerb("draft", "Make a dry run", Capability.SIGNALS_TRIAGE, _DRAFT, _draft, Wanted),)
    row_verbs = (
        RowVerb(
            "apply",
            "Apply it",
            Capability.SIGNALS_TRIAGE,
            "Each signal of the dry run is decided in the background, unless something has happened to it since.",
            _apply,
            is_offered=lambda run: run.state == RunState.DRAFT and run.would > 0 and not run.needs_two,
        ),
        RowVerb(
            "propose",
            "Propose it to a second person",
            Capability.SIGNALS_TRIAGE,
            "Somebody else sees this dry run, and it is applied when they agree.",
            _propose,
            Why,
            is_offered=lambda run: run.state == RunState.DRAFT and run.would > 0,
        ),
        RowVerb(
            "stop",
            "Stop it",
            Capability.SIGNALS_TRIAGE,
            "Between two signals: what is decided is decided, and the rest stays as it is.",
            _stop,
            is_offered=lambda run: run.state == RunState.APPLYING,
        ),
        RowVerb(
            "go-on",
            "Let it go on",
            Capability.SIGNALS_TRIAGE,
            "Where it stood when it was stopped.",
            _go_on,
            is_offered=lambda run: run.state == RunState.STOPPED and run.undo_asked_at is None,
        ),
        RowVerb(
            "undo",
            "Undo the whole run",
            Capability.SIGNALS_TRIAGE,
            "Each decision is taken back as a single one is, the last first. What members have been served stays.",
            _undo,
            is_offered=lambda run: running.may_undo(run, at=timezone.now()),
        ),
    )

    def figures(self, request: HttpRequest) -> list[Figure]:
        """What is at work, or stands because it failed."""
        del request
        at_work = BulkRun.objects.filter(state__in=running.AT_WORK).count()
        return [Figure("bulk runs at work", str(at_work), reverse("admin:signals_bulkrun_changelist"))]

    def describe(self, row: BulkRun) -> list[tuple[str, object]]:
        """What a verb's form says of the run."""
        return [("What", SENTENCES[Deed(row.deed)]), *Filter.of(row.filters).sentences(), ("Signals", row.would)]

    def beside(self, rows: list[BulkRun]) -> dict[Any, tuple[str, str]]:
        """Programme and person, in two queries."""
        programmes, names = public.programme_slugs(), people({row.asked_by for row in rows})
        return {row.pk: (programmes[row.programme_id], names.get(row.asked_by, row.asked_by)) for row in rows}

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """The dry run with its samples, then how far it is and what was left out."""
        row = self.get_object(request, object_id) if self.has_view_permission(request) else None
        context = _page(row, after=request.GET.get("after", "")) if row is not None else {}
        return super().change_view(request, object_id, form_url, {**context, **(extra_context or {})})

    @admin.display(description="Run")
    def identity(self, run: BulkRun) -> str:
        """Its short id."""
        return short(run.pk)

    @admin.display(description="By")
    def person(self, run: BulkRun) -> str:
        """Who made the dry run."""
        return str(beside(run)[1])

    @admin.display(description="Programme")
    def programme(self, run: BulkRun) -> str:
        """By slug."""
        return str(beside(run)[0])

    @admin.display(description="Chosen")
    def chosen(self, run: BulkRun) -> str:
        """The filter in words."""
        return "; ".join(f"{name.lower()} {word}" for name, word in Filter.of(run.filters).sentences()[1:]) or "all"

    @admin.display(description="State")
    def state_shown(self, run: BulkRun) -> SafeString:
        """In its colour."""
        return badge(run.state)

    @admin.display(description="Progress")
    def progress(self, run: BulkRun) -> SafeString | str:
        """A bar while it is at work, and the counts."""
        return progress(run)


def progress(run: BulkRun) -> SafeString | str:
    """How far a run is, as a bar with its numbers; of a dry run, how many it would change."""
    if run.state in {RunState.DRAFT, RunState.PROPOSED}:
        return f"{run.would:,} would change"
    if run.state in {RunState.UNDOING, RunState.UNDONE}:
        over, whole, word = run.undone + run.kept, run.done, f"{run.undone:,} undone, {run.kept:,} could not be"
    else:
        over, whole, word = run.done + run.skipped, run.would, f"{run.done:,} decided, {run.skipped:,} left out"
    bar = '<progress max="{}" value="{}" aria-label="{}"></progress> {}'
    return format_html(bar, max(1, whole), over, word, f"{word}, of {whole:,}")


def _page(run: BulkRun, *, after: str) -> dict[str, Any]:
    """What the template shows; a fixed number of queries, and at most _SAMPLES seals opened."""
    begin = int(after) if after.isdecimal() and len(after) < 9 else 0
    listed = list(
        BulkItem.objects.filter(
            run=run,
            state__in=[ItemState.SKIPPED.value, ItemState.KEPT.value],
            number__gt=begin,
        ).order_by("number")[: _LISTED + 1]
    )
    names = people({run.asked_by, run.approved_by, run.undo_by})
    return {
        "title": SENTENCES[Deed(run.deed)],
        "run": run,
        "filters": Filter.of(run.filters).sentences(),
        "meaning": reasons_of(Deed(run.deed)).get(run.reason, ""),
        "by": names.get(run.asked_by, run.asked_by),
        "agreed": names.get(run.approved_by, run.approved_by),
        "undone_by": names.get(run.undo_by, run.undo_by),
        "counts": run.counts,
        "meanings": MEANINGS,
        "samples": _samples(run),
        "listed": listed[:_LISTED],
        "after": begin,
        "more": listed[_LISTED - 1].number if len(listed) > _LISTED else None,
        "progress": progress(run),
        "is_dry": run.state in {RunState.DRAFT, RunState.PROPOSED},
        "is_at_work": run.state in running.AT_WORK,
    }


def _samples(run: BulkRun) -> list[dict[str, Any]]:
    """The first of the signals that it would change: they are in the order of their ids, which are random."""
    items = BulkItem.objects.filter(run=run).exclude(state=ItemState.SKIPPED.value).order_by("number")[:_SAMPLES]
    rows = Signal.objects.in_bulk([item.signal_id for item in items])
    partners, shown = public.partner_slugs(), masks.masked(rows.values())
    return [
        {
            "signal": rows[item.signal_id],
            "issuer": partners[rows[item.signal_id].issuer_id],
            "state": item.state,
            "masked": shown[item.signal_id],
        }
        for item in items
        if item.signal_id in rows
    ]
