"""Exports of the ledger in the admin: ask for one, watch it being made, download it; opening values takes two."""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import Any, BinaryIO
from uuid import UUID

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import (
    Http404,
    HttpRequest,
    HttpResponse,
    HttpResponseNotAllowed,
    HttpResponseRedirect,
    StreamingHttpResponse,
)
from django.http.response import HttpResponseBase
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString

from hub.ledger.actions import ACTIONS
from hub.ledger.export.query import Kind, Query
from hub.ledger.leaf import timestamp
from hub.refusal import Refusal
from hub.staff.approvals import Act, Description, propose, register
from hub.staff.gate import Figure
from hub.staff.models import Approval
from hub.staff.roles import Capability, Who, has, member, require
from hub.staff.site import site
from hub.staff.verbs import ListVerb
from partners import public
from signals.admin.lists import Closed, ListOnly, badge, short
from signals.lifecycle import exports
from signals.models import Export, ExportState

_BLOCK = 1 << 20  # bytes read at a time
_STEPS = {
    "entries": "reading entries",
    "proofs": "collecting proofs",
    "sums": "summing up files",
    "check": "being checked by its own verifier",
    "archive": "packing",
}
_WHAT_COMES = (
    "It is made in the background and can be downloaded once its own verifier has accepted it. That you asked, and for"
    " what, stands in the ledger from now on."
)


class Asked(forms.Form):
    """What an export is asked for."""

    kind = forms.ChoiceField(
        choices=[
            (Kind.FILTERED.value, "filtered: only what is asked for below"),
            (Kind.COMPLETE.value, "complete range: every leaf of the span, so that nothing can have been left out"),
        ]
    )
    since = forms.DateTimeField(required=False, widget=forms.DateTimeInput(attrs={"type": "datetime-local"}))
    until = forms.DateTimeField(
        required=False,
        widget=forms.DateTimeInput(attrs={"type": "datetime-local"}),
        help_text="UTC, by when leaves were sequenced; not included.",
    )
    partner = forms.ChoiceField(required=False, choices=lambda: _choices(public.partner_slugs()))
    programme = forms.ChoiceField(required=False, choices=lambda: _choices(public.programme_slugs()))
    signal = forms.UUIDField(required=False, widget=forms.TextInput(attrs={"size": 40, "spellcheck": "false"}))
    actor = forms.RegexField(
        r"^(partner|staff|system):[A-Za-z0-9._:-]+$", required=False, help_text="partner:<slug>, staff:<number>, …"
    )
    actions = forms.MultipleChoiceField(
        required=False, choices=[(name, name) for name in ACTIONS], help_text="Any of these; none: all."
    )
    reason = forms.CharField(
        max_length=500,
        widget=forms.Textarea(attrs={"rows": 3}),
        help_text="Why, and for whom: it stands in the bundle.",
    )

    def clean(self) -> dict[str, Any]:
        """The filters as a query, under `query`."""
        given = super().clean() or {}
        if self.errors:
            return given
        try:
            given["query"] = Query(
                kind=Kind(given["kind"]),
                since=_said(given["since"]),
                until=_said(given["until"]),
                partner=given["partner"] or None,
                programme=given["programme"] or None,
                signal=str(given["signal"]) if given["signal"] else None,
                actor=given["actor"] or None,
                actions=tuple(sorted(given["actions"])),
            )
        except Refusal as refusal:
            raise forms.ValidationError(refusal.detail) from None
        return given


def _choices(slugs: dict[int, str]) -> list[tuple[str, str]]:
    return [("", "all"), *((slug, slug) for slug in sorted(slugs.values()))]


def _said(moment: datetime | None) -> str | None:
    return timestamp(moment) if moment is not None else None


# ---------------------------------------------------------------- opening values takes two
def _query(approval: Approval) -> Query:
    return Query.of(approval.facts["kind"], approval.facts["filter"])


def _describe(approval: Approval) -> Description:
    return (
        (
            "What",
            "An export of the ledger in which values are opened: statements in full, with the salts that prove them",
        ),
        *_query(approval).sentences(),
    )


def _perform(approval: Approval, who: Who) -> str:
    proposer = f"staff:{approval.proposer_id}"
    export = exports.ask(
        _query(approval),
        reason=approval.reason,
        actor=proposer,
        approved_by=who["actor"],
        opens_values=True,
        at=who["at"],
    )
    return f"Export {short(export.id)} is being made."


OPEN_VALUES = register(
    Act(
        name="export.open-values",
        meaning="Export the ledger with values opened",
        to_propose=Capability.SIGNALS_REVEAL,
        to_approve=Capability.LEDGER_EXPORT,
        perform=_perform,
        describe=_describe,
    )
)


def _ask(given: dict[str, Any], who: Who) -> str:
    export = exports.ask(given["query"], reason=given["reason"], **who)
    return f"Export {short(export.id)} is being made."


def _propose(given: dict[str, Any], who: Who) -> str:
    query: Query = given["query"]
    facts = {"kind": query.kind.value, "filter": query.document()}
    propose(OPEN_VALUES, by=member(who), subject="ledger:export", facts=facts, reason=given["reason"], at=who["at"])
    return "It waits for a second person; nothing is opened before."


# ---------------------------------------------------------------- the pages
class ByStanding(Closed[Export]):
    """Where the export stands."""

    title, parameter_name, column = "state", "state", "state"

    def lookups(self, request: HttpRequest, model_admin: admin.ModelAdmin[Export]) -> list[tuple[str, str]]:
        """Every state."""
        del request, model_admin
        return [(state.value, state.value) for state in ExportState]


