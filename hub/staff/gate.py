"""The one base of every admin page: seen with one capability, read-only unless the page names others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, TypeVar

from django.contrib import admin
from django.db.models import Model
from django.http import HttpRequest

from hub.staff.roles import Capability, has

_M = TypeVar("_M", bound=Model)


@dataclass(frozen=True, slots=True)
class Figure:
    """One number on the front page; `is_alarm` where somebody should look now."""

    label: str
    number: str
    address: str
    is_alarm: bool = False


class GatedAdmin(admin.ModelAdmin[_M]):
    """Set `to_view`; set `to_add`, `to_change`, `to_delete` only where a form may write rows (life happens by verbs).

    Django's own permissions and the superuser flag count for nothing here.
    """

    to_view: ClassVar[Capability]
    to_add: ClassVar[Capability | None] = None
    to_change: ClassVar[Capability | None] = None
    to_delete: ClassVar[Capability | None] = None
    actions_on_top = True
    show_full_result_count = False
    list_per_page = 50
    list_max_show_all = 50  # "show all" never shows more than a page

    def figures(self, request: HttpRequest) -> Sequence[Figure]:
        """What the front page counts of these rows, in a bounded number of queries; asked only where the page opens."""
        del request
        return ()

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
