"""Request bodies read strictly: JSON that every reader takes alike, no unknown member, no string for a number."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import IO, Any, NoReturn

from rest_framework import serializers
from rest_framework.exceptions import ParseError
from rest_framework.parsers import BaseParser

_RFC_3339 = re.compile(
    r"(?:19[7-9]|[2-9]\d\d)\d-\d\d-\d\d[Tt](?:[01]\d|2[0-3]):[0-5]\d:[0-5]\d(?:\.\d{1,9})?"
    r"(?:[Zz]|[+-](?:[01]\d|2[0-3]):[0-5]\d)",
    re.ASCII,
)


class Json(BaseParser):
    """application/json in UTF-8 (RFC 8259), without duplicate members, NaN and Infinity."""

    media_type = "application/json"

    def parse(
        self, stream: IO[Any], media_type: str | None = None, parser_context: Mapping[str, Any] | None = None
    ) -> Any:  # noqa: ANN401  whatever JSON holds
        """The document; refuses what is not JSON with ParseError, also what is nested too deeply to read."""
        del media_type, parser_context
        try:
            return json.loads(stream.read().decode("utf-8"), object_pairs_hook=_members, parse_constant=_no_constant)
        except (ValueError, RecursionError):
            raise ParseError("The body is not JSON in UTF-8, or a member stands in it twice.") from None


def _members(pairs: list[tuple[str, object]]) -> dict[str, object]:
    document = dict(pairs)
    if len(document) != len(pairs):
        raise ValueError("a member stands twice")
    return document


def _no_constant(name: str) -> NoReturn:
    raise ValueError(name)


class StrictSerializer(serializers.Serializer[Any]):
    """Refuses members it does not know, so that a typo is never silently dropped."""

    def to_internal_value(self, data: object) -> Any:  # noqa: ANN401  DRF's own signature
        """Check names first, then values."""
        if isinstance(data, dict):
            unknown = sorted(set(data) - set(self.fields))
            if unknown:
                raise serializers.ValidationError({unknown[0]: ["This member is not known here."]})
        return super().to_internal_value(data)


class Text(serializers.CharField):
    """A JSON string; DRF's own would take a number for one."""

    def to_internal_value(self, data: object) -> str:
        """The string, as it came or trimmed."""
        if not isinstance(data, str):
            self.fail("invalid")
        return str(super().to_internal_value(data))


class Slug(serializers.SlugField):
    """A JSON string of letters, digits, hyphens and underscores."""

    def to_internal_value(self, data: object) -> str:
        """The slug."""
        if not isinstance(data, str):
            self.fail("invalid")
        return str(super().to_internal_value(data))


class Whole(serializers.IntegerField):
    """A JSON number without a fraction; DRF's own would take a string for one."""

    def to_internal_value(self, data: object) -> int:
        """The number."""
        if isinstance(data, bool) or not isinstance(data, int | float):
            self.fail("invalid")
        return int(super().to_internal_value(data))


class Moment(serializers.DateTimeField):
    """An RFC 3339 time with its offset, from 1970 on; DRF's own would guess at what is missing."""

    def to_internal_value(self, value: object) -> Any:  # noqa: ANN401  DRF's own signature
        """The moment, in UTC."""
        if not isinstance(value, str) or not _RFC_3339.fullmatch(value):
            self.fail("invalid", format="RFC 3339, with the offset")
        return super().to_internal_value(value)
