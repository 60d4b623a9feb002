"""What members hold of signals: one's own opinions and outcomes, where a signal stands, and one's own quality."""

from __future__ import annotations

from typing import Any, TypedDict
from uuid import UUID

from django.utils import timezone
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from partners import public
from partners.api.caller import caller
from partners.api.openapi import refuses
from partners.api.permissions import HasScope
from partners.api.view import Door
from signals import said
from signals.api.v1.pages import refuse_unknown, whole
from signals.compliance.quality import quality_document, quality_of
from signals.core.opinions import Did, Opinion
from signals.core.standing import Standing

_PAGED = [
    OpenApiParameter("limit", {"type": "integer", "minimum": 1, "maximum": 500, "default": 100}),
    OpenApiParameter("before", str, description="`next` of the page before: those said earlier"),
]


class _OwnWordShape(serializers.Serializer[Any]):
    jti = serializers.CharField()
    digest = serializers.CharField(help_text="what a retraction names it by")
    signal = serializers.UUIDField()
    received_at = serializers.DateTimeField()
    stands = serializers.BooleanField()


class OwnOpinionShape(_OwnWordShape):
    """An opinion of one's own. `stands` is false of one that was replaced, taken back, or signed with a fallen key."""

    opinion = serializers.ChoiceField(choices=[each.value for each in Opinion])
    reason = serializers.CharField(allow_blank=True)


class OwnOutcomeShape(_OwnWordShape):
    """An outcome of one's own."""

    did = serializers.ListField(child=serializers.ChoiceField(choices=[each.value for each in Did]))
    review = serializers.ChoiceField(choices=["human", "automated", "none"])
    basis = serializers.CharField(allow_blank=True)
    policy = serializers.CharField(allow_blank=True)


class OwnOpinionsShape(serializers.Serializer[Any]):
    """A page of them, newest first."""

    opinions = OwnOpinionShape(many=True)
    next = serializers.CharField(allow_null=True, help_text="the `before` of the next page; null at the end")


class OwnOutcomesShape(serializers.Serializer[Any]):
    """A page of them, newest first."""

    outcomes = OwnOutcomeShape(many=True)
    next = serializers.CharField(allow_null=True, help_text="the `before` of the next page; null at the end")


class StandingShape(serializers.Serializer[Any]):
    """Where a signal stands now, by what members may count."""

    signal = serializers.UUIDField()
    programme = serializers.CharField()
    state = serializers.CharField()
    permitted = serializers.ListField(child=serializers.CharField(), help_text="what may be done with it now")
    standing = serializers.ChoiceField(choices=[each.value for each in Standing])
    opinions = serializers.DictField(child=serializers.IntegerField(), help_text="partners by what they hold of it")
    outcomes = serializers.DictField(child=serializers.IntegerField(), help_text="partners by what they did about it")


class ShareShape(serializers.Serializer[Any]):
    """A share with its 95 % interval (Wilson); null where there is nothing to count."""

    of = serializers.IntegerField()
    value = serializers.FloatField(allow_null=True)
    low = serializers.FloatField(allow_null=True)
    high = serializers.FloatField(allow_null=True)


class TypeQualityShape(serializers.Serializer[Any]):
    """The figures of one indicator type."""

    type = serializers.CharField()
    signals = serializers.IntegerField()
    right = serializers.IntegerField(help_text="borne out by another's own observation or finding, and not disputed")
    wrong = serializers.IntegerField(help_text="disputed or refuted")
    withdrawn = serializers.IntegerField()
    seconds_to_withdraw = serializers.FloatField(allow_null=True, help_text="the median, from publication")
    precision = ShareShape(help_text="of those that proved right or wrong, the share that proved right")
    dispute_rate = ShareShape()
    echo_share = ShareShape(help_text="derived, or said after another partner had said the same value")
    late_share = ShareShape(help_text="of those known to be wrong: stood for more than a week from the first dispute")


class QualityShape(serializers.Serializer[Any]):
    """One's own figures, over the latest 5,000 published signals."""

    types = TypeQualityShape(many=True)


class OwnOpinions(Door):
    """The caller's opinions."""

    permission_classes = [HasScope("statements:submit")]

    @extend_schema(
        operation_id="listOwnOpinions",
        summary="List one's own opinions",
        tags=["opinions"],
        parameters=_PAGED,
        responses=OwnOpinionsShape,
        extensions=refuses("missing-scope", "parameter-invalid"),
    )
    def get(self, request: Request) -> Response:
        """Newest first."""
        rows, following = said.opinions_of(caller(request).partner_id, **_page_asked(request))
        return Response({"opinions": rows, "next": following})


class OwnOutcomes(Door):
    """The caller's outcomes."""

    permission_classes = [HasScope("statements:submit")]

    @extend_schema(
        operation_id="listOwnOutcomes",
        summary="List one's own outcomes",
        tags=["opinions"],
        parameters=_PAGED,
        responses=OwnOutcomesShape,
        extensions=refuses("missing-scope", "parameter-invalid"),
    )
    def get(self, request: Request) -> Response:
        """Newest first."""
        rows, following = said.outcomes_of(caller(request).partner_id, **_page_asked(request))
        return Response({"outcomes": rows, "next": following})


class SignalStanding(Door):
    """Where one signal stands."""

    permission_classes = [HasScope("feed:read")]

    @extend_schema(
        operation_id="getStanding",
        summary="Read where a signal stands now",
        tags=["opinions"],
        description="Of a signal that is or was for the caller, or its own. The feed shows it as of its last move.",
        responses=StandingShape,
        extensions=refuses("missing-scope", "not-found", "membership-suspended", "membership-ended"),
    )
    def get(self, request: Request, signal_id: UUID) -> Response:
        """Counts, never who."""
        return Response(said.standing_document(signal_id, caller=caller(request), at=timezone.now()))


class OwnQuality(Door):
    """How good the caller's own signals have proved."""

    permission_classes = [HasScope("statements:submit")]

    @extend_schema(
        operation_id="getOwnQuality",
        summary="Read how good one's own signals have proved",
        tags=["opinions"],
        description="Over the programmes in which the caller may receive: elsewhere it may not read what others said.",
        responses=QualityShape,
        extensions=refuses("missing-scope"),
    )
    def get(self, request: Request) -> Response:
        """By indicator type."""
        partner_id = caller(request).partner_id
        at = timezone.now()
        readable = [each for each in public.programmes_of(partner_id, at=at) if each.may_receive]
        figures = quality_of(partner_id, programme_ids=[each.programme_id for each in readable], hidden=False, at=at)
        return Response({"types": quality_document(figures)})


class _PageAsked(TypedDict):
    limit: int
    before: str | None


def _page_asked(request: Request) -> _PageAsked:
    refuse_unknown(request, {"limit", "before"})
    return {"limit": whole(request, "limit", 100, 1, 500), "before": request.query_params.get("before")}
