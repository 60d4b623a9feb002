"""JSON as signed statements need it: one meaning for every reader, or a plain reason why not."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from itertools import takewhile
from typing import NoReturn

from hub.refusal import is_plain

MAX_DEPTH = 8

_STRINGS = re.compile(rb'"(?:[^"\\]|\\.)*"', re.DOTALL)


class NotStrict(ValueError):
    """The text is not JSON that every reader takes for the same; the message says why and holds nothing of the text."""


def loads(raw: bytes) -> object:
    """Read JSON from UTF-8 bytes. Raises `NotStrict`.

    Refused beyond RFC 8259: duplicate members (readers differ in which one counts), NaN and Infinity, NUL, unpaired
    surrogates (they have no UTF-8), a byte order mark, numbers beyond what Python converts, and nesting deeper than
    8.
    """
    _check_depth(raw)
    try:
        text = raw.decode("utf-8")
        document = _DECODER.decode(text)
    except UnicodeDecodeError:
        raise NotStrict("is not UTF-8") from None
    except NotStrict:
        raise
    except ValueError:  # JSONDecodeError, and integers of thousands of digits
        raise NotStrict("is not JSON") from None
    if "\\u" in text:
        _check_escapes(document)
    return document


def null_at(document: object) -> str | None:
    """Find the first null in a document, as a JSON Pointer (RFC 6901); None when it holds none.

    The pointer ends before the first member whose name could be anything: names are the author's text too.
    """
    steps = _steps_to_null(document)
    if steps is None:
        return None
    shown = takewhile(lambda step: isinstance(step, int) or is_plain(step), steps)
    return "".join(f"/{step}" for step in shown)


def _steps_to_null(document: object) -> list[str | int] | None:
    if document is None:
        return []
    items: Iterable[tuple[str | int, object]] = ()
    if isinstance(document, dict):
        items = document.items()
    elif isinstance(document, list):
        items = enumerate(document)
    found = ((name, _steps_to_null(value)) for name, value in items)
    return next(([name, *steps] for name, steps in found if steps is not None), None)


def _check_depth(raw: bytes) -> None:
    # Before any parser sees it: the parsers recurse. Eight brackets cannot nest deeper than eight, whatever they
    # enclose.
    if raw.count(b"{") + raw.count(b"[") <= MAX_DEPTH:
        return
    depth = 0
    for byte in _STRINGS.sub(b"", raw):
        if byte in b"{[":
            depth += 1
            if depth > MAX_DEPTH:
                raise NotStrict(f"is nested deeper than {MAX_DEPTH} levels")
        elif byte in b"}]":
            depth -= 1


def _check_escapes(document: object) -> None:
    text = json.dumps(document, ensure_ascii=False)
    if "\\u0000" in text:
        raise NotStrict("holds a NUL character")
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        raise NotStrict("holds an unpaired surrogate") from None


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise NotStrict("names a member twice")
    return members


def _no_constant(_name: str) -> NoReturn:
    raise NotStrict("holds NaN or Infinity")


_DECODER = json.JSONDecoder(object_pairs_hook=_unique, parse_constant=_no_constant)
