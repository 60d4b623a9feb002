"""The two encodings everything else rests on: base64url without padding, and JSON that is read strictly."""

from __future__ import annotations

import base64
import json
from typing import Any

Json = Any  # a JSON value; what is inside is checked where it is used


class NotStrict(ValueError):
    """The text is not the one encoding we accept: padding, a stray character, a duplicate member, NaN."""


def b64url(raw: bytes) -> str:
    """base64url without padding (RFC 7515 §2)."""
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode("ascii")


def from_b64url(text: str) -> bytes:
    """The bytes; `NotStrict` for padding, characters outside the alphabet, or bits that no encoder would have set."""
    try:
        raw = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except ValueError as error:
        raise NotStrict("not base64url") from error
    if b64url(raw) != text:  # "QQ" and "QR" decode alike; one signature must not have two spellings
        raise NotStrict("not base64url without padding")
    return raw


def _unique(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise NotStrict("a member occurs twice")
    return members


def _no_constant(_: str) -> Json:
    raise NotStrict("NaN and Infinity are not JSON")


def strict_json(text: str | bytes) -> Json:
    """Decode JSON (RFC 8259); `NotStrict` for duplicate members, NaN, invalid UTF-8 or nesting no statement needs."""
    try:
        if isinstance(text, bytes):
            text = text.decode("utf-8")
        return json.loads(text, object_pairs_hook=_unique, parse_constant=_no_constant)
    except NotStrict:
        raise
    except (ValueError, RecursionError) as error:
        raise NotStrict("not JSON") from error


def strict_object(text: str | bytes) -> dict[str, Json]:
    """Like `strict_json`, for a JSON object only."""
    value = strict_json(text)
    if not isinstance(value, dict):
        raise NotStrict("not a JSON object")
    return value


def compact_json(value: Json) -> bytes:
    """The bytes we sign and send: no spaces, members in the order given, text as UTF-8."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode("utf-8")


def same_json(one: Json, other: Json) -> bool:
    """Whether two decoded values are the same JSON; unlike `==`, `true` is not 1 and 1 is not 1.0."""
    return json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)
