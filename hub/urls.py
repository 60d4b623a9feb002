"""Every door of the hub on one screen."""

from django.urls import include, path

from hub import docs, health, log_files
from hub.staff.site import site
from partners.api.v1.programmes import HubJwks
from signals.api.appeal_page import appeal_page

handler400 = "hub.problems.bad_request"
handler404 = "hub.problems.not_found"
handler500 = "hub.problems.server_error"

urlpatterns = [
    path("", docs.front),
    path("livez", health.livez),
    path("readyz", health.readyz),
    path("metrics", health.metrics),
    path(".well-known/jwks.json", HubJwks.as_view(), name="hub-jwks"),
    path("ledger/checkpoint", log_files.CheckpointFile.as_view(), name="ledger-checkpoint"),
    path("ledger/minimum-index", log_files.MinimumIndex.as_view()),
    path("ledger/policy", log_files.Policy.as_view()),
    path("ledger/vkeys", log_files.Vkeys.as_view()),
    path("ledger/tile/entries/<path:name>", log_files.EntryBundle.as_view()),
    path("ledger/tile/<path:name>", log_files.HashTile.as_view()),
    path("appeal", appeal_page, name="appeal-page"),
    path("api/openapi.yaml", docs.openapi, name="openapi"),
    path("api/docs", docs.api, name="api-docs"),
    path("api/problems", docs.problems, name="api-problems"),
    path("api/v1/", include("signals.api.v1.urls")),
    path("api/v1/", include("partners.api.v1.urls")),
    path("admin/", site.urls),
]
