"""Redress over HTTP: appeal for somebody affected, look how it stands, and say what one put right."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.utils import timezone
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from partners.api.caller import caller
from partners.api.openapi import refuses
from partners.api.permissions import HasScope
from partners.api.strict import StrictSerializer, Text
from partners.api.view import Door, OpenDoor
from signals import queries
from signals.cases import appeals
from signals.core.cases import AppealEvidence, AppealReason, Remedy


class NewAppealShape(StrictSerializer):
    """What somebody affected says, in closed words: the hub is not told who that is, and must not be."""

    programme = Text(max_length=64)
    signal = serializers.UUIDField(help_text="the hub's id of the signal, as items of the feed have it")
    reason = serializers.ChoiceField(choices=[each.value for each in AppealReason])
    evidence = serializers.ChoiceField(
        choices=[each.value for each in AppealEvidence], help_text="what you have seen of it; keep it"
    )
    risk = serializers.ChoiceField(
        choices=["none", "significant"],
        default="none",
        help_text="significant: the signal is restricted until the case is decided, within a day",
    )


class AppealShape(serializers.Serializer[Any]):
    """How an appeal stands. The reference shows this and nothing else, to the partner that appealed."""

    reference = serializers.UUIDField()
    state = serializers.ChoiceField(choices=["in-review", "upheld", "rejected", "overtaken"])
    appealed_at = serializers.DateTimeField()
    due_at = serializers.DateTimeField(allow_null=True, help_text="by when it is to be decided; null once it is")
    decided_at = serializers.DateTimeField(allow_null=True)


class NewRemedyShape(StrictSerializer):
    """What you did."""

    did = serializers.ChoiceField(choices=[each.value for each in Remedy])


class RemedyShape(serializers.Serializer[Any]):
    """What you were asked to put right, and what you said."""

    remedy = serializers.UUIDField()
    did = serializers.ChoiceField(choices=[each.value for each in Remedy])
    told_at = serializers.DateTimeField()
    due_at = serializers.DateTimeField()
    answered_at = serializers.DateTimeField()


class AppealsView(Door):
    """The door for appeals."""

    permission_classes = [HasScope("statements:submit")]

    @extend_schema(
        operation_id="appeal",
        summary="Appeal against a signal for somebody affected by it",
        tags=["appeals"],
        description=(
            "For a person who was hit by a signal, whichever member said it. It is judged by an analyst who had "
            "nothing to do with the signal before, and every member that had the signal is told what came of it. Send "
            "no identity and no words of the person's. Appealing again while it is undecided gives the same reference."
        ),
        request=NewAppealShape,
        responses={201: AppealShape},
        extensions=refuses(
            *("missing-scope", "not-found", "membership-suspended", "membership-ended", "invalid-request")
        ),
    )
    def post(self, request: Request) -> Response:
        """Open it."""
        at, who = timezone.now(), caller(request)
        form = NewAppealShape(data=request.data)
        form.is_valid(raise_exception=True)
        asked = form.validated_data
        said = appeals.appeal(
            queries.reading_member(who, asked["programme"], at=at),
            asked["signal"],
            reason=AppealReason(asked["reason"]),
            evidence=AppealEvidence(asked["evidence"]),
            is_at_risk=asked["risk"] == "significant",
            at=at,
        )
        return Response(AppealShape(appeals.document(said)).data, status=201)


class AppealView(Door):
    """One appeal of the caller's own."""

    permission_classes = [HasScope("statements:submit")]

    @extend_schema(
        operation_id="getAppeal",
        summary="Read how an appeal of one's own stands",
        tags=["appeals"],
        responses=AppealShape,
        extensions=refuses("missing-scope", "not-found"),
    )
    def get(self, request: Request, reference: UUID) -> Response:
        """Its state."""
        found = appeals.own_appeal(reference, partner_id=caller(request).partner_id)
        return Response(AppealShape(found).data)


class AppealStateShape(serializers.Serializer[Any]):
    """How an appeal stands, for whoever holds its reference."""

    state = serializers.ChoiceField(choices=["in-review", "upheld", "rejected", "overtaken"])
    appealed_at = serializers.DateTimeField()
    due_at = serializers.DateTimeField(allow_null=True, help_text="by when it is to be decided; null once it is")
    decided_at = serializers.DateTimeField(allow_null=True)


class AppealStateView(OpenDoor):
    """The state of an appeal, for the person it is about."""

    @extend_schema(
        operation_id="getAppealState",
        summary="Read how an appeal stands, with its reference and no API key",
        tags=["appeals"],
        description=(
            "For the person whom the appeal is about, whom its partner gave the reference. Shows no member, no signal "
            "and no reason. People may use the page `/appeal` instead, which keeps the reference out of addresses."
        ),
        parameters=[OpenApiParameter("reference", OpenApiTypes.UUID, OpenApiParameter.PATH)],
        responses=AppealStateShape,
        extensions=refuses("not-found"),
    )
    def get(self, request: Request, reference: str) -> Response:
        """Its state; what cannot be a reference is as unknown as one that there is not, and is counted as well."""
        del request
        return Response(AppealStateShape(appeals.state_of(appeals.as_typed(reference))).data)


class RemedyView(Door):
    """What one was asked to put right."""

    permission_classes = [HasScope("statements:submit")]

    @extend_schema(
        operation_id="remedy",
        summary="Say what was put right after an appeal was upheld",
        tags=["appeals"],
        description=(
            "The notice `appeal.decided` names the remedy. Say it within its time, also where nothing was to be done; "
            "said again, the latest counts."
        ),
        request=NewRemedyShape,
        responses=RemedyShape,
        extensions=refuses("missing-scope", "not-found", "invalid-request"),
    )
    def post(self, request: Request, remedy_id: UUID) -> Response:
        """Note it."""
        at, who = timezone.now(), caller(request)
        appeals.remedy_asked(remedy_id, partner_id=who.partner_id)  # unknown and another's look the same, body or no
        form = NewRemedyShape(data=request.data)
        form.is_valid(raise_exception=True)
        asked = appeals.remedy(remedy_id, member_id=who.partner_id, did=Remedy(form.validated_data["did"]), at=at)
        said = {"remedy": asked.pk, "did": asked.did, "told_at": asked.told_at, "due_at": asked.due_at}
        return Response(RemedyShape({**said, "answered_at": asked.answered_at}).data)
