"""A page of a feed over HTTP, of signals or of notices: its parameters read strictly, its items as JSON or NDJSON."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping

import msgspec
from django.http import HttpResponse
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request

from hub.refusal import is_plain
from signals.api.v1.bodies import NDJSON
from signals.core.refusals import ParameterInvalid
from signals.lifecycle.disclose import Page
from signals.lifecycle.notice_feed import NoticePage
from signals.lifecycle.walk import seal_cursor

_NUMBER = re.compile(r"[0-9]{1,6}", re.ASCII)


class NdjsonRenderer(BaseRenderer):
    """Named so that content negotiation knows NDJSON; pages are rendered where they are read."""

    media_type = NDJSON
    format = "ndjson"

    def render(
        self,
        data: object,
        accepted_media_type: str | None = None,
        renderer_context: Mapping[str, object] | None = None,
    ) -> bytes:
        """Render what is no page, an error for instance, as one line."""
        del accepted_media_type, renderer_context
        return msgspec.json.encode(data)


def media_type(request: Request) -> str:
    """What the answer will be, without the parameters (`q=0.9`) that `Accept` named it with."""
    return str(request.accepted_renderer.media_type)


def answer(page: Page | NoticePage, *, as_lines: bool, **named: str) -> HttpResponse:
    """A page as JSON, or as NDJSON with itself in the last line; `named` says whose page of what it is."""
    walk = page.place.walk
    facts = msgspec.json.encode(
        {
            **named,
            "epoch": walk.epoch,
            "walk": walk.pk,
            "listed": page.listed,
            "more": page.more,
            "next": seal_cursor(page.place),
        }
    )
    if as_lines:
        body = b"\n".join([*page.items, b'{"page":' + facts + b"}", b""])
    else:
        body = b"".join((facts[:-1], b',"items":[', b",".join(page.items), b"]}"))
    return HttpResponse(body, content_type=NDJSON if as_lines else "application/json")


def refuse_unknown(request: Request, known: Collection[str]) -> None:
    """Refuse a parameter that does not exist: misspelt, it would be dropped in silence."""
    unknown = sorted(set(request.query_params) - set(known))
    if unknown:
        named = {"parameter": unknown[0]} if is_plain(unknown[0]) else {}  # what could be anything is not repeated
        raise ParameterInvalid("There is no such parameter here.", **named)


def whole(request: Request, name: str, default: int, minimum: int, maximum: int) -> int:
    """A parameter that is a whole number within bounds."""
    text = request.query_params.get(name)
    if text is None:
        return default
    if not (_NUMBER.fullmatch(text) and minimum <= int(text) <= maximum):
        raise ParameterInvalid(f"`{name}` is a whole number from {minimum} to {maximum}.", parameter=name)
    return int(text)
