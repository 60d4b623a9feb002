"""What an export is asked for: a span of time, filters and a kind; and whether a leaf is meant. Pure.

docs/export-bundle.md says the same for those who write a verifier of their own.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar

from hub.ledger.leaf import Json, Leaf
from hub.refusal import Refusal

_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")
_SLUG = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_ACTOR = re.compile(r"(partner|staff|system):[A-Za-z0-9._:-]+")
_ACTION = re.compile(r"[a-z][a-z-]*(\.[a-z-]+)+")


class Kind(StrEnum):
    """What an export can prove."""

    COMPLETE = "complete range"  # every leaf of the span: whoever reads it applies the filter again
    FILTERED = "filtered"  # the leaves that are meant: presence, and completeness where running numbers show it


class InvalidExport(Refusal):
    """The export cannot be made as it is asked for.

    A filter has a form that no leaf could match, or the span of time ends before it begins.
    """

    code = "invalid-export"


@dataclass(frozen=True, slots=True)
class Query:
    """Filters, all of which a leaf must meet. Times are RFC 3339 in UTC with microseconds, as leaves have them.

    `since` and `until` bound the time of sequencing, which never runs backwards and which the order of the leaves
    proves; the time that a process said is in each leaf too, but proves nothing. `until` is not included.
    """

    kind: Kind
    since: str | None = None
    until: str | None = None
    partner: str | None = None  # a slug: leaves about it, and leaves of what it did
    programme: str | None = None
    signal: str | None = None  # its UUID
    actor: str | None = None
    actions: tuple[str, ...] = ()  # any of them; none: all

    _FORMS: ClassVar[Mapping[str, re.Pattern[str]]] = {
        "since": _TIME,
        "until": _TIME,
        "partner": _SLUG,
        "programme": _SLUG,
        "signal": _UUID,
        "actor": _ACTOR,
    }

    def __post_init__(self) -> None:
        for name, form in self._FORMS.items():
            value = getattr(self, name)
            if value is not None and not form.fullmatch(value):
                raise InvalidExport(f"No leaf has a {name} of this form.", pointer=f"/{name}")
        if not all(map(_ACTION.fullmatch, self.actions)) or list(self.actions) != sorted(set(self.actions)):
            raise InvalidExport("Actions are dotted words, each once and in order.", pointer="/actions")
        if self.since is not None and self.until is not None and self.since >= self.until:
            raise InvalidExport("The span of time ends before it begins.", pointer="/until")

    def document(self) -> dict[str, Json]:
        """The filters as the manifest states them; what is not asked for is null."""
        return {
            "actions": list(self.actions),
            "actor": self.actor,
            "partner": self.partner,
            "programme": self.programme,
            "signal": self.signal,
            "since": self.since,
            "until": self.until,
        }

    @classmethod
    def of(cls, kind: str, document: Mapping[str, Json]) -> Query:
        """The query whose document this is."""
        given = {name: value for name, value in document.items() if name != "actions"}
        actions = document.get("actions") or ()
        assert isinstance(actions, (list, tuple))
        return cls(kind=Kind(kind), actions=tuple(map(str, actions)), **{k: str(v) for k, v in given.items() if v})

    @property
    def subjects(self) -> tuple[str, ...]:
        """What a leaf must mention; of a partner it is enough to have acted."""
        asked = (("signal", self.signal), ("partner", self.partner), ("programme", self.programme))
        return tuple(f"{kind}:{identity}" for kind, identity in asked if identity is not None)

    @property
    def numbered_subject(self) -> str | None:
        """The one subject whose running numbers show a gap in a filtered export: the only thing that is asked for."""
        is_all = self.kind is Kind.FILTERED and self.actor is None and not self.actions
        return self.subjects[0] if is_all and len(self.subjects) == 1 else None

    def is_met_by(self, leaf: Leaf) -> bool:
        """Whether a leaf is meant."""
        if (self.since is not None and leaf.sequenced_at < self.since) or (
            self.until is not None and leaf.sequenced_at >= self.until
        ):
            return False
        if (self.actions and leaf.action not in self.actions) or (self.actor is not None and leaf.actor != self.actor):
            return False
        mentioned = {mention.id for mention in leaf.subjects}
        return all(subject in mentioned or subject == leaf.actor for subject in self.subjects)

    def sentences(self) -> list[tuple[str, str]]:
        """What was asked for, in words, for people."""
        kind = "every leaf of the span" if self.kind is Kind.COMPLETE else "only the leaves that were asked for"
        said = [
            ("Kind", f"{self.kind.value}: {kind}"),
            ("Sequenced from", self.since or "the first leaf"),
            ("Sequenced before", self.until or "the end of the checkpoint"),
            ("Partner", self.partner),
            ("Programme", self.programme),
            ("Signal", self.signal),
            ("Actor", self.actor),
            ("Actions", ", ".join(self.actions)),
        ]
        return [(name, value) for name, value in said if value]
