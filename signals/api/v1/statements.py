"""Submit statements and read the verdicts."""

from __future__ import annotations

import re
from uuid import UUID

import msgspec
from django.http import HttpResponse
from django.urls import reverse
from django.utils import timezone
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework.request import Request

from partners.api.caller import caller
from partners.api.openapi import refuses
from partners.api.permissions import HasScope
from partners.api.view import Door, Kind
from signals import queries
from signals.api.v1.bodies import JOSE, NDJSON, read_body
from signals.api.v1.serializers import OwnSignalShape, SubmissionShape
from signals.lifecycle.submit import lines_of, submit

WAIT_HEADER = "Heliograph-Internal-Wait"  # read and removed by hub.waiting; never leaves the hub
MAX_WAIT_SECONDS = 60
_PREFER_WAIT = re.compile(r"(?:^|[,;\s])wait=\"?(\d{1,4})", re.IGNORECASE)


_LOCATION = "where the verdicts are read"
_LINE = {"type": "string", "pattern": r"[^ \t\r\n]", "description": "one compact JWS"}
_LINES = {
    "type": "string",
    "pattern": r"[^ \t\r\n]",
    "description": "one compact or flattened JSON JWS a line; blank lines do not count",
}


class StatementsView(Door):
    """The door for statements."""

    permission_classes = [HasScope("statements:submit")]
    counts_as = Kind.SUBMIT

    @extend_schema(
        operation_id="submitStatements",
        summary="Submit signed statements",
        tags=["statements"],
        description=(
            "One compact JWS (`application/jose`), or up to 1,000 lines of compact or flattened JSON JWS "
            "(`application/x-ndjson`), at most 4 MiB inflated; `Content-Encoding: gzip` is welcome. The answer comes "
            "when the batch is stored durably. With `Prefer: wait=N` the hub waits up to N seconds for the verdicts "
            "and then answers 200. Submitting the same bytes again is safe: a statement's `jti` counts once."
        ),
        request={JOSE: _LINE, NDJSON: _LINES},
        parameters=[
            OpenApiParameter(
                "Prefer", str, OpenApiParameter.HEADER, description="`wait=N`, at most 60 seconds (RFC 7240)"
            ),
            OpenApiParameter("Location", str, OpenApiParameter.HEADER, response=[200, 202], description=_LOCATION),
            OpenApiParameter("Preference-Applied", str, OpenApiParameter.HEADER, response=[200], description="`wait`"),
        ],
        responses={
            200: OpenApiResponse(SubmissionShape, "All verdicts are in."),
            202: OpenApiResponse(SubmissionShape, "Stored; the verdicts follow at `Location`."),
        },
        extensions=refuses("missing-scope", "empty-body", "bad-gzip", "too-many-lines", "too-much-pending"),
    )
    def post(self, request: Request) -> HttpResponse:
        """Store the batch, answer 202."""
        who, body = caller(request), read_body(request._request)
        self.charge(who, {Kind.STATEMENTS: len(lines_of(body)), Kind.BYTES: len(body)})
        found = submit(body, caller=who, at=timezone.now())
        response = _json(queries.submission_document(found), status=202)
        response["Location"] = reverse("v1:submission", args=[found.id])
        wait = _PREFER_WAIT.search(request.headers.get("Prefer", ""))
        if wait:
            response[WAIT_HEADER] = f"submission {found.id} {min(int(wait[1]), MAX_WAIT_SECONDS)}"
        return response


class SubmissionView(Door):
    """One submission of the caller."""

    permission_classes = [HasScope("statements:submit")]

    @extend_schema(
        operation_id="getSubmission",
        summary="Read a submission's verdicts",
        tags=["statements"],
        responses=SubmissionShape,
        extensions=refuses("missing-scope", "not-found"),
    )
    def get(self, request: Request, submission_id: UUID) -> HttpResponse:
        """The submission with a verdict per statement."""
        found = queries.submission(submission_id, partner_id=caller(request).partner_id)
        return _json(queries.submission_document(found))


class OwnSignalView(Door):
    """One signal of the caller's own."""

    permission_classes = [HasScope("statements:submit")]

    @extend_schema(
        operation_id="getOwnSignal",
        summary="Read the state of a signal of one's own",
        tags=["statements"],
        responses=OwnSignalShape,
        extensions=refuses("missing-scope", "not-found"),
    )
    def get(self, request: Request, signal_id: UUID) -> HttpResponse:
        """Its state, without its value."""
        return _json(queries.own_signal(signal_id, partner_id=caller(request).partner_id))


def _json(document: object, *, status: int = 200) -> HttpResponse:
    return HttpResponse(msgspec.json.encode(document), status=status, content_type="application/json")
