"""What the lists of this room share: closed filters that ask no table, names beside rows, short words for people."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, ClassVar, Generic, TypeVar
from urllib.parse import urlencode

from django.contrib import admin, messages
from django.contrib.admin.views.main import ChangeList
from django.contrib.auth.models import User
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect, QueryDict
from django.urls import URLPattern, path
from django.utils.html import format_html
from django.utils.safestring import SafeString

from hub.refusal import Refusal
from hub.staff.roles import require
from hub.staff.verbs import VerbAdmin
from partners import public
from signals.cases import own
from signals.core import indicators
from signals.core.states import State

_M = TypeVar("_M", bound=Model)
_BESIDE = "_beside"  # what a list looked up for a row, in one go for the page


class ListOnly(VerbAdmin[_M]):
    """A list narrowed by its own filters alone: no column of the database is asked through the URL."""

    kept_as: ClassVar[str] = ""  # where people may save what they narrow the list to: the word it is saved under
    sortable_by = ()

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest | None = None) -> bool:
        """The filters' own parameters; no other column is compared with what an address says."""
        del value, request
        return lookup in {
            one.parameter_name for one in self.list_filter if isinstance(one, type) and issubclass(one, Closed)
        }

    def get_urls(self) -> list[URLPattern]:
        """Where a filter is saved, for lists that have it."""
        saved = path("saved/", self.admin_site.admin_view(self._saved), name=self._named("saved"))
        return [*([saved] if self.kept_as else []), *super().get_urls()]

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """The list, with this person's saved filters of it, and what it is narrowed to now."""
        context: dict[str, Any] = {}
        if self.kept_as and isinstance(request.user, User) and self.has_view_permission(request):
            kept = own.saved_filters(request.user.pk, self.kept_as)
            here = self._address("changelist")
            context["saved"] = [
                {"id": each.pk, "name": each.name, "address": f"{here}?{urlencode(each.asked)}"} for each in kept
            ]
            context |= {"asked": self._asked(request, request.GET), "save_at": self._address("saved")}
        return super().changelist_view(request, {**context, **(extra_context or {})})

    def _saved(self, request: HttpRequest) -> HttpResponse:
        """Save what was asked of the list, or forget one: POST only."""
        user = require(request.user, self.to_view)
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        asked = self._asked(request, request.POST)
        if request.POST.get("forget", "").isdecimal():
            own.forget_filter(user.pk, self.kept_as, int(request.POST["forget"]))
            return HttpResponseRedirect(self._address("changelist"))
        try:
            kept = own.save_filter(user.pk, self.kept_as, request.POST.get("called", ""), asked)
        except Refusal as refusal:
            messages.error(request, refusal.detail)
        else:
            messages.success(request, f"Saved as “{kept.name}”.")
        return HttpResponseRedirect(f"{self._address('changelist')}?{urlencode(asked)}")

    def _asked(self, request: HttpRequest, given: QueryDict) -> dict[str, str]:
        """Of what was sent, the filters of this list with words that they know: nothing else is ever kept."""
        found = {}
        for kind in self.list_filter:
            if (
                isinstance(kind, type)
                and issubclass(kind, Closed)
                and (word := given.get(name := str(kind.parameter_name)))
            ):
                known = kind(request, {name: [word]}, self.model, self).lookup_choices
                if word in {str(key) for key, _ in known}:
                    found[name] = word
        return found

    def beside(self, rows: list[_M]) -> Mapping[Any, object]:
        """What the columns show of these rows besides the rows, by primary key, in a fixed number of queries."""
        del rows
        return {}

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:  # noqa: ANN401  Django's own
        """A list that looks up what stands beside its rows."""
        del request, kwargs
        return _List


class _List(ChangeList):
    """One page of rows, each with what stands beside it."""

    def get_results(self, request: HttpRequest) -> None:
        """The rows as Django finds them, then what stands beside them."""
        super().get_results(request)
        page = self.model_admin
        rows = list(self.result_list)
        found = page.beside(rows) if isinstance(page, ListOnly) else {}
        for row in rows:
            row.__dict__[_BESIDE] = found.get(row.pk)
        self.result_list = rows


def beside(row: Model) -> Any:  # noqa: ANN401  each list knows its own
    """What the list looked up for this row."""
    return row.__dict__[_BESIDE]


class Closed(admin.SimpleListFilter, Generic[_M]):
    """Equality with one of a closed list."""

    column: str

    def queryset(self, request: HttpRequest, queryset: QuerySet[_M]) -> QuerySet[_M]:
        """The rows that have it."""
        del request
        chosen = self.value()
        known = {str(key) for key, _ in self.lookup_choices}
        return queryset if chosen not in known else queryset.filter(**{self.column: chosen})


class ByState(Closed[_M]):
    """Where the signal stands."""

    title, parameter_name, column = "state", "state", "state"

    def lookups(self, request: HttpRequest, model_admin: admin.ModelAdmin[_M]) -> list[tuple[str, str]]:
        """Every state that is ever stored."""
        del request, model_admin
        return [(state.value, state.value) for state in State if state is not State.RECEIVED]


class ByType(Closed[_M]):
    """The type of the indicator."""

    title, parameter_name, column = "type", "type", "indicator_type"

    def lookups(self, request: HttpRequest, model_admin: admin.ModelAdmin[_M]) -> list[tuple[str, str]]:
        """The eleven types."""
        del request, model_admin
        return [(name, name) for name in indicators.INDICATOR_TYPES]


class ByProgramme(Closed[_M]):
    """The programme."""

    title, parameter_name, column = "programme", "programme", "programme_id"

    def lookups(self, request: HttpRequest, model_admin: admin.ModelAdmin[_M]) -> list[tuple[str, str]]:
        """All programmes, by slug."""
        del request, model_admin
        return [(str(key), slug) for key, slug in public.programme_slugs().items()]


class ByPartner(Closed[_M]):
    """The partner."""

    title, parameter_name, column = "partner", "partner", "partner_id"

    def lookups(self, request: HttpRequest, model_admin: admin.ModelAdmin[_M]) -> list[tuple[str, str]]:
        """All partners, by slug."""
        del request, model_admin
        return [(str(key), slug) for key, slug in public.partner_slugs().items()]


class ByIssuer(ByPartner[_M]):
    """The partner who said it."""

    title, parameter_name, column = "issuer", "issuer", "issuer_id"


def badge(word: str, shown: str = "") -> SafeString:
    """A state in its colour; the word, or what says more, is always there."""
    return format_html('<span class="state state-{}">{}</span>', word, shown or word)


def short(identity: object) -> str:
    """The first eight characters of an id, enough for people to tell rows apart."""
    return str(identity)[:8]


def lasting(duration: timedelta) -> str:
    """A duration as people say it: "40 s", "12 min", "3 h 5 min", "4 d"."""
    seconds = max(0, int(duration.total_seconds()))
    if seconds < 90:
        return f"{seconds} s"
    minutes = seconds // 60
    if minutes < 90:
        return f"{minutes} min"
    hours = minutes // 60
    return f"{hours} h {minutes % 60} min" if hours < 36 else f"{hours // 24} d"


def since(moment: datetime, *, at: datetime) -> str:
    """How long ago."""
    return lasting(at - moment)