@admin.register(Export, site=site)
class ExportAdmin(ListOnly[Export]):
    """Exports, newest first."""

    to_view = Capability.LEDGER_EXPORT
    place, called = 31, "Exports of the ledger"
    list_display = ("identity", "asked_at", "asked_by", "kind", "filters_shown", "state_shown", "progress", "size")
    list_filter = (ByStanding,)
    ordering = ("-asked_at",)
    fields = (
        *("id", "kind", "filters_shown", "opens_values", "reason", "asked_by", "asked_at", "approved_by"),
        *("state_shown", "progress", "checkpoint_size", "entries", "matching", "opened", "size", "sha256"),
        *("made_at", "expires_at", "failure"),
    )
    readonly_fields = fields
    change_form_template = "signals/export.html"
    list_verbs = (
        ListVerb("ask", "Ask for an export", Capability.LEDGER_EXPORT, _WHAT_COMES, _ask, Asked),
        ListVerb(
            "open",
            "Ask for one that opens values",
            Capability.LEDGER_EXPORT,
            f"A second person must agree first. {_WHAT_COMES}",
            _propose,
            Asked,
        ),
    )

    def get_urls(self) -> list[URLPattern]:
        """The download, ahead of what takes anything."""
        view = self.admin_site.admin_view(self._download)
        return [path("<uuid:export_id>/download/", view, name="signals_export_download"), *super().get_urls()]

    def figures(self, request: HttpRequest) -> list[Figure]:
        """What is being made."""
        del request
        pending = Export.objects.filter(state=ExportState.PENDING.value).count()
        address = reverse("admin:signals_export_changelist")
        return [Figure("exports being made", str(pending), f"{address}?state=pending")]

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """The export, with its download once it is done; while it is being made the page comes anew by itself."""
        row = self.get_object(request, object_id) if self.has_view_permission(request) else None
        known = {
            "is_pending": row is not None and row.state == ExportState.PENDING,
            "may_download": row is not None and row.state == ExportState.DONE and _may_download(request, row),
        }
        return super().change_view(request, object_id, form_url, {**(extra_context or {}), **known})

    def _do_to_list(self, request: HttpRequest, name: str) -> HttpResponse:
        _check(request)
        return super()._do_to_list(request, name)

    def _download(self, request: HttpRequest, export_id: UUID) -> HttpResponseBase:
        """The file, in pieces; that it is handed out is in the ledger before the first of them."""
        _check(request)
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        user = require(request.user, Capability.LEDGER_EXPORT)
        row = Export.objects.filter(id=export_id).first()
        if row is None:
            raise Http404
        if row.opens_values:
            require(request.user, Capability.SIGNALS_REVEAL)
        try:
            handed = exports.download(export_id, actor=f"staff:{user.pk}", at=timezone.now())
        except Refusal as refusal:
            messages.error(request, refusal.detail)
            return HttpResponseRedirect(reverse("admin:signals_export_change", args=[export_id]))
        file = handed.path.open("rb")  # from now on it can be erased under us, and is handed out all the same
        return StreamingHttpResponse(
            _Pieces(file),
            content_type="application/zip",
            headers={
                "Cache-Control": "no-store",
                "Content-Disposition": f'attachment; filename="{handed.name}"',
                "Content-Length": str(handed.byte_count),
                "X-Content-Type-Options": "nosniff",
            },
        )

    @admin.display(description="Export")
    def identity(self, export: Export) -> str:
        """Its short id."""
        return short(export.id)

    @admin.display(description="Asked for")
    def filters_shown(self, export: Export) -> str:
        """The filters in words."""
        said = [f"{name.lower()} {value}" for name, value in Query.of(export.kind, export.filters).sentences()[1:]]
        return "; ".join(said) + ("; values opened" if export.opens_values else "")

    @admin.display(description="State")
    def state_shown(self, export: Export) -> SafeString:
        """In its colour."""
        return badge(export.state)

    @admin.display(description="Progress")
    def progress(self, export: Export) -> SafeString | str:
        """The step and a bar of how much of it is done."""
        if export.state != ExportState.PENDING:
            return "—"
        step = _STEPS.get(export.step, "waits for its turn")
        bar = '<progress max="{}" value="{}" aria-label="{}"></progress> {} {}'
        count = f"{export.step_done:,} of {export.step_total:,}" if export.step == "entries" else ""
        return format_html(bar, max(1, export.step_total), export.step_done, step, step, count)

    @admin.display(description="Size")
    def size(self, export: Export) -> str:
        """Of the archive."""
        return f"{export.byte_count / 1e6:,.1f} MB" if export.byte_count is not None else "—"


def _may_download(request: HttpRequest, row: Export) -> bool:
    return not row.opens_values or has(request.user, Capability.SIGNALS_REVEAL)


def _check(request: HttpRequest) -> None:
    """403 for whoever may not export; who tried it by more than a look is written down."""
    if has(request.user, Capability.LEDGER_EXPORT):
        return
    if request.method == "POST":
        exports.deny(actor=f"staff:{request.user.pk}", at=timezone.now())
    raise PermissionDenied("Exports need the capability ledger.export; ask an operator for a role that has it.")


class _Pieces:
    """The file's bytes, for an asynchronous answer: a slow reader holds a megabyte and no thread. Django closes it."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def __aiter__(self) -> _Pieces:
        return self

    async def __anext__(self) -> bytes:
        block = await asyncio.to_thread(self._file.read, _BLOCK)
        if not block:
            raise StopAsyncIteration
        return block

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()
