"""The page "Waiting for a second person": what was proposed, exactly what would happen, and the buttons to decide."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from django import forms
from django.contrib import admin
from django.contrib.admin.views.main import ChangeList
from django.db.models import Count, Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from hub.staff import approvals
from hub.staff.approvals import ACTS
from hub.staff.gate import Figure
from hub.staff.models import Approval, ApprovalState
from hub.staff.roles import Capability, Who, capabilities, member, roles_of
from hub.staff.site import site
from hub.staff.verbs import RowVerb, VerbAdmin

_DECIDED = "decided"
_ALL = "all"


class Why(forms.Form):
    """The reason for a proposal, or for refusing one."""

    reason = forms.CharField(
        max_length=1000,
        widget=forms.Textarea(attrs={"rows": 3}),
        help_text="A file number or a sentence. No names and no values: the other person reads it as it stands.",
    )


class StateFilter(admin.SimpleListFilter):
    """What waits, unless somebody asks for the rest."""

    title = "state"
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: admin.ModelAdmin[Approval]) -> list[tuple[str, str]]:
        """Besides what waits."""
        del request, model_admin
        return [(_DECIDED, "no longer waiting"), (_ALL, "all")]

    def choices(self, changelist: ChangeList) -> Iterator[Any]:
        """As Django's, with the first under its right name."""
        first, *others = super().choices(changelist)
        yield {**first, "display": "waiting"}
        yield from others

    def queryset(self, request: HttpRequest, queryset: QuerySet[Approval]) -> QuerySet[Approval]:
        """Those that wait, those that do not, or all."""
        del request
        waiting = ApprovalState.WAITING.value
        if self.value() == _DECIDED:
            return queryset.exclude(state=waiting)
        return queryset if self.value() == _ALL else queryset.filter(state=waiting)


def _approve(row: Approval, _given: dict[str, Any], who: Who) -> str:
    return approvals.approve(row.pk, by=member(who), at=who["at"])


def _refuse(row: Approval, given: dict[str, Any], who: Who) -> str:
    approvals.refuse(row.pk, by=member(who), reason=given["reason"], at=who["at"])
    return "Refused. Nothing was done."


def _withdraw(row: Approval, _given: dict[str, Any], who: Who) -> str:
    approvals.withdraw(row.pk, by=member(who), at=who["at"])
    return "Withdrawn. Nothing was done."


def _is_waiting(row: Approval) -> bool:
    return row.state == ApprovalState.WAITING


@admin.register(Approval, site=site)
class ApprovalAdmin(VerbAdmin[Approval]):
    """Proposals, newest first."""

    to_view = Capability.APPROVALS_VIEW
    place, called = 5, "Waiting for a second person"
    list_display = ("what", "subject", "proposer", "proposed_at", "expires_at", "standing")
    list_display_links = ("what",)
    list_filter = (StateFilter,)
    list_select_related = ("proposer",)
    fields = (
        *("what", "subject", "what_will_happen", "reason", "proposer", "proposed_at", "expires_at"),
        *("standing", "decider", "decided_at", "answer"),
    )
    readonly_fields = fields
    row_verbs = (
        RowVerb(
            "approve",
            "Approve",
            Capability.APPROVALS_VIEW,
            "This is done at once. Both your names stand in the ledger.",
            _approve,
            is_offered=_is_waiting,
        ),
        RowVerb(
            "refuse",
            "Refuse",
            Capability.APPROVALS_VIEW,
            "Nothing is done, for good; it may be proposed anew.",
            _refuse,
            Why,
            is_offered=_is_waiting,
        ),
        RowVerb(
            "withdraw",
            "Withdraw",
            Capability.APPROVALS_VIEW,
            "Nothing is done, for good; it may be proposed anew.",
            _withdraw,
            is_offered=_is_waiting,
        ),
    )

    def needs(self, verb: RowVerb[Any], row: Approval) -> Capability:
        """Deciding needs what the act names; withdrawing, what proposing it needed."""
        act = ACTS.get(row.act)
        if act is None:
            return verb.to
        return act.to_propose if verb.name == "withdraw" else act.to_approve

    def must_be_fresh(self, verb: RowVerb[Any]) -> bool:
        """Deciding is for whoever is really there."""
        return verb.name != "withdraw"

    def is_offered(self, request: HttpRequest, verb: RowVerb[Any], row: Approval) -> bool:
        """Withdrawing to who proposed it, deciding to somebody else."""
        is_own = row.proposer_id == request.user.pk
        return super().is_offered(request, verb, row) and is_own == (verb.name == "withdraw")

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """The proposal, under the act's own words."""
        row = self.get_object(request, object_id) if self.has_view_permission(request) else None
        title = {"title": self.what(row)} if row is not None else {}
        return super().change_view(request, object_id, form_url, {**title, **(extra_context or {})})

    def figures(self, request: HttpRequest) -> Sequence[Figure]:
        """What waits for this person, and what of theirs waits for others."""
        may = capabilities(roles_of(request.user))
        acts = [act.name for act in ACTS.values() if act.to_approve in may]
        address = reverse("admin:staff_approval_changelist", current_app=self.admin_site.name)
        is_own = Q(proposer_id=request.user.pk)
        waiting = Approval.objects.filter(state=ApprovalState.WAITING.value)
        counted = waiting.aggregate(mine=Count("pk", filter=Q(act__in=acts) & ~is_own), own=Count("pk", filter=is_own))
        for_me, own = counted["mine"], counted["own"]
        found = [Figure("wait for you as the second person", str(for_me), address, is_alarm=True)] if for_me else []
        return [*found, *([Figure("of yours wait for a second person", str(own), address)] if own else [])]

    def describe(self, row: Approval) -> Sequence[tuple[str, object]]:
        """Who proposed it and why, and exactly what would happen."""
        lines = approvals.description(row) if _is_waiting(row) else ()
        return (("Proposed by", row.proposer.get_username()), ("Reason", row.reason), *lines)

    @admin.display(description="what")
    def what(self, row: Approval) -> str:
        """In the act's own words."""
        act = ACTS.get(row.act)
        return act.meaning if act is not None else row.act

    @admin.display(description="what will happen")
    def what_will_happen(self, row: Approval) -> SafeString | str:
        """Line by line, while it waits."""
        if not _is_waiting(row):
            return f"Nothing more: it is {row.state}."
        lines = approvals.description(row)
        if approvals.is_stale(row, lines):
            return "What it is about has changed since: it cannot be approved any more and must be proposed anew."
        shown = format_html_join("", "<dt>{}</dt><dd>{}</dd>", ((name, fact) for name, fact in lines))
        return format_html("<dl>{}</dl>", shown)

    @admin.display(description="state", ordering="state")
    def standing(self, row: Approval) -> SafeString:
        """In words and colour."""
        return format_html('<span class="state state-{}">{}</span>', row.state, row.state)
