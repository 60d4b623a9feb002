"""The problems an operation may answer with, as OpenAPI writes them."""

from __future__ import annotations

from http import HTTPStatus

from drf_spectacular.utils import OpenApiResponse

from signals.api.v1.serializers import ProblemShape


def problems(*statuses: int) -> dict[tuple[int, str], OpenApiResponse]:
    """One response per status, all of the one problem shape (RFC 9457)."""
    return {
        (status, "application/problem+json"): OpenApiResponse(ProblemShape, HTTPStatus(status).phrase)
        for status in statuses
    }
