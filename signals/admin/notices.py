"""What partners are told in their own feeds, read-only: whom, what about, when it happened and when it was posted."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest

from hub.staff.roles import Capability
from hub.staff.site import site
from partners import public
from signals.admin.lists import ByPartner, Closed, ListOnly, beside
from signals.core.notices import NoticeKind
from signals.models import Notice


class ByKind(Closed[Notice]):
    """What it is about."""

    title, parameter_name, column = "kind", "kind", "kind"

    def lookups(self, request: HttpRequest, model_admin: admin.ModelAdmin[Notice]) -> list[tuple[str, str]]:
        """Every kind."""
        del request, model_admin
        return [(kind.value, kind.value) for kind in NoticeKind]


@admin.register(Notice, site=site)
class NoticeAdmin(ListOnly[Notice]):
    """Notices, kept for 90 days."""

    to_view = Capability.ENDPOINTS_VIEW
    place = 4
    list_display = ("partner", "kind", "signal_count", "at", "posted_at")
    list_display_links = None
    list_filter = (ByKind, ByPartner)
    ordering = ("-number",)
    fields = ()

    def beside(self, rows: list[Notice]) -> dict[Any, str]:
        """The partners' slugs."""
        slugs = public.slugs({row.partner_id for row in rows})
        return {row.pk: slugs[row.partner_id] for row in rows}

    @admin.display(description="partner")
    def partner(self, notice: Notice) -> str:
        """Whom it is told."""
        return str(beside(notice))
