"""What a partner that left still does: read what it owes, and sign that it has erased everything."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from partners.api.caller import caller
from partners.api.openapi import refuses
from partners.api.permissions import HasScope
from partners.api.v1.keys import Jose
from partners.api.view import Door, OpenDoor
from signals.core.leaving import Fate, Standing
from signals.lifecycle import erasure


class DepartureShape(serializers.Serializer[Any]):
    """The end of one's membership in a programme, and what is owed since."""

    departure = serializers.UUIDField(help_text="the reference of the receipt")
    programme = serializers.CharField()
    left_at = serializers.DateTimeField()
    signals = serializers.ChoiceField(choices=[each.value for each in Fate], help_text="what becomes of one's own")
    due_at = serializers.DateTimeField(help_text="by when the receipt is due")
    state = serializers.ChoiceField(choices=[each.value for each in Standing])
    known_since = serializers.DateTimeField(allow_null=True, help_text="when the receipt came")


class DeparturesShape(serializers.Serializer[Any]):
    """One's departures, newest first, at most a hundred."""

    departures = DepartureShape(many=True)


class DeparturesView(Door):
    """One's own departures; for who has left a programme and is in others still."""

    permission_classes = [HasScope("statements:submit")]

    @extend_schema(
        operation_id="listDepartures",
        summary="List the programmes one has left, and the receipts that are owed",
        tags=["statements"],
        responses=DeparturesShape,
        extensions=refuses("missing-scope"),
    )
    def get(self, request: Request) -> Response:
        """The caller's."""
        found = erasure.own_departures(caller(request).partner_id, at=timezone.now())
        return Response({"departures": found})


class DepartureReceiptView(OpenDoor):
    """The receipt of one departure."""

    parser_classes = [Jose]

    @extend_schema(
        operation_id="signForErasure",
        summary="Sign that everything received in a programme is erased, after leaving it",
        tags=["statements"],
        description=(
            "A compact `erasure+jws`, signed with a key that was active when you left. Needs no API key: who leaves "
            "the hub has none any more. The reference is in the last word to each endpoint, in the notice "
            "`departure.began` and at the hub's operator. Signing again changes nothing."
        ),
        request={"application/jose": {"type": "string", "description": "one compact `erasure+jws`"}},
        responses=DepartureShape,
        extensions=refuses("not-found", "receipt-refused"),
    )
    def post(self, request: Request, departure_id: UUID) -> Response:
        """Judge and keep it."""
        at = timezone.now()
        line: bytes = request.data["jws"] if isinstance(request.data, dict) and "jws" in request.data else b""
        departure = erasure.take_receipt(departure_id, line, at=at)
        return Response(erasure.document_of(departure, at=at))
