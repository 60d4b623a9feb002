"""Admin pages on which life happens by verbs: a button, a form that says what will happen, one call, one message."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar, Generic, TypeVar

from django.contrib import messages
from django.contrib.admin.utils import quote, unquote
from django.db.models import Model
from django.forms import Form
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect, QueryDict
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.cache import add_never_cache_headers
from django.utils.text import capfirst

from hub.refusal import Refusal
from hub.staff.gate import GatedAdmin
from hub.staff.roles import Capability, Who, has, require
from hub.staff.step_up import require_fresh

__all__ = ["Answer", "GoTo", "ListVerb", "NoFields", "RowVerb", "ShownOnce", "VerbAdmin", "Who"]

_M = TypeVar("_M", bound=Model)


@dataclass(frozen=True, slots=True)
class ShownOnce:
    """The answer of a verb that made a secret: one page shows it, no redirect, nothing kept."""

    sentence: str
    secret: str


@dataclass(frozen=True, slots=True)
class GoTo:
    """The answer of a verb that made a row: the sentence stands on that row's page."""

    sentence: str
    address: str


Answer = str | GoTo | ShownOnce  # the message for the next page, or a page of its own


class NoFields(Form):
    """A verb that needs nothing but a yes."""


@dataclass(frozen=True, slots=True)
class RowVerb(Generic[_M]):
    """Something to do to one row. `act` makes one call; what it refuses is shown on the form."""

    name: str  # its piece of the address
    label: str  # its button
    to: Capability
    sentence: str  # what will happen
    act: Callable[[_M, dict[str, Any], Who], Answer]
    form: type[Form] = NoFields
    initial: Callable[[_M], dict[str, Any]] = lambda row: {}  # noqa: ARG005  nothing is known before
    is_offered: Callable[[_M], bool] = lambda row: True  # noqa: ARG005  the verb itself has the last word


@dataclass(frozen=True, slots=True)
class ListVerb:
    """Something to do without a row: as a rule, to make one."""

    name: str
    label: str
    to: Capability
    sentence: str
    act: Callable[[dict[str, Any], Who], Answer]
    form: type[Form]
    initial: Callable[[QueryDict], dict[str, Any]] = lambda asked: {}  # noqa: ARG005  from the link that led here


class VerbAdmin(GatedAdmin[_M]):
    """Read-only lists and pages with a button for each verb that this person may use and this row is ready for."""

    row_verbs: ClassVar[Sequence[RowVerb[Any]]] = ()
    list_verbs: ClassVar[Sequence[ListVerb]] = ()
    change_form_template = "staff/verbs_on_row.html"
    change_list_template = "staff/verbs_on_list.html"

    def get_urls(self) -> list[URLPattern]:
        """A page for each verb, ahead of Django's own that take anything."""
        view = self.admin_site.admin_view
        return [
            path("do/<slug:name>/", view(self._do_to_list), name=self._named("list_verb")),
            path("<path:pk>/do/<slug:name>/", view(self._do_to_row), name=self._named("row_verb")),
            *super().get_urls(),
        ]

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """The row with its buttons."""
        row = self.get_object(request, unquote(object_id))
        buttons = [
            (verb.label, self._address("row_verb", object_id, verb.name))
            for verb in self.row_verbs
            if row is not None and self.is_offered(request, verb, row)
        ]
        named = {"called": self.called or self.opts.verbose_name_plural, "buttons": buttons}
        if not self.has_change_permission(request):
            named["title"] = capfirst(self.opts.verbose_name)  # nobody needs to be told that they view it
        return super().change_view(request, object_id, form_url, {**named, **(extra_context or {})})

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """The list with its buttons."""
        buttons = [
            (verb.label, self._address("list_verb", verb.name))
            for verb in self.list_verbs
            if has(request.user, verb.to)
        ]
        return super().changelist_view(request, {**(extra_context or {}), "buttons": buttons})

    def describe(self, row: _M) -> Sequence[tuple[str, object]]:
        """What the form of a verb says of its row, so that nobody acts on a bare id."""
        del row
        return ()

    def needs(self, verb: RowVerb[Any], row: _M) -> Capability:
        """What a verb asks for on this row: as a rule what it names."""
        del row
        return verb.to

    def must_be_fresh(self, verb: RowVerb[Any]) -> bool:
        """Whether a verb asks for a fresh second factor even where its capability does not."""
        del verb
        return False

    def is_offered(self, request: HttpRequest, verb: RowVerb[Any], row: _M) -> bool:
        """Whether this person sees a button for the verb on this row."""
        return has(request.user, self.needs(verb, row)) and verb.is_offered(row)

    def after(self, verb: RowVerb[Any], row: _M) -> str:
        """Where somebody goes on after a verb: the row's page, unless a queue calls."""
        del verb
        return self._address("change", str(row.pk))

    def _do_to_row(self, request: HttpRequest, pk: str, name: str) -> HttpResponse:
        verb = next((verb for verb in self.row_verbs if verb.name == name), None)
        row = self.get_object(request, unquote(pk)) if self.has_view_permission(request) else None
        if verb is None or row is None:
            raise Http404
        form = verb.form(_sent(request), request.FILES or None, initial=verb.initial(row))
        back, onwards = self._address("change", pk), self.after(verb, row)
        act = partial(verb.act, row)
        needs = self.needs(verb, row)
        if has(request.user, needs) and self.must_be_fresh(verb):
            require_fresh(request)
        return self._page(request, verb, form, act, needs=needs, back=back, onwards=onwards, row=row)

    def _do_to_list(self, request: HttpRequest, name: str) -> HttpResponse:
        verb = next((verb for verb in self.list_verbs if verb.name == name), None)
        if verb is None or not self.has_view_permission(request):
            raise Http404
        form = verb.form(_sent(request), request.FILES or None, initial=verb.initial(request.GET))
        back = self._address("changelist")
        return self._page(request, verb, form, verb.act, needs=verb.to, back=back, onwards=back, row=None)

    def _page(
        self,
        request: HttpRequest,
        verb: RowVerb[Any] | ListVerb,
        form: Form,
        act: Callable[[dict[str, Any], Who], Answer],
        *,
        needs: Capability,
        back: str,
        onwards: str,
        row: _M | None,
    ) -> HttpResponse:
        user = require(request.user, needs)
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": verb.label,
            "subtitle": str(row) if row else None,
            "verb": verb,
            "form": form,
            "back": back,
            "original": row,
            "description": self.describe(row) if row is not None else (),
        }
        if request.method == "POST" and form.is_valid():
            try:
                answer = act(form.cleaned_data, Who(actor=f"staff:{user.pk}", at=timezone.now()))
            except Refusal as refusal:
                context["refused"] = refusal.detail
            else:
                if isinstance(answer, ShownOnce):
                    page = TemplateResponse(request, "staff/shown_once.html", {**context, "answer": answer})
                    add_never_cache_headers(page)
                    return page
                messages.success(request, answer.sentence if isinstance(answer, GoTo) else answer)
                return HttpResponseRedirect(answer.address if isinstance(answer, GoTo) else onwards)
        return TemplateResponse(request, "staff/verb.html", context)

    def _named(self, page: str) -> str:
        return f"{self.opts.app_label}_{self.opts.model_name}_{page}"

    def _address(self, page: str, *parts: str) -> str:
        quoted = [quote(part) if page == "change" else part for part in parts]
        return reverse(f"admin:{self._named(page)}", args=quoted, current_app=self.admin_site.name)


def _sent(request: HttpRequest) -> QueryDict | None:
    """The form's data once it is sent: a form without fields is sent too."""
    return request.POST if request.method == "POST" else None
