"""The admin alone, so that these tests stand on the floor."""

from django.urls import path

from hub.staff.site import site

urlpatterns = [path("admin/", site.urls)]
