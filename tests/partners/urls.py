"""This room's doors where the hub puts them."""

from __future__ import annotations

from django.urls import include, path

from partners.api.v1.programmes import HubJwks

urlpatterns = [
    path(".well-known/jwks.json", HubJwks.as_view()),
    path("api/v1/", include("partners.api.v1.urls")),
]
