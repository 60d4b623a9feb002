"""The recall board: every removed signal, who had it, who knows that it is gone, and whom to ring up."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.safestring import SafeString

from hub.staff.gate import CappedPaginator, Figure
from hub.staff.roles import Capability, has
from hub.staff.site import site
from partners import public
from signals.admin import masks
from signals.admin.lists import ByIssuer, ByProgramme, ByType, Closed, ListOnly, badge, beside, short, since
from signals.admin.page_of_signal import channel_shown
from signals.admin.recall_bar import bar
from signals.compliance.recall import Copy, Recall, overdue_after, recalls
from signals.core.notices import RECALLED
from signals.core.recall import Standing
from signals.lifecycle.activity import Activity, counted
from signals.models import RecalledSignal

_ORDER = (Standing.OVERDUE, Standing.WAITING, Standing.RECEIPT, Standing.CLEARED, Standing.TOLD)


class ByKind(Closed[RecalledSignal]):
    """How it was recalled."""

    title, parameter_name, column = "recall", "recall", "removal"

    def lookups(self, request: HttpRequest, model_admin: admin.ModelAdmin[RecalledSignal]) -> list[tuple[str, str]]:
        """The ways."""
        del request, model_admin
        return [(kind, kind) for kind in RECALLED]

    def queryset(self, request: HttpRequest, queryset: QuerySet[RecalledSignal]) -> QuerySet[RecalledSignal]:
        """A restricted one is not removed."""
        if self.value() == "restricted":
            return queryset.filter(removal="", state="restricted")
        return super().queryset(request, queryset)


class ByAcknowledgement(Closed[RecalledSignal]):
    """Whether somebody is overdue."""

    title, parameter_name, column = "acknowledgement", "acknowledgement", "id"

    def lookups(self, request: HttpRequest, model_admin: admin.ModelAdmin[RecalledSignal]) -> list[tuple[str, str]]:
        """What one looks for."""
        del request, model_admin
        return [("overdue", "overdue")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[RecalledSignal]) -> QuerySet[RecalledSignal]:
        """Those that a copy was late with when the front page's figure was counted; of very many, the latest."""
        del request
        if self.value() != "overdue":
            return queryset
        late = counted(Activity.RECALLS, at=timezone.now())
        return queryset.filter(id__in=[signal_id for signal_id, *_ in late.rows if signal_id])


@dataclass(frozen=True, slots=True)
class _Beside:
    """What the board shows beside a signal's row."""

    programme: str
    issuer: str
    masked: str
    recall: Recall | None  # None while what was removed has not moved yet
    now: datetime

    def standing(self, which: Standing) -> int:
        """How many copies stand so."""
        return self.recall.tally[which] if self.recall is not None else 0


@dataclass(frozen=True, slots=True)
class Line:
    """One copy on the page of a recall."""

    partner: str
    channel: str
    endpoint: str  # its address in the admin, where this person may look at it
    copy: Copy
    receipt_at: datetime | None


class _LatestOnes(CappedPaginator[RecalledSignal]):
    """A board of what is recent; whoever looks for an old recall comes from its signal, or filters."""

    most = 1_000


