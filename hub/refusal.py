"""What the hub says when it says no: a stable code and a sentence. The one base class, on every floor."""

from __future__ import annotations

import re
from typing import ClassVar

_PLAIN = re.compile(r"[a-z][a-z_]{0,23}")


def is_plain(name: str) -> bool:
    """Whether a name that somebody else chose may be repeated in a pointer: a misspelt member, and no identifier."""
    return _PLAIN.fullmatch(name) is not None


class Refusal(Exception):
    """The hub declines, on purpose. Subclasses set `code`; `hub.problems` pairs each with an HTTP status.

    `detail` is a sentence for a person and never holds an indicator's value; `pointer` is a JSON Pointer (RFC 6901)
    to the member at fault, where there is one; `facts` are further members of the problem document.
    """

    code: ClassVar[str] = "refused"

    def __init__(self, detail: str, *, pointer: str | None = None, **facts: object) -> None:
        super().__init__(detail)
        self.detail = detail
        self.pointer = pointer
        self.facts = facts
