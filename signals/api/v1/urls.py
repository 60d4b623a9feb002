"""Our own dialect, door by door."""

from django.urls import path

from signals.api.v1.appeals import AppealStateView, AppealsView, AppealView, RemedyView
from signals.api.v1.departures import DepartureReceiptView, DeparturesView
from signals.api.v1.endpoints import (
    EndpointAttemptsView,
    EndpointDrawingView,
    EndpointHealthView,
    EndpointReplayView,
    EndpointSecretView,
    EndpointsView,
    EndpointTestView,
    EndpointView,
)
from signals.api.v1.explain import ExplainView
from signals.api.v1.feed import FeedView
from signals.api.v1.keys import RevokeKeyView
from signals.api.v1.ledger import (
    LedgerCheckpointView,
    LedgerConsistencyView,
    LedgerDisclosuresView,
    LedgerInclusionView,
    LedgerLeafView,
    LedgerLeavesView,
    LedgerProofView,
)
from signals.api.v1.notices import NoticesView
from signals.api.v1.opinions import OwnOpinions, OwnOutcomes, OwnQuality, SignalStanding
from signals.api.v1.recall import AcknowledgeView, RecallView
from signals.api.v1.statements import OwnSignalView, StatementsView, SubmissionView

app_name = "v1"
urlpatterns = [
    path("statements", StatementsView.as_view(), name="statements"),
    path("submissions/<uuid:submission_id>", SubmissionView.as_view(), name="submission"),
    path("signals/<uuid:signal_id>", OwnSignalView.as_view(), name="signal"),
    path("signals/<uuid:signal_id>/recall", RecallView.as_view(), name="recall"),
    path("signals/<uuid:signal_id>/standing", SignalStanding.as_view(), name="standing"),
    path("opinions", OwnOpinions.as_view(), name="opinions"),
    path("outcomes", OwnOutcomes.as_view(), name="outcomes"),
    path("quality", OwnQuality.as_view(), name="quality"),
    path("programmes/<slug:slug>/feed", FeedView.as_view(), name="feed"),
    path("programmes/<slug:slug>/feed/ack", AcknowledgeView.as_view(), name="feed-ack"),
    path("notices", NoticesView.as_view(), name="notices"),
    path("endpoints", EndpointsView.as_view(), name="endpoints"),
    path("endpoints/<uuid:endpoint_id>", EndpointView.as_view(), name="endpoint"),
    path("endpoints/<uuid:endpoint_id>/secret", EndpointSecretView.as_view(), name="endpoint-secret"),
    path("endpoints/<uuid:endpoint_id>/replay", EndpointReplayView.as_view(), name="endpoint-replay"),
    path("endpoints/<uuid:endpoint_id>/test", EndpointTestView.as_view(), name="endpoint-test"),
    path("endpoints/<uuid:endpoint_id>/attempts", EndpointAttemptsView.as_view(), name="endpoint-attempts"),
    path("endpoints/<uuid:endpoint_id>/health", EndpointHealthView.as_view(), name="endpoint-health"),
    path("endpoints/<uuid:endpoint_id>/health.svg", EndpointDrawingView.as_view(), name="endpoint-drawing"),
    path("keys/<slug:kid>/revoke", RevokeKeyView.as_view(), name="revoke-key"),
    path("ledger/checkpoint", LedgerCheckpointView.as_view(), name="ledger-checkpoint"),
    path("ledger/leaves", LedgerLeavesView.as_view(), name="ledger-leaves"),
    path("ledger/leaves/<int:index>", LedgerLeafView.as_view(), name="ledger-leaf"),
    path("ledger/leaves/<int:index>/proof", LedgerProofView.as_view(), name="ledger-proof"),
    path("ledger/disclosures/<uuid:disclosures_id>", LedgerDisclosuresView.as_view(), name="ledger-disclosures"),
    path("ledger/proofs/inclusion", LedgerInclusionView.as_view(), name="ledger-inclusion"),
    path("ledger/proofs/consistency", LedgerConsistencyView.as_view(), name="ledger-consistency"),
    path("appeals", AppealsView.as_view(), name="appeals"),
    path("appeals/<uuid:reference>", AppealView.as_view(), name="appeal"),
    path("appeal-status/<str:reference>", AppealStateView.as_view(), name="appeal-status"),
    path("remedies/<uuid:remedy_id>", RemedyView.as_view(), name="remedy"),
    path("departures", DeparturesView.as_view(), name="departures"),
    path("departures/<uuid:departure_id>/receipt", DepartureReceiptView.as_view(), name="departure-receipt"),
    path("explain", ExplainView.as_view(), name="explain"),
]
