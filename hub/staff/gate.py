"""The one base of every admin page: seen with one capability, read-only unless the page names others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, TypeVar

from django.contrib import admin
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.core.paginator import Paginator
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.text import capfirst

from hub.staff.roles import Capability, has

COUNTED = 10_000  # rows that a list counts, and that its pages reach; beyond, counting would cost more than the page

_M = TypeVar("_M", bound=Model)


class CappedPaginator(Paginator[_M]):
    """Counts no further than `most`: a list of a million is narrowed by its filters, not leafed through."""

    most: ClassVar[int] = COUNTED

    @cached_property
    def count(self) -> int:
        """How many rows the pages reach."""
        rows = self.object_list
        return rows.order_by()[: self.most].count() if isinstance(rows, QuerySet) else len(rows)

    @property
    def is_capped(self) -> bool:
        """Whether there may be more."""
        return self.count >= self.most


@dataclass(frozen=True, slots=True)
class Figure:
    """One number on the front page; `is_alarm` where somebody should look now."""

    label: str
    number: str
    address: str
    is_alarm: bool = False


@dataclass(frozen=True, slots=True)
class Chart:
    """One drawing, or small table, on the front page, made on the server."""

    title: str
    drawing: SafeString


class GatedAdmin(admin.ModelAdmin[_M]):
    """Set `to_view`; set `to_add`, `to_change`, `to_delete` only where a form may write rows (life happens by verbs).

    Django's own permissions and the superuser flag count for nothing here.
    """

    to_view: ClassVar[Capability]
    place: ClassVar[int] = 50  # on the front page: small numbers first, and rooms by their first list
    called: ClassVar[str] = ""  # what people call these rows, where the model's name is not it
    to_add: ClassVar[Capability | None] = None
    to_change: ClassVar[Capability | None] = None
    to_delete: ClassVar[Capability | None] = None
    actions_on_top = True
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER  # counting every choice would read every row
    paginator: ClassVar[type[Paginator[Any]]] = CappedPaginator
    list_per_page = 50
    list_max_show_all = 50  # "show all" never shows more than a page

    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> _M | None:
        """As Django's, and once for each page that is read: a page, its buttons and its form show the same row."""
        if request.method != "GET":
            return super().get_object(request, object_id, from_field)
        kept: dict[tuple[object, ...], _M | None] = vars(request).setdefault("rows_of_pages", {})
        key = (self.model, object_id, from_field)
        if key not in kept:
            kept[key] = super().get_object(request, object_id, from_field)
        return kept[key]

    def figures(self, request: HttpRequest) -> Sequence[Figure]:
        """What the front page counts of these rows, in a bounded number of queries; asked only where the page opens."""
        del request
        return ()

    def charts(self, request: HttpRequest) -> Sequence[Chart]:
        """What the front page draws of these rows, in few and bounded queries; asked only where the page opens."""
        del request
        return ()

    def note(self, request: HttpRequest) -> Figure | None:
        """What the head of every page tells whoever may open this one about themselves; one query at most."""
        del request
        return None

    def banner(self, request: HttpRequest) -> Figure | None:
        """What stands above every page of whoever may open this one, until somebody has looked; one query at most."""
        del request
        return None

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """The list under its name."""
        title = self.called or capfirst(self.opts.verbose_name_plural)
        return super().changelist_view(request, {"title": title, **(extra_context or {})})

    def action_checkbox(self, obj: _M) -> SafeString:
        """As Django's, which renders a template for each row: a quarter of the time that a long list takes."""
        return format_html(
            '<input type="checkbox" name="{}" value="{}" class="action-select"'
            ' aria-label="Select this object for an action - {}">',
            *(ACTION_CHECKBOX_NAME, obj.pk, obj),
        )

    def has_module_permission(self, request: HttpRequest) -> bool:
        """Whether the index lists it."""
        return has(request.user, self.to_view)

    def has_view_permission(self, request: HttpRequest, obj: _M | None = None) -> bool:
        """Whether the lists and pages open."""
        del obj  # the same for every row
        return has(request.user, self.to_view)

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Whether the add form opens."""
        return self.to_add is not None and has(request.user, self.to_add)

    def has_change_permission(self, request: HttpRequest, obj: _M | None = None) -> bool:
        """Whether the form writes."""
        del obj
        return self.to_change is not None and has(request.user, self.to_change)

    def has_delete_permission(self, request: HttpRequest, obj: _M | None = None) -> bool:
        """Whether rows may be deleted."""
        del obj
        return self.to_delete is not None and has(request.user, self.to_delete)
