"""What partners handed in, read-only: the batch and the hub's verdict on each line."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from django.contrib import admin
from django.core.paginator import Paginator
from django.db.models import Count
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.safestring import SafeString

from hub.staff.gate import Figure
from hub.staff.roles import Capability
from hub.staff.site import site
from partners import public
from signals.admin.lists import ByPartner, Closed, ListOnly, badge, beside, lasting, short
from signals.models import Submission, Verdict
from signals.queries import submission_document

_LINES = 100


class ByProgress(Closed[Submission]):
    """Whether every verdict is in."""

    title, parameter_name, column = "progress", "state", "state"

    def lookups(self, request: HttpRequest, model_admin: admin.ModelAdmin[Submission]) -> list[tuple[str, str]]:
        """The two states."""
        del request, model_admin
        return [("pending", "pending"), ("done", "done")]


@admin.register(Submission, site=site)
class SubmissionAdmin(ListOnly[Submission]):
    """Batches of statements."""

    to_view = Capability.SUBMISSIONS_VIEW
    place = 3
    list_display = ("identity", "partner", "received", "state_shown", "statements", "verdicts", "took")
    list_filter = (ByProgress, ByPartner)
    ordering = ("-received_at",)
    fields = ()
    change_form_template = "signals/submission.html"

    def figures(self, request: HttpRequest) -> list[Figure]:
        """What still waits for its verdicts."""
        del request
        pending = Submission.objects.filter(state="pending").count()
        address = reverse("admin:signals_submission_changelist")
        return [Figure("submissions without all verdicts", str(pending), f"{address}?state=pending")]

    def beside(self, rows: list[Submission]) -> dict[Any, tuple[str, dict[str, int]]]:
        """The partner, and how many lines got which verdict."""
        partners = public.slugs({row.partner_id for row in rows})
        counted: dict[UUID, dict[str, int]] = {row.id: {} for row in rows}
        found = Verdict.objects.filter(submission_id__in=list(counted)).values_list("submission_id", "verdict")
        for identity, verdict, count in found.annotate(count=Count("line")):
            counted[identity][verdict] = count
        return {row.id: (partners[row.partner_id], counted[row.id]) for row in rows}

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """The batch with its verdicts, a hundred lines at a time."""
        row = self.get_object(request, object_id) if self.has_view_permission(request) else None
        context: dict[str, Any] = {"title": "Submission", **(extra_context or {})}
        if row is not None:
            document = submission_document(row)
            number = request.GET.get("page", "1")
            lines = Paginator(document["verdicts"], _LINES).get_page(number if number.isdecimal() else "1")
            context |= {
                "submission": row,
                "partner": public.partner(row.partner_id).slug,
                "counts": document["counts"],
                "digest": bytes(row.digest).hex(),
                "lines": lines,
            }
        return super().change_view(request, object_id, form_url, context)

    @admin.display(description="Submission")
    def identity(self, submission: Submission) -> str:
        """Its short id."""
        return short(submission.id)

    @admin.display(description="Partner")
    def partner(self, submission: Submission) -> str:
        """By slug."""
        return str(beside(submission)[0])

    @admin.display(description="Received")
    def received(self, submission: Submission) -> datetime:
        """When the body was kept."""
        return submission.received_at

    @admin.display(description="State")
    def state_shown(self, submission: Submission) -> SafeString:
        """In its colour."""
        return badge(submission.state)

    @admin.display(description="Statements")
    def statements(self, submission: Submission) -> int:
        """How many lines came."""
        return submission.statement_count

    @admin.display(description="Verdicts")
    def verdicts(self, submission: Submission) -> str:
        """As given at first; a held line's later fate is on the page."""
        counted = beside(submission)[1]
        return (
            ", ".join(f"{counted[word]} {word}" for word in ("accepted", "held", "refused") if word in counted) or "—"
        )

    @admin.display(description="Took")
    def took(self, submission: Submission) -> str:
        """From receipt to the last verdict."""
        return lasting(submission.finished_at - submission.received_at) if submission.finished_at else "—"
