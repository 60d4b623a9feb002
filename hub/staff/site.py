"""The admin site that every room registers its pages on: `@admin.register(Model, site=site)`."""

from __future__ import annotations

from collections.abc import Callable
from functools import update_wrapper
from typing import Any, TypeVar, cast

from django.conf import settings
from django.contrib.admin import AdminSite, ModelAdmin
from django.contrib.admin.forms import AdminAuthenticationForm, AdminPasswordChangeForm
from django.contrib.auth import REDIRECT_FIELD_NAME
from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import Model
from django.http import HttpRequest, HttpResponse, HttpResponseBase, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, URLResolver, path, reverse
from django.utils import timezone
from django.utils.decorators import method_decorator
from django.utils.functional import SimpleLazyObject
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from hub.staff import factor_pages, factors, sign_on_pages
from hub.staff.gate import Figure, GatedAdmin
from hub.staff.roles import roles_of
from hub.staff.sign_in import CAME_BY, MUST_CHANGE, ChangePassword, SignIn, Way, sign_out

_ROOMS = {"auth": "People"}  # by Django's own name of the app
_METHODS = ["GET", "HEAD", "POST"]
_View = TypeVar("_View", bound=Callable[..., HttpResponseBase])


class HubAdminSite(AdminSite):
    """Stock Django admin, opened by roles instead of by superusers, that writes down who came and went."""

    site_header = "Heliograph"
    site_title = "Heliograph"
    index_title = "The hub"
    site_url = None
    enable_nav_sidebar = False

    def has_permission(self, request: HttpRequest) -> bool:
        """Whether this is an active member of staff with at least one role."""
        return bool(roles_of(request.user))

    def admin_view(self, view: _View, cacheable: bool = False) -> _View:
        """As Django's, but a one-time password opens nothing except the form to change it."""
        guarded = require_http_methods(_METHODS)(super().admin_view(view, cacheable))
        if view in (self.password_change, self.logout, self.i18n_javascript):
            return guarded

        def inner(request: HttpRequest, *args: object, **kwargs: object) -> HttpResponseBase:
            if self.has_permission(request) and request.session.get(MUST_CHANGE):
                return HttpResponseRedirect(reverse("admin:password_change", current_app=self.name))
            return guarded(request, *args, **kwargs)

        return cast("_View", update_wrapper(inner, view))

    def get_urls(self) -> list[URLResolver | URLPattern]:
        """As Django's, with the pages about second factors."""
        view = self.admin_view
        return [
            path("second-factor/", factor_pages.at_sign_in, name="second_factor"),
            path("second-factor/enrol/", factor_pages.enrol, name="enrol"),
            path("sign-on/", sign_on_pages.begin, name="sign_on"),
            path("sign-on/back/", sign_on_pages.back, name="sign_on_back"),
            path("sign-on/out/", sign_on_pages.out, name="sign_on_out"),
            path("sign-on/link/", view(sign_on_pages.link), name="link_sign_on"),
            path("sign-on/unlink/", view(sign_on_pages.unlink), name="unlink_sign_on"),
            path("step-up/", view(factor_pages.stepped_up), name="step_up"),
            path("second-factors/", view(factor_pages.own), name="second_factors"),
            path("second-factors/add/", view(factor_pages.add), name="add_second_factor"),
            path("second-factors/codes/", view(factor_pages.new_codes), name="recovery_codes"),
            path("second-factors/<slug:which>/remove/", view(factor_pages.remove), name="remove_second_factor"),
            *super().get_urls(),
        ]

    def each_context(self, request: HttpRequest) -> dict[str, Any]:
        """As Django's, with the banners and notes of the pages that this person may open."""
        pages = [page for page in map(_gated, self._registry.values()) if page and page.has_module_permission(request)]
        banners = [banner for page in pages if (banner := page.banner(request)) is not None]
        notes = [note for page in pages if (note := page.note(request)) is not None]
        return {**super().each_context(request), "banners": banners, "notes": notes}

    def index(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> TemplateResponse:
        """The front page: what waits, in numbers and drawn, then every list by room."""
        pages = sorted(filter(None, map(_gated, self._registry.values())), key=lambda page: page.place)
        open_here = [page for page in pages if page.has_module_permission(request)]
        figures = [figure for page in open_here for figure in page.figures(request)]
        if not factors.has_any(cast("User", request.user)):
            figures.append(Figure("second factors of yours: add one", "0", reverse("admin:second_factors")))
        charts = [chart for page in open_here for chart in page.charts(request)]
        return super().index(request, {"figures": figures, "charts": charts, **(extra_context or {})})

    def get_app_list(self, request: HttpRequest, app_label: str | None = None) -> list[Any]:
        """The rooms and their lists in the order of work, under the names people use: made when a page shows them.

        Django asks for them on every page, and only the front page and a room's own show them.
        """
        return cast("list[Any]", SimpleLazyObject(lambda: self._rooms(request, app_label)))

    def _rooms(self, request: HttpRequest, app_label: str | None) -> list[Any]:
        rooms: list[Any] = super().get_app_list(request, app_label)
        for room in rooms:
            room["name"] = _ROOMS.get(room["app_label"], room["name"])
            room["models"].sort(key=lambda listed: self._place(listed["model"]))
            for listed in room["models"]:
                page = _gated(self._registry[listed["model"]])
                listed["name"] = page.called if page is not None and page.called else listed["name"]
        return sorted(rooms, key=lambda room: self._place(room["models"][0]["model"]))

    def _place(self, model: type[Model]) -> int:
        page = _gated(self._registry[model])
        return page.place if page is not None else GatedAdmin.place

    @method_decorator(never_cache)
    def login(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """The sign-in form; somebody who is in already goes to the index."""
        index = reverse("admin:index", current_app=self.name)
        if request.method == "GET" and self.has_permission(request):
            return HttpResponseRedirect(index)
        context = {
            **self.each_context(request),
            "title": "Sign in",
            "subtitle": None,
            "app_path": request.get_full_path(),
            "username": request.user.get_username(),
            "sign_on": sign_on_pages.provider_name(),
            "is_sign_on_only": settings.OIDC_ONLY,
            **(extra_context or {}),
        }
        if REDIRECT_FIELD_NAME not in request.GET and REDIRECT_FIELD_NAME not in request.POST:
            context[REDIRECT_FIELD_NAME] = index
        request.current_app = self.name
        view = SignIn.as_view(
            extra_context=context, authentication_form=AdminAuthenticationForm, template_name="admin/login.html"
        )
        return cast("HttpResponse", view(request))

    def logout(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> TemplateResponse:
        """End the session; POST only, as Django has it."""
        came_by_sign_on = request.session.get(CAME_BY) == Way.SIGN_ON
        context = {"sign_on": sign_on_pages.provider_name() if came_by_sign_on else "", **(extra_context or {})}
        with transaction.atomic():
            if request.method == "POST":
                sign_out(request, at=timezone.now())
            return super().logout(request, context)

    def password_change(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> TemplateResponse:
        """The form that changes one's own password."""
        request.current_app = self.name
        view = ChangePassword.as_view(
            form_class=AdminPasswordChangeForm,
            success_url=reverse("admin:password_change_done", current_app=self.name),
            extra_context={**self.each_context(request), **(extra_context or {})},
            template_name="registration/password_change_form.html",
        )
        return cast("TemplateResponse", view(request))  # or a redirect: Django's stubs know one kind only


def _gated(page: ModelAdmin[Any]) -> GatedAdmin[Any] | None:
    return page if isinstance(page, GatedAdmin) else None


site = HubAdminSite(name="admin")
