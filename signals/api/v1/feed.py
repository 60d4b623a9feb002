"""Pull a programme's feed: a page after a cursor, as JSON or NDJSON, always with the next cursor."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime

from django.http import HttpResponse, QueryDict
from django.utils import timezone
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request

from partners import public
from partners.api.caller import caller
from partners.api.openapi import refuses
from partners.api.permissions import HasScope
from partners.api.view import Door
from partners.public import MembershipFacts
from signals import queries
from signals.api.v1.bodies import NDJSON
from signals.api.v1.pages import NdjsonRenderer, answer, media_type, refuse_unknown, whole
from signals.api.v1.serializers import PageShape
from signals.api.v1.statements import MAX_WAIT_SECONDS, WAIT_HEADER
from signals.core.indicators import INDICATOR_TYPES
from signals.core.refusals import ParameterInvalid
from signals.lifecycle.disclose import Reader, read_page
from signals.lifecycle.walk import Place, open_cursor, start_or_share_walk

CHANNEL = "pull"
_KNOWN = {"after", "limit", "wait", "own", "type", "violation", "issuer"}
_MAX_VALUES = 100  # of one repeatable parameter
_WORD = re.compile(r"[A-Za-z0-9_-]{1,64}", re.ASCII)


def _repeatable(name: str, item: dict[str, object], description: str) -> OpenApiParameter:
    shape = {"type": "array", "maxItems": _MAX_VALUES, "items": {"type": "string", **item}}
    return OpenApiParameter(name, shape, description=f"{description}; repeatable", explode=True, style="form")


class FeedView(Door):
    """The compacted change feed of one programme."""

    permission_classes = [HasScope("feed:read")]
    renderer_classes = [JSONRenderer, NdjsonRenderer]

    @extend_schema(
        operation_id="readFeed",
        summary="Read a page of a programme's feed",
        tags=["feed"],
        description=(
            "Without `after` a new walk begins. Store `next` together with the page and send it as `after`. Apply "
            "entries by revision; when `listed` is true, drop what this walk did not list. As NDJSON, every line is "
            'an item and the last line is `{"page": …}`: a body without it was cut short.'
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
            _repeatable("type", {"enum": sorted(INDICATOR_TYPES)}, "only indicators of these types"),
            _repeatable("violation", {"pattern": "^[A-Za-z0-9_-]{1,64}$"}, "only these violations"),
            _repeatable("issuer", {"pattern": "^[A-Za-z0-9_-]{1,64}$"}, "only what these members say, by slug"),
        ],
        responses={
            (200, "application/json"): OpenApiResponse(PageShape),
            (200, NDJSON): OpenApiTypes.STR,
        },
        extensions=refuses(
            *("missing-scope", "not-found", "membership-suspended", "membership-ended"),
            *("parameter-invalid", "cursor-invalid", "cursor-filter-changed", "cursor-expired"),
        ),
    )
    def get(self, request: Request, slug: str) -> HttpResponse:
        """Begin or continue a walk and read one page of it."""
        at = timezone.now()
        asked = _Asked.of(request, slug, at=at)
        place = asked.place or start_or_share_walk(asked.member, channel=CHANNEL, filter=asked.filter, at=at)
        page = read_page(place, reader=asked.reader, limit=asked.limit, at=at)
        as_lines = media_type(request) == NDJSON
        response = answer(page, channel=CHANNEL, programme=slug, as_lines=as_lines)
        if page.is_silent and asked.wait:
            response[WAIT_HEADER] = f"feed {asked.member.programme_id} {page.place.position} {asked.wait}"
        return response

    def head(self, request: Request, slug: str) -> HttpResponse:
        """Say whether the page could be had (RFC 9110 §9.3.2); nothing is begun and nothing counts as disclosed."""
        _Asked.of(request, slug, at=timezone.now())
        return HttpResponse(content_type=media_type(request))


@dataclass(frozen=True, slots=True)
class _Asked:
    """A request for a page, read and checked whole before anything is begun."""

    member: MembershipFacts
    reader: Reader
    filter: dict[str, object]
    limit: int
    wait: int  # seconds
    place: Place | None  # where the cursor stands; None: at the start of a walk

    @classmethod
    def of(cls, request: Request, slug: str, *, at: datetime) -> _Asked:
        member, slugs = queries.reading_member_and_names(caller(request), slug, at=at)
        reader = Reader.known_as(member, slugs)
        refuse_unknown(request, _KNOWN)
        filter_ = _filter(request, {name: identity for identity, name in reader.slugs.items()})
        limit = whole(request, "limit", 200, 1, 1000)
        wait = whole(request, "wait", 0, 0, MAX_WAIT_SECONDS)
        after = request.query_params.get("after")
        place = None if after is None else open_cursor(after, member=member, channel=CHANNEL, filter=filter_)
        return cls(member, reader, filter_, limit, wait, place)


def _filter(request: Request, issuers: Mapping[str, int]) -> dict[str, object]:
    """What the reader wants to see, as its walk keeps it; one value stands for one filter, whatever the order."""
    parameters = request.query_params
    wanted: dict[str, object] = {
        "types": _each(parameters, "type", set(INDICATOR_TYPES).__contains__, "There is no such indicator type."),
        "violations": _each(parameters, "violation", _WORD.fullmatch, "A violation is a word of the programme."),
        "issuers": sorted(
            issuers[slug]
            for slug in _each(parameters, "issuer", issuers.__contains__, "An issuer is the slug of a member.")
        ),
    }
    own = parameters.get("own", "false")
    if own not in {"true", "false"}:
        raise ParameterInvalid("`own` is true or false.", parameter="own")
    wanted["own"] = own == "true"
    return {name: value for name, value in wanted.items() if value}


def _each(parameters: QueryDict, name: str, is_known: Callable[[str], object], complaint: str) -> list[str]:
    values = sorted(set(parameters.getlist(name)))
    if len(values) > _MAX_VALUES or not all(is_known(value) for value in values):
        raise ParameterInvalid(complaint, parameter=name)
    return values


def members_by_slug(programme_id: int) -> dict[str, int]:
    """The ids of a programme's members, by slug."""
    return {slug: identity for identity, slug in public.member_slugs(programme_id).items()}
