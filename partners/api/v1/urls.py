"""The doors of this room, below /api/v1/."""

from __future__ import annotations

from django.urls import path

from partners.api import openapi as _describes_authentication  # noqa: F401  registers by being imported
from partners.api.v1 import api_keys, keys, programmes

urlpatterns = [
    path("keys", keys.SigningKeys.as_view()),
    path("keys/<slug:kid>/endorse", keys.Endorse.as_view()),
    path("keys/<slug:kid>/retire", keys.Retire.as_view()),
    path("programmes", programmes.Programmes.as_view()),
    path("programmes/<slug:slug>", programmes.Programme.as_view()),
    path("programmes/<slug:slug>/members", programmes.Members.as_view()),
    path("partners/<slug:slug>/jwks.json", programmes.PartnerJwks.as_view()),
    path("api-keys", api_keys.ApiKeys.as_view()),
    path("api-keys/<slug:key_id>/roll", api_keys.RollApiKey.as_view()),
]
