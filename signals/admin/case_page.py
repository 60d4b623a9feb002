"""What the page of one case shows besides its signal's own page: who is at it, what was said, what may be done now."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django import forms
from django.contrib.auth.models import User
from django.db.models import Q, QuerySet

from hub.staff.roles import Role
from partners import public
from signals.admin import page_of_quality, page_of_signal
from signals.admin.lists import lasting
from signals.cases import own
from signals.cases.rows import read
from signals.cases.undoing import may_undo
from signals.core.cases import PAUSES, CaseKind, CaseState, Outcome, reason_codes
from signals.models import Appeal, Case, CaseEvent, RemedyAsked, Ruling, Signal, Weight

_EVENTS = 100
_JUDGED = 10
_SAME = 1000  # signals of the same value that are counted

MEANINGS: Mapping[str, str] = {
    CaseKind.HOLD: "A gate held this signal: may it be published?",
    CaseKind.DISPUTE: "Others say that this signal is wrong: does it stand?",
    CaseKind.APPEAL: "Somebody affected says that this signal is wrong: does it stand?",
    CaseKind.QUALITY: "What this partner sends looks worse than before: is anything to be done?",
}


@dataclass(frozen=True, slots=True)
class Said:
    """One event of a case, for people."""

    at: datetime
    who: str
    what: str
    words: str  # the closed words that came with it
    text: str


@dataclass(frozen=True, slots=True)
class Judged:
    """One time that people were asked about the same, or ruled on it."""

    at: datetime
    what: str
    came_of_it: str
    case_id: UUID | None  # None for a ruling


@dataclass(frozen=True, slots=True)
class Page:
    """Everything the template draws beside the signal's page; nothing here is a value."""

    question: str
    due: str
    is_overdue: bool
    holder: str
    is_mine: bool
    is_decided: bool
    is_paused: bool
    pause: str
    may_undo: bool
    may_reopen: bool
    programme: str
    partner: str
    judged: list[Judged]  # what was ruled on the signal, and other cases about the same
    handed: str  # to how many, and when first
    same_value: list[tuple[str, int]]  # state → how many signals of the same value, this one left out
    appeals: list[tuple[str, Appeal]]  # who appealed, and what they say in closed words
    remedies: list[tuple[str, RemedyAsked, bool]]  # who was told, what they put right, and whether that is overdue
    standing: str  # with how many say what
    history: list[Said]
    signal: page_of_signal.Page | None
    looked_at: str  # the violation of the signal
    is_avoided: bool  # the person does not work on it
    quality: page_of_quality.Page | None  # of the partner, where the case is about that
    proposed: str


def page(case: Case, *, actor: str, is_leased: bool, at: datetime) -> Page:
    """The page of this case for this person at that moment; the number of queries does not grow with what it shows."""
    signal = Signal.objects.filter(pk=case.signal_id).first() if case.signal_id is not None else None
    events = list(CaseEvent.objects.filter(case=case).order_by("-id")[:_EVENTS])
    names = people({case.holder, case.decided_by, *(event.actor for event in events)})
    about = Q(signal_id=case.signal_id) if case.signal_id is not None else Q(partner_id=case.partner_id)
    late, programmes, partners = at - case.due_at, public.programme_slugs(), public.partner_slugs()
    names_of = {"programmes": programmes, "partners": partners}
    shown = page_of_signal.page(signal, **names_of, at=at) if signal is not None else None
    is_decided = case.state == CaseState.DECIDED
    quality = _quality(case, at=at)
    return Page(
        question=MEANINGS[case.kind],
        due=f"{lasting(late)} overdue" if case.due_at <= at else f"due in {lasting(-late)}",
        is_overdue=case.due_at <= at and case.state == CaseState.WAITING,
        holder=names.get(case.holder, case.holder) if is_leased else "",
        is_mine=is_leased and case.holder == actor,
        is_decided=is_decided,
        is_paused=case.state == CaseState.PAUSED,
        pause=PAUSES.get(case.pause_reason, ""),
        may_undo=may_undo(case, at=at),
        may_reopen=is_decided and bool(case.decided_by) and case.kind != CaseKind.HOLD,
        programme=programmes.get(case.programme_id or 0, ""),
        partner=partners.get(case.partner_id or 0, ""),
        judged=_judged(case, Case.objects.filter(about).exclude(pk=case.pk)),
        handed=_handed(shown.handed) if shown is not None else "",
        same_value=_same_value(signal),
        appeals=[(partners.get(row.partner_id, "?"), row) for row in Appeal.objects.filter(case=case).order_by("at")],
        remedies=[
            (partners.get(row.partner_id, "?"), row, row.answered_at is None and row.due_at <= at)
            for row in RemedyAsked.objects.filter(case=case).order_by("answered_at", "due_at")
        ],
        standing=_standing(signal),
        history=[_said(event, names) for event in events],
        signal=shown,
        looked_at=signal.violation if signal is not None else "",
        is_avoided=signal is not None and signal.violation in own.opted_out(int(actor.removeprefix("staff:"))),
        quality=quality,
        proposed=page_of_quality.proposal(case, quality) if quality is not None else "",
    )


