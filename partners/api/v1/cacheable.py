"""Answers that may be kept for a moment and asked about again: Cache-Control, a strong ETag, and 304."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from django.core.serializers.json import DjangoJSONEncoder
from django.utils.http import parse_etags
from rest_framework.request import Request
from rest_framework.response import Response


def cacheable(request: Request, document: Mapping[str, Any], *, cache_control: str) -> Response:
    """200 with the document, or 304 if the reader holds exactly this one (RFC 9110 §13.1.2)."""
    digest = hashlib.sha256(DjangoJSONEncoder(sort_keys=True).encode(document).encode()).hexdigest()
    etag = f'"{digest[:32]}"'
    headers = {"ETag": etag, "Cache-Control": cache_control}
    if "private" in cache_control:
        headers["Vary"] = "Authorization"
    held = {tag.removeprefix("W/") for tag in parse_etags(request.headers.get("If-None-Match", ""))}
    if held & {etag, "*"}:
        return Response(status=304, headers=headers)
    return Response(document, headers=headers)
