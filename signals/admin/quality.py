"""Partners' quality: the alarms that nobody has decided, who sends what, and a page of figures for each partner."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import Q, QuerySet, Sum
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString

from hub.staff.gate import Figure
from hub.staff.roles import Capability, require
from hub.staff.site import site
from partners import public
from signals.admin.lists import ByPartner, ByProgramme, Closed, ListOnly, badge, beside, short
from signals.admin.page_of_quality import LATELY, page
from signals.core.alarms import FLOOD_WITHIN
from signals.core.cases import CaseState
from signals.models import Inflow, PartnerAlarm


class ByUndecided(Closed[PartnerAlarm]):
    """What waits for a decision, unless all is asked for."""

    title, parameter_name, column = "standing", "standing", "state"

    def lookups(self, request: HttpRequest, model_admin: admin.ModelAdmin[PartnerAlarm]) -> list[tuple[str, str]]:
        """The other choice."""
        del request, model_admin
        return [("decided", "decided")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[PartnerAlarm]) -> QuerySet[PartnerAlarm]:
        """The rows of it."""
        del request
        is_decided = Q(state=CaseState.DECIDED.value)
        return queryset.filter(is_decided if self.value() == "decided" else ~is_decided)


@admin.register(PartnerAlarm, site=site)
class QualityAdmin(ListOnly[PartnerAlarm]):
    """Alarms about partners; their rows are cases, decided on the cases' own pages."""

    to_view = Capability.SIGNALS_VIEW
    place, called = 2, "Partners' quality"
    list_display = ("identity", "partner", "programme", "cause", "due_at", "standing")
    list_display_links = None
    list_filter = (ByUndecided, ByPartner, ByProgramme)
    ordering = ("due_at", "id")
    fields = ()
    change_list_template = "signals/quality_board.html"

    def figures(self, request: HttpRequest) -> list[Figure]:
        """Who is in a flood now: the cases are counted with the others."""
        del request
        floods = Inflow.objects.filter(flooded__gt=0, hour__gt=timezone.now() - FLOOD_WITHIN)
        count = floods.values("partner_id").distinct().count()
        address = reverse("admin:signals_partneralarm_changelist")
        return [Figure("partners in a flood", str(count), address, is_alarm=True)] if count else []

    def get_urls(self) -> list[URLPattern]:
        """A partner's page, ahead of what takes anything."""
        view = self.admin_site.admin_view(self._partner)
        return [path("partner/<int:partner_id>/", view, name="signals_partneralarm_partner"), *super().get_urls()]

    def beside(self, rows: list[PartnerAlarm]) -> dict[Any, tuple[str, str]]:
        """Partner and programme by slug."""
        partners, programmes = public.partner_slugs(), public.programme_slugs()
        return {
            row.pk: (partners.get(row.partner_id or 0, ""), programmes.get(row.programme_id or 0, "")) for row in rows
        }

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """The alarms, and below them every partner with what it sent lately."""
        rows = Inflow.objects.filter(hour__gte=timezone.now() - LATELY).values_list("partner_id")
        sums = rows.annotate(received=Sum("received"), flooded=Sum("flooded"))
        sent = {key: (received, flooded) for key, received, flooded in sums}
        lines = [
            (reverse("admin:signals_partneralarm_partner", args=[key]), slug, *sent.get(key, (0, 0)))
            for key, slug in public.partner_slugs().items()
        ]
        return super().changelist_view(request, {"partners": lines, **(extra_context or {})})

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """The page of the partner that the alarm is about."""
        row = self.get_object(request, object_id) if self.has_view_permission(request) else None
        if row is None or row.partner_id is None or request.method == "POST":
            return super().change_view(request, object_id, form_url, extra_context)
        return self._show(request, row.partner_id, row.programme_id)

    def _partner(self, request: HttpRequest, partner_id: int) -> HttpResponse:
        require(request.user, self.to_view)
        if request.method == "POST":
            return HttpResponseNotAllowed(["GET"])
        asked = request.GET.get("programme", "")
        programme_id = next((key for key in public.programme_slugs() if str(key) == asked), None)
        if partner_id not in public.partner_slugs():
            raise Http404
        return self._show(request, partner_id, programme_id)

    def _show(self, request: HttpRequest, partner_id: int, programme_id: int | None) -> HttpResponse:
        shown = page(partner_id, programme_id=programme_id, at=timezone.now())
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": f"Quality of {shown.partner}",
            "quality": shown,
            "programmes": public.programme_slugs(),
        }
        return TemplateResponse(request, "signals/quality_page.html", context)

    @admin.display(description="Case")
    def identity(self, case: PartnerAlarm) -> SafeString:
        """Its short id, leading to where it is decided."""
        address = reverse("admin:signals_case_change", args=[case.pk])
        return format_html('<a href="{}">{}</a>', address, short(case.pk))

    @admin.display(description="Partner")
    def partner(self, case: PartnerAlarm) -> SafeString:
        """Leading to its page."""
        address = reverse("admin:signals_partneralarm_partner", args=[case.partner_id or 0])
        return format_html('<a href="{}">{}</a>', address, beside(case)[0])

    @admin.display(description="Programme")
    def programme(self, case: PartnerAlarm) -> str:
        """By slug."""
        return str(beside(case)[1])

    @admin.display(description="It is")
    def standing(self, case: PartnerAlarm) -> SafeString:
        """Its outcome once there is one."""
        return badge(case.state, case.outcome or case.state)
