"""How the hub reads a value."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from partners.api.openapi import refuses
from partners.api.view import Door, Kind
from signals.api.v1.serializers import QuestionShape, ReadingShape
from signals.core import indicators
from signals.core.refusals import InvalidIndicator


class ExplainView(Door):
    """Explains; keeps nothing and looks nothing up."""

    counts_as = Kind.READ

    @extend_schema(
        operation_id="explainValue",
        summary="Explain how the hub reads a value",
        request=QuestionShape,
        tags=["statements"],
        responses=ReadingShape,
        extensions=refuses("invalid-request", "invalid-indicator"),
    )
    def post(self, request: Request) -> Response:
        """The normalised value, and what was changed."""
        form = QuestionShape(data=request.data)
        form.is_valid(raise_exception=True)
        asked: dict[str, Any] = form.validated_data
        try:
            reading = indicators.read(
                asked["type"], asked["value"], service=asked.get("service"), quality=asked.get("quality")
            )
        except InvalidIndicator as refusal:
            refusal.pointer = (refusal.pointer or "").removeprefix("/indicator") or None  # it stands alone here
            raise
        return Response(
            {
                "type": reading.type,
                "value": reading.value,
                "service": reading.service,
                "changes": list(reading.changes),
                "weaknesses": list(reading.weaknesses),
            }
        )
