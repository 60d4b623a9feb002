"""Read a submitted body within its bounds: media type, size on the wire, gzip, size inflated."""

from __future__ import annotations

import zlib

from django.conf import settings
from django.core.exceptions import RequestDataTooBig
from django.http import HttpRequest

from signals.core.refusals import BadGzip, BodyTooLarge, UnsupportedMediaType

JOSE = "application/jose"
NDJSON = "application/x-ndjson"
_GZIP_WINDOW = 31  # zlib's way of saying: a gzip header is expected (RFC 1952)


def read_body(request: HttpRequest) -> bytes:
    """The statements' bytes, inflated, at most settings.MAX_SUBMISSION_BYTES.

    Refuses UnsupportedMediaType, BodyTooLarge and BadGzip; nothing has been stored then.
    """
    media_type = (request.content_type or "").lower()
    if media_type not in {JOSE, NDJSON}:
        raise UnsupportedMediaType(f"Send {JOSE} (one compact JWS) or {NDJSON} (one JWS a line).")
    limit = settings.MAX_SUBMISSION_BYTES
    if int(request.headers.get("Content-Length") or 0) > limit:
        raise _too_large(limit)
    try:
        body = request.body
    except RequestDataTooBig:
        raise _too_large(limit) from None
    encoding = request.headers.get("Content-Encoding", "identity").strip().lower()
    if encoding == "gzip":
        body = _inflate(body, limit)
    elif encoding != "identity":
        raise UnsupportedMediaType("The only content coding taken here is gzip.")
    if len(body) > limit:
        raise _too_large(limit)
    if media_type == JOSE:
        body = body.strip().replace(b"\n", b" ")  # one statement, whatever it holds
    return body


def _inflate(body: bytes, limit: int) -> bytes:
    inflater = zlib.decompressobj(_GZIP_WINDOW)
    try:
        inflated = inflater.decompress(body, limit + 1)
    except zlib.error:
        raise BadGzip("The body is not gzip, or is damaged.") from None
    if len(inflated) > limit:
        raise _too_large(limit)
    if not inflater.eof or inflater.unused_data:
        raise BadGzip("The gzip body is cut short, or something follows it.")
    return inflated


def _too_large(limit: int) -> BodyTooLarge:
    return BodyTooLarge(f"The body is larger than {limit:,} bytes; send it in parts.", limit=limit)
