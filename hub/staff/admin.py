"""The hub's own people in the admin: a read-only list; accounts are made and changed by verbs (accounts.py)."""

from __future__ import annotations

from django.contrib import admin
from django.contrib.auth.models import User
from django.db.models import QuerySet
from django.http import HttpRequest

from hub.staff.gate import GatedAdmin
from hub.staff.roles import Capability
from hub.staff.site import site


@admin.register(User, site=site)
class StaffAdmin(GatedAdmin[User]):
    """Who may come in, and as what."""

    to_view = Capability.STAFF_VIEW
    place, called = 40, "Staff"
    list_display = ("username", "roles", "is_active", "last_login")
    list_filter = ("groups", "is_active")
    search_fields = ("username",)
    ordering = ("username",)
    fields = ("username", "roles", "is_active", "date_joined", "last_login")
    readonly_fields = fields

    def get_queryset(self, request: HttpRequest) -> QuerySet[User]:
        """Staff only, with their roles."""
        return super().get_queryset(request).filter(is_staff=True).prefetch_related("groups")

    @admin.display(description="roles")
    def roles(self, user: User) -> str:
        """By name."""
        return ", ".join(sorted(group.name for group in user.groups.all()))
