"""After a recall: a puller says how far it has applied its feed, and an author asks how its recall stands."""

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
from partners.api.strict import StrictSerializer, Text
from partners.api.view import Door, Kind
from signals import queries
from signals.compliance.board import recall_document
from signals.core.notices import RECALLED
from signals.lifecycle.acknowledge import CHANNEL, acknowledge


class AcknowledgementShape(StrictSerializer):
    """How far."""

    cursor = Text(max_length=400, help_text="`next` of the last page that was applied")


class AcknowledgedShape(serializers.Serializer[Any]):
    """The walk that the cursor is a place in."""

    programme = serializers.CharField()
    channel = serializers.CharField()
    epoch = serializers.IntegerField()
    walk = serializers.IntegerField()


class AcknowledgeView(Door):
    """The door for pullers' acknowledgements."""

    permission_classes = [HasScope("feed:read")]
    counts_as = Kind.READ

    @extend_schema(
        operation_id="acknowledgeFeed",
        summary="Say that everything up to a cursor has been applied",
        tags=["feed"],
        description=(
            "What a 2xx is for a webhook: from it the hub knows that a recall has reached your copy. Say it when pages "
            "are stored durably, with the last cursor, every few seconds at most: it stands for all pages before it. "
            "An older cursor than the one said before changes nothing."
        ),
        request=AcknowledgementShape,
        responses=AcknowledgedShape,
        extensions=refuses(
            *("missing-scope", "not-found", "membership-suspended", "membership-ended"),
            *("invalid-request", "cursor-invalid", "cursor-expired"),
        ),
    )
    def post(self, request: Request, slug: str) -> Response:
        """Note the place."""
        at, who = timezone.now(), caller(request)
        member = queries.reading_member(who, slug, at=at)
        form = AcknowledgementShape(data=request.data)
        form.is_valid(raise_exception=True)
        walk = acknowledge(member, form.validated_data["cursor"], actor=f"partner:{who.slug}", at=at)
        return Response({"programme": slug, "channel": CHANNEL, "epoch": walk.epoch, "walk": walk.pk})


class RecallShape(serializers.Serializer[Any]):
    """How the recall of a signal stands: counts of copies, no names. A partner has one copy per channel."""

    signal = serializers.UUIDField()
    kind = serializers.ChoiceField(choices=list(RECALLED))
    recalled_at = serializers.DateTimeField()
    had = serializers.IntegerField(help_text="copies that were handed the value")
    possibly_had = serializers.IntegerField(
        help_text="copies that may have been, in a time that a restored backup forgot"
    )
    acknowledged = serializers.IntegerField(
        help_text="of all these, copies that have applied the recall: told or cleared"
    )
    told = serializers.IntegerField(help_text="that took its tombstone")
    cleared = serializers.IntegerField(help_text="that walked the feed anew after it, or erased everything")
    overdue = serializers.IntegerField(help_text="not acknowledged in time, and without a receipt")
    receipts = serializers.IntegerField(help_text="partners that sent a signed deletion receipt")
    last_acknowledged_at = serializers.DateTimeField(
        allow_null=True, help_text="when the latest of the acknowledging copies was last heard of"
    )


class RecallView(Door):
    """The recall of one signal of the caller's own."""

    permission_classes = [HasScope("statements:submit")]

    @extend_schema(
        operation_id="getRecall",
        summary="Read how the recall of a signal of one's own stands",
        tags=["statements"],
        responses=RecallShape,
        extensions=refuses("missing-scope", "not-found"),
    )
    def get(self, request: Request, signal_id: UUID) -> Response:
        """Counts; `not-found` also while the signal stands, for then nothing is recalled."""
        return Response(recall_document(signal_id, partner_id=caller(request).partner_id, at=timezone.now()))
