"""Pull one's own notices: a page after a cursor, as JSON or NDJSON, by the rules of every feed."""

from __future__ import annotations

from django.http import HttpResponse
from django.utils import timezone
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request

from partners.api.caller import caller
from partners.api.openapi import refuses
from partners.api.permissions import HasScope
from partners.api.view import Door
from signals.api.v1.bodies import NDJSON
from signals.api.v1.pages import NdjsonRenderer, answer, media_type, refuse_unknown, whole
from signals.api.v1.serializers import NoticePageShape
from signals.api.v1.statements import MAX_WAIT_SECONDS, WAIT_HEADER
from signals.lifecycle.notice_feed import CHANNEL, open_notice_cursor, read_notices, start_or_share_notices
from signals.lifecycle.walk import Place

_KNOWN = {"after", "limit", "wait"}


class NoticesView(Door):
    """What the hub tells this partner."""

    permission_classes = [HasScope("feed:read")]
    renderer_classes = [JSONRenderer, NdjsonRenderer]

    @extend_schema(
        operation_id="readNotices",
        summary="Read a page of one's own notices",
        tags=["notices"],
        description=(
            "What concerns the calling partner alone, oldest first: every recall at once, late verdicts, events of its "
            "keys and endpoints, feeds that begin anew. Without `after` it begins with the oldest notice kept (90 "
            "days). Store `next` together with the page and send it as `after`. Entries of a recall are applied by "
            "revision, like those of a feed; kinds that a reader does not know it passes over."
        ),
        parameters=[
            OpenApiParameter("after", str, description="the cursor of the page before; without it, from the oldest on"),
            OpenApiParameter("limit", {"type": "integer", "minimum": 1, "maximum": 1000, "default": 200}),
            OpenApiParameter(
                "wait",
                {"type": "integer", "minimum": 0, "maximum": MAX_WAIT_SECONDS, "default": 0},
                description="seconds to wait for something to say",
            ),
        ],
        responses={
            (200, "application/json"): OpenApiResponse(NoticePageShape),
            (200, NDJSON): OpenApiTypes.STR,
        },
        extensions=refuses("missing-scope", "parameter-invalid", "cursor-invalid", "cursor-expired"),
    )
    def get(self, request: Request) -> HttpResponse:
        """Begin or go on, and read one page."""
        at, who = timezone.now(), caller(request)
        place, limit, wait = _asked(request)
        place = place or start_or_share_notices(who.partner_id, at=at)
        page = read_notices(place, limit=limit, at=at)
        response = answer(page, channel=CHANNEL, as_lines=media_type(request) == NDJSON)
        if page.is_silent and wait:
            response[WAIT_HEADER] = f"notices {who.partner_id} {page.place.position} {wait}"
        return response

    def head(self, request: Request) -> HttpResponse:
        """Say whether the page could be had (RFC 9110 §9.3.2); nothing is begun and nothing counts as told."""
        _asked(request)
        return HttpResponse(content_type=media_type(request))


def _asked(request: Request) -> tuple[Place | None, int, int]:
    """Where the cursor stands (None: at the start), the limit and the seconds to wait."""
    refuse_unknown(request, _KNOWN)
    limit = whole(request, "limit", 200, 1, 1000)
    wait = whole(request, "wait", 0, 0, MAX_WAIT_SECONDS)
    after = request.query_params.get("after")
    place = None if after is None else open_notice_cursor(after, partner_id=caller(request).partner_id)
    return place, limit, wait
