"""Seeing many values at once, at the desk: tick signals in their list, say why, wait for a second person, look once."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.cache import add_never_cache_headers
from django.utils.safestring import SafeString

from hub.refusal import Refusal
from hub.staff.roles import Capability, require
from hub.staff.site import site
from signals.admin import breaks
from signals.admin.case_page import people
from signals.admin.lists import Closed, ListOnly, badge, beside, short
from signals.admin.values import count_revealed
from signals.lifecycle import reveal_many
from signals.models import RevealMany, RevealState, Signal


class Why(forms.Form):
    """What the second person is told."""

    reason = forms.CharField(max_length=500, widget=forms.Textarea(attrs={"rows": 3}), label="Why")


def ask(request: HttpRequest, page: admin.ModelAdmin[Signal], chosen: QuerySet[Signal]) -> HttpResponse | None:
    """The action of a list: first the question why, then the proposal. None goes back to the list."""
    user = require(request.user, Capability.SIGNALS_REVEAL)
    ids: list[UUID] = list(chosen.order_by("pk").values_list("pk", flat=True)[: RevealMany.MOST + 1])
    if len(ids) > RevealMany.MOST:
        messages.error(request, f"At most {RevealMany.MOST} values are shown at once; nothing was asked.")
        return None
    form = Why(request.POST if "ask" in request.POST else None)
    context: dict[str, Any] = {"form": form, "ids": ids, "title": "See many values", "ticked": ACTION_CHECKBOX_NAME}
    if form.is_valid():
        try:
            asked = reveal_many.ask(ids, reason=form.cleaned_data["reason"], by=user, at=timezone.now())
        except Refusal as refusal:
            context["refused"] = refusal.detail
        else:
            messages.success(request, "It waits for a second person; nothing is shown before.")
            return HttpResponseRedirect(reverse("admin:signals_revealmany_change", args=[asked.pk]))
    whole = {**page.admin_site.each_context(request), "opts": page.opts, **context}
    return TemplateResponse(request, "signals/ask_to_reveal.html", whole)


class ByRevealState(Closed[RevealMany]):
    """Where it stands."""

    title, parameter_name, column = "state", "state", "state"

    def lookups(self, request: HttpRequest, model_admin: admin.ModelAdmin[RevealMany]) -> list[tuple[str, str]]:
        """Every state."""
        del request, model_admin
        return [(state.value, state.value) for state in RevealState]


@admin.register(RevealMany, site=site)
class RevealAdmin(ListOnly[RevealMany]):
    """Who asked to see many values, newest first; to look is for whoever asked alone."""

    to_view = Capability.SIGNALS_REVEAL
    place, called = 4, "Reveals of many"
    list_display = ("identity", "asked_at", "person", "how_many", "state_shown", "shown_at")
    list_filter = (ByRevealState,)
    ordering = ("-asked_at",)
    fields = ("asked_at", "how_many", "state_shown", "approved_at", "shown_at")
    readonly_fields = fields
    change_form_template = "signals/reveal_many.html"

    def get_urls(self) -> list[URLPattern]:
        """The look, ahead of what takes anything."""
        view = self.admin_site.admin_view(self._look)
        return [path("<uuid:reveal_id>/values/", view, name="signals_revealmany_values"), *super().get_urls()]

    def beside(self, rows: list[RevealMany]) -> dict[Any, str]:
        """Who asked, in one query."""
        names = people({row.asked_by for row in rows})
        return {row.pk: names.get(row.asked_by, row.asked_by) for row in rows}

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Where it stands; with the button, for whoever asked."""
        row = self.get_object(request, object_id) if self.has_view_permission(request) else None
        may_look = (
            row is not None
            and row.asked_by == f"staff:{request.user.pk}"
            and reveal_many.may_look(row, at=timezone.now())
        )
        context = {"title": "Reveal of many values", "may_look": may_look}
        if row is not None:
            context["title"] = f"{self.beside([row])[row.pk]} asked to see {len(row.signal_ids)} values"
        return super().change_view(request, object_id, form_url, {**context, **(extra_context or {})})

    def _look(self, request: HttpRequest, reveal_id: UUID) -> HttpResponse:
        """The values, once, on a page that nothing keeps."""
        user = require(request.user, Capability.SIGNALS_REVEAL)
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        row = RevealMany.objects.filter(pk=reveal_id).first()
        if row is None:
            raise Http404
        at = timezone.now()
        context: dict[str, Any] = {"title": "Values", "row": row}
        try:
            context["shown"] = reveal_many.show(reveal_id, actor=f"staff:{user.pk}", at=at)
        except Refusal as refusal:
            context["refused"] = refusal.detail
        else:
            seen = sum(one.revealed is not None for one in context["shown"])
            context["this_hour"] = count_revealed(request, seen, at=at)
            breaks.revealed(request, seen, at=at)
        whole = {**self.admin_site.each_context(request), "opts": self.opts, **context}
        answer = TemplateResponse(request, "signals/revealed_many.html", whole)
        add_never_cache_headers(answer)
        return answer

    @admin.display(description="Reveal")
    def identity(self, row: RevealMany) -> str:
        """Its short id."""
        return short(row.pk)

    @admin.display(description="Asked by")
    def person(self, row: RevealMany) -> str:
        """By name."""
        return str(beside(row))

    @admin.display(description="Values")
    def how_many(self, row: RevealMany) -> int:
        """Signals that were chosen."""
        return len(row.signal_ids)

    @admin.display(description="State")
    def state_shown(self, row: RevealMany) -> SafeString:
        """In its colour; a day after it was granted it is over."""
        is_late = row.state == RevealState.GRANTED and not reveal_many.may_look(row, at=timezone.now())
        return badge(RevealState.OVER.value if is_late else row.state)