@admin.register(RecalledSignal, site=site)
class RecallBoard(ListOnly[RecalledSignal]):
    """What was withdrawn, expired, quarantined or restricted, the latest first."""

    to_view = Capability.SIGNALS_VIEW
    place = 2
    called = "Recall board"
    list_display = (
        *("identity", "how", "recalled", "programme", "issuer", "kind", "value"),
        *("had", "acknowledged", "late", "stands"),
    )
    list_filter = (ByAcknowledgement, ByKind, ByProgramme, ByIssuer, ByType)
    ordering = ("-changed_at",)
    paginator = _LatestOnes
    list_per_page = 12  # each row asks of every channel whether it had the signal
    fields = ()
    change_form_template = "signals/recall.html"
    change_list_template = "signals/recalls.html"

    def figures(self, request: HttpRequest) -> list[Figure]:
        """How many copies are late."""
        del request
        found = counted(Activity.RECALLS, at=(now := timezone.now()))
        late = sum(copies for _, copies, _ in found.rows)
        address = f"{reverse('admin:signals_recalledsignal_changelist')}?acknowledgement=overdue"
        number = f"{late} or more" if found.is_estimated else str(late)
        label = ", ".join(filter(None, ("recalls not acknowledged in time", found.ahead(now))))
        return [Figure(label, number, address, is_alarm=late > 0)]

    def beside(self, rows: list[RecalledSignal]) -> dict[Any, _Beside]:
        """Names, masked values and the board, in a fixed number of queries."""
        programmes, partners, now = public.programme_slugs(), public.partner_slugs(), timezone.now()
        shown, found = masks.masked(rows), recalls([row.id for row in rows], at=now)
        return {
            row.id: _Beside(
                programmes[row.programme_id], partners[row.issuer_id], shown[row.id], found.get(row.id), now
            )
            for row in rows
        }

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """One recall, with every copy."""
        row = self.get_object(request, object_id) if self.has_view_permission(request) else None
        context: dict[str, Any] = {"title": "Recall", **(extra_context or {})}
        if row is not None:
            shown = self.beside([row])[row.id]
            context |= {"shown": shown, "recall": shown.recall, "hours": overdue_after().total_seconds() / 3600}
            if shown.recall is not None:
                lines = _lines(shown.recall, may_see_endpoints=has(request.user, Capability.ENDPOINTS_VIEW))
                context |= {"lines": lines, "bar": bar(shown.recall.tally, width=640, height=18)}
                context["tally"] = [(each.value, shown.recall.tally[each]) for each in reversed(_ORDER)]
        return super().change_view(request, object_id, form_url, context)

    @admin.display(description="Signal")
    def identity(self, signal: RecalledSignal) -> str:
        """Its short id."""
        return short(signal.id)

    @admin.display(description="Recall")
    def how(self, signal: RecalledSignal) -> SafeString:
        """What became of it."""
        return badge(signal.removal or signal.state)

    @admin.display(description="Ago")
    def recalled(self, signal: RecalledSignal) -> str:
        """Since when; its standing may have changed later."""
        known = beside(signal)
        return since(known.recall.at if known.recall is not None else signal.changed_at, at=known.now)

    @admin.display(description="Programme")
    def programme(self, signal: RecalledSignal) -> str:
        """By slug."""
        return str(beside(signal).programme)

    @admin.display(description="Issuer")
    def issuer(self, signal: RecalledSignal) -> str:
        """By slug."""
        return str(beside(signal).issuer)

    @admin.display(description="Type")
    def kind(self, signal: RecalledSignal) -> str:
        """Of the indicator."""
        return signal.indicator_type

    @admin.display(description="Value, masked")
    def value(self, signal: RecalledSignal) -> str:
        """Masked."""
        return str(beside(signal).masked)

    @admin.display(description="Had it")
    def had(self, signal: RecalledSignal) -> str:
        """Copies that were handed it, and those that may have been."""
        recall = beside(signal).recall
        if recall is None:
            return "0"
        return f"{recall.had} + {recall.possibly_had} possibly" if recall.possibly_had else str(recall.had)

    @admin.display(description="Acknowledged")
    def acknowledged(self, signal: RecalledSignal) -> int:
        """Copies that are told or cleared."""
        recall = beside(signal).recall
        return recall.acknowledged if recall is not None else 0

    @admin.display(description="Overdue")
    def late(self, signal: RecalledSignal) -> SafeString | str:
        """Copies that are late; loud only where there are any."""
        count = beside(signal).standing(Standing.OVERDUE)
        return badge("overdue", f"{count} overdue") if count else "0"

    @admin.display(description="Copies")
    def stands(self, signal: RecalledSignal) -> SafeString | str:
        """A bar of how they stand."""
        recall = beside(signal).recall
        return bar(recall.tally) if recall is not None and recall.copies else ""


def _lines(recall: Recall, *, may_see_endpoints: bool) -> list[Line]:
    """Whom to ring up first."""
    partners = public.partner_slugs()
    receipts = {receipt.partner_id: receipt.received_at for receipt in recall.receipts}
    lines = []
    for copy in recall.copies:
        kind, _, identity = copy.channel.partition(":")
        is_linked = kind == "endpoint" and may_see_endpoints
        lines.append(
            Line(
                partners.get(copy.partner_id, "?"),
                channel_shown(copy.channel),
                reverse("admin:signals_endpoint_change", args=[identity]) if is_linked else "",
                copy,
                receipts.get(copy.partner_id),
            )
        )
    return sorted(lines, key=lambda line: (_ORDER.index(line.copy.standing), line.partner, line.channel))
