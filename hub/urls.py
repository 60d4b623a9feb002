"""Every door of the hub on one screen."""

from django.contrib import admin
from django.urls import path

from hub import health

urlpatterns = [
    path("livez", health.livez),
    path("readyz", health.readyz),
    path("metrics", health.metrics),
    path("admin/", admin.site.urls),
]
