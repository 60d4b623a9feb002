"""Pull a programme's feed: a page after a cursor, as JSON or NDJSON, always with the next cursor."""

from __future__ import annotations

from typing import Any

import msgspec
from django.http import HttpResponse
from django.utils import timezone
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework.renderers import BaseRenderer, JSONRenderer
from rest_framework.request import Request
from rest_framework.views import APIView

from partners import public
from partners.api.caller import caller
from partners.api.permissions import HasScope
from signals import queries
from signals.api.v1.bodies import NDJSON
from signals.api.v1.problems import problems
from signals.api.v1.serializers import PageShape
from signals.api.v1.statements import MAX_WAIT_SECONDS, WAIT_HEADER
from signals.core.indicators import INDICATOR_TYPES
from signals.core.refusals import ParameterInvalid
from signals.lifecycle.disclose import Page, read_page, reader_of
from signals.lifecycle.walk import open_cursor, seal_cursor, start_walk

CHANNEL = "pull"
_KNOWN = {"after", "limit", "wait", "own", "type", "violation", "issuer", "format"}


class NdjsonRenderer(BaseRenderer):
    """Named so that content negotiation knows NDJSON; pages are rendered where they are read."""

    media_type = NDJSON
    format = "ndjson"

    def render(self, data: Any, accepted_media_type: str | None = None, renderer_context: Any = None) -> bytes:
        """Render what is no page, an error for instance, as one line."""
        del accepted_media_type, renderer_context
        return msgspec.json.encode(data)


class FeedView(APIView):
    """The compacted change feed of one programme."""

    permission_classes = [HasScope("feed:read")]
    renderer_classes = [JSONRenderer, NdjsonRenderer]

    @extend_schema(
        operation_id="readFeed",
        summary="Read a page of a programme's feed",
        description=(
            "Without `after` a new walk begins. Store `next` together with the page and send it as `after`. Apply entries "
            "by revision; when `listed` is true, drop what this walk did not list. As NDJSON, every line is an item and "
            'the last line is `{"page": …}`: a body without it was cut short.'
        ),
        parameters=[
            OpenApiParameter("after", str, description="the cursor of the page before; without it, a new walk"),
            OpenApiParameter("limit", {"type": "integer", "minimum": 1, "maximum": 1000, "default": 200}),
            OpenApiParameter(
                "wait",
                {"type": "integer", "minimum": 0, "maximum": MAX_WAIT_SECONDS, "default": 0},
                description="seconds to wait for something to say",
            ),
            OpenApiParameter("own", {"type": "boolean", "default": False}, description="also one's own signals"),
            OpenApiParameter("type", str, many=True, enum=sorted(INDICATOR_TYPES)),
            OpenApiParameter("violation", str, many=True),
            OpenApiParameter("issuer", str, many=True, description="slugs of members"),
        ],
        responses={
            (200, "application/json"): OpenApiResponse(PageShape),
            (200, NDJSON): OpenApiTypes.STR,
            **problems(400, 401, 403, 404, 406, 410),
        },
    )
    def get(self, request: Request, slug: str) -> HttpResponse:
        """Begin or continue a walk and read one page of it."""
        at = timezone.now()
        member = queries.reading_member(caller(request), slug, at=at)
        reader = reader_of(member, at=at)
        filter_ = _filter(request, {name: identity for identity, name in reader.slugs.items()})
        after = request.query_params.get("after")
        if after is None:
            place = start_walk(member, channel=CHANNEL, filter=filter_, at=at)
        else:
            place = open_cursor(after, member=member, channel=CHANNEL, filter=filter_)
        limit = _whole(request, "limit", 200, 1, 1000)
        wait = _whole(request, "wait", 0, 0, MAX_WAIT_SECONDS)
        page = read_page(place, reader=reader, limit=limit, at=at)
        response = _respond(page, slug, as_lines=request.accepted_media_type == NDJSON)  # type: ignore[attr-defined]
        if page.is_silent and wait:
            response[WAIT_HEADER] = f"feed {member.programme_id} {page.place.position} {wait}"
        return response


def _respond(page: Page, slug: str, *, as_lines: bool) -> HttpResponse:
    walk = page.place.walk
    cursor = seal_cursor(page.place)
    facts = msgspec.json.encode(
        {
            "programme": slug,
            "channel": CHANNEL,
            "epoch": walk.epoch,
            "walk": walk.pk,
            "listed": page.listed,
            "more": page.more,
            "next": cursor,
        }
    )
    if as_lines:
        body = b"\n".join([*page.items, b'{"page":' + facts + b"}", b""])
    else:
        body = b"".join((facts[:-1], b',"items":[', b",".join(page.items), b"]}"))
    response = HttpResponse(body, content_type=NDJSON if as_lines else "application/json")
    response["Cache-Control"] = "no-store"
    return response


def _filter(request: Request, issuers: dict[str, int]) -> dict[str, object]:
    parameters = request.query_params
    unknown = sorted(set(parameters) - _KNOWN)
    if unknown:
        raise ParameterInvalid("There is no such parameter here.", pointer=unknown[0][:64])
    types = parameters.getlist("type")
    if not set(types) <= set(INDICATOR_TYPES):
        raise ParameterInvalid("There is no such indicator type.", pointer="type")
    wanted: dict[str, object] = {}
    if types:
        wanted["types"] = sorted(set(types))
    if parameters.getlist("violation"):
        wanted["violations"] = sorted(set(parameters.getlist("violation")))
    if parameters.getlist("issuer"):
        wanted["issuers"] = issuer_ids(parameters.getlist("issuer"), issuers)
    own = parameters.get("own", "false").lower()
    if own not in {"true", "false"}:
        raise ParameterInvalid("`own` is true or false.", pointer="own")
    if own == "true":
        wanted["own"] = True
    return wanted


def issuer_ids(slugs: list[str], known: dict[str, int]) -> list[int]:
    """The ids of members by slug; refuses ParameterInvalid for one that is no member."""
    if not set(slugs) <= set(known):
        raise ParameterInvalid("An issuer is the slug of a member of the programme.", pointer="issuer")
    return sorted({known[slug] for slug in slugs})


def _whole(request: Request, name: str, default: int, minimum: int, maximum: int) -> int:
    text = request.query_params.get(name)
    if text is None:
        return default
    if not (text.isascii() and text.isdigit() and len(text) <= 6 and minimum <= int(text) <= maximum):  # noqa: PLR2004
        raise ParameterInvalid(f"`{name}` is a whole number from {minimum} to {maximum}.", pointer=name)
    return int(text)


def members_by_slug(programme_id: int, *, at: Any) -> dict[str, int]:
    """The ids of a programme's members, by slug."""
    return {member.partner_slug: member.partner_id for member in public.members(programme_id, at=at)}
