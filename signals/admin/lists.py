"""What the lists of this room share: closed filters that ask no table, names beside rows, short words for people."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Generic, TypeVar

from django.contrib import admin
from django.contrib.admin.views.main import ChangeList
from django.db.models import Model, QuerySet
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString

from hub.staff.verbs import VerbAdmin
from partners import public
from signals.core import indicators
from signals.core.states import State

_M = TypeVar("_M", bound=Model)
_BESIDE = "_beside"  # what a list looked up for a row, in one go for the page


class ListOnly(VerbAdmin[_M]):
    """A list narrowed by its own filters alone: no column of the database is asked through the URL."""

    sortable_by = ()

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest | None = None) -> bool:
        """The filters' own parameters; no other column is compared with what an address says."""
        del value, request
        return lookup in {
            one.parameter_name for one in self.list_filter if isinstance(one, type) and issubclass(one, Closed)
        }

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
