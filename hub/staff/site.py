"""The admin site that every room registers its pages on: `@admin.register(Model, site=site)`."""

from __future__ import annotations

from django.contrib.admin import AdminSite


class HubAdminSite(AdminSite):
    """Stock Django admin under our name."""

    site_header = "Heliograph"
    site_title = "Heliograph"
    index_title = "The hub"


site = HubAdminSite(name="admin")
