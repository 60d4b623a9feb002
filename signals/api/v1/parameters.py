"""A time as a parameter, and the drawings that some addresses answer with."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

import msgspec
from rest_framework.exceptions import ValidationError
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request

from partners.api.strict import Moment
from signals.core.refusals import ParameterInvalid


class SvgRenderer(BaseRenderer):
    """Named so that content negotiation knows SVG; what is no drawing, an error for instance, stays JSON."""

    media_type = "image/svg+xml"
    format = "svg"

    def render(
        self,
        data: object,
        accepted_media_type: str | None = None,
        renderer_context: Mapping[str, object] | None = None,
    ) -> bytes:
        """Render what is no drawing."""
        del accepted_media_type, renderer_context
        return msgspec.json.encode(data)


def moment_parameter(request: Request, name: str) -> datetime | None:
    """An RFC 3339 time with its offset, or None without one; refuses ParameterInvalid."""
    text = request.query_params.get(name)
    if text is None:
        return None
    try:
        moment: datetime = Moment().to_internal_value(text)
    except ValidationError:
        raise ParameterInvalid(f"`{name}` is an RFC 3339 time with its offset.", parameter=name) from None
    return moment