def _quality(case: Case, *, at: datetime) -> page_of_quality.Page | None:
    if case.kind != CaseKind.QUALITY or case.partner_id is None:
        return None
    return page_of_quality.page(case.partner_id, programme_id=case.programme_id, at=at)


def people(actors: Iterable[str]) -> dict[str, str]:
    """Names of members of staff by how the ledger names them: "staff:7". One query."""
    keys = [int(actor.removeprefix("staff:")) for actor in actors if actor.startswith("staff:")]
    return {f"staff:{key}": name for key, name in User.objects.filter(pk__in=keys).values_list("pk", "username")}


def _said(event: CaseEvent, names: Mapping[str, str]) -> Said:
    written = read(event)
    words = [str(value) for value in event.facts.values() if value]
    words += [f"policy: {written['policy']}"] if written.get("policy") else []
    shown = ", ".join(names.get(word, word) for word in words)
    return Said(event.at, names.get(event.actor, event.actor), event.kind, shown, written.get("comment", ""))


def _judged(case: Case, others: QuerySet[Case]) -> list[Judged]:
    rulings = Ruling.objects.filter(signal_id=case.signal_id).order_by("-number")[:_JUDGED] if case.signal_id else ()
    lines = [
        Judged(row.opened_at, f"{row}", row.outcome or row.state, row.pk)
        for row in others.order_by("-opened_at")[:_JUDGED]
    ]
    lines += [Judged(row.at, "ruling", f"{row.ruled}: {row.reason}", None) for row in rulings]
    return sorted(lines, key=lambda line: line.at, reverse=True)


def _handed(handed: list[page_of_signal.Handed]) -> str:
    if not handed:
        return ""
    partners, first = {line.partner for line in handed}, min(line.first_at for line in handed)
    by = f"{len(partners)} partner{'s' if len(partners) > 1 else ''}"
    through = f"{len(handed)} channel{'s' if len(handed) > 1 else ''}"
    return f"{by} through {through}, first at {first:%H:%M} on {first.day} {first:%b %Y}"


def _standing(signal: Signal | None) -> str:
    weight = Weight.objects.filter(signal_id=signal.pk).first() if signal is not None else None
    if weight is None:
        return ""
    counts = [f"{count} {word}" for group in weight.counts.values() for word, count in group.items() if count]
    return ", ".join([weight.standing, *counts])


def _same_value(signal: Signal | None) -> list[tuple[str, int]]:
    if signal is None or signal.value_index is None:
        return []
    rows = Signal.objects.filter(value_index=signal.value_index).exclude(pk=signal.pk)
    return sorted(Counter(rows.values_list("state", flat=True)[:_SAME]).items())


class CaseForm(forms.Form):
    """Everything that may be sent from a case's page; which of it is needed depends on the button."""

    token = forms.UUIDField(required=False, widget=forms.HiddenInput)
    version = forms.IntegerField(required=False, widget=forms.HiddenInput)
    decision = forms.ChoiceField(required=False)
    policy = forms.CharField(
        required=False, max_length=80, widget=forms.TextInput(attrs={"placeholder": "such as Handbook 4.2", "size": 24})
    )
    text = forms.CharField(
        required=False,
        max_length=4000,
        label="Comment",
        widget=forms.Textarea(attrs={"rows": 3, "cols": 40, "placeholder": "No values: they belong to the signal"}),
    )
    pause = forms.ChoiceField(required=False, choices=[("", "—"), *PAUSES.items()])
    to = forms.ModelChoiceField(required=False, queryset=User.objects.none(), label="Hand over to")

    def __init__(self, sent: Mapping[str, Any] | None, *, case: Case, actor: str) -> None:
        token = case.lease_token if case.holder == actor else None  # nobody is told another's
        super().__init__(sent, initial={"token": token, "version": case.version})
        groups: dict[str, list[tuple[str, str]]] = {}
        for code, meaning in reason_codes(CaseKind(case.kind)).items():
            outcome, _, reason = code.partition(":")
            groups.setdefault(outcome, []).append((code, f"{reason}: {meaning}"))
        self.fields["decision"] = forms.ChoiceField(
            required=False, choices=[("", "—"), *((Outcome(name).value, codes) for name, codes in groups.items())]
        )
        analysts = User.objects.filter(
            is_active=True, is_staff=True, groups__name__in=[Role.ANALYST.value, Role.SENIOR_ANALYST.value]
        )
        others = analysts.exclude(pk=int(actor.removeprefix("staff:"))).distinct().order_by("username")
        self.fields["to"] = forms.ModelChoiceField(required=False, queryset=others, label="Hand over to")
