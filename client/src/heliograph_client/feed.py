"""One page or webhook batch of a programme's feed, read strictly before anything is done with it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from heliograph_client.wire import Json, NotStrict, strict_object

Item = dict[str, Json]
LIVE_STATES: Final = frozenset({"published", "restricted"})


class PageProblem(Exception):
    """A page or batch is cut short or is not of the documented form, so none of it may be applied."""


@dataclass(frozen=True, slots=True)
class Filter:
    """What part of a programme to follow: only what never changes about a signal. A new filter is a new walk."""

    types: tuple[str, ...] = ()
    violations: tuple[str, ...] = ()
    issuers: tuple[str, ...] = ()
    own: bool = False

    def query(self) -> list[tuple[str, str]]:
        """As parameters of the feed's address, in one fixed order."""
        named = (("type", self.types), ("violation", self.violations), ("issuer", self.issuers))
        pairs = [(name, value) for name, values in named for value in sorted(values)]
        return [*pairs, ("own", "true")] if self.own else pairs


@dataclass(frozen=True, slots=True)
class Page:
    """Entries in order of their latest change, and the place in the feed they came from."""

    programme: str
    channel: str
    epoch: int
    walk: int
    listed: bool
    more: bool
    items: tuple[Item, ...]
    next: str | None = None

    @property
    def place(self) -> tuple[int, int]:
        """Which walk this belongs to; a later walk has the greater pair."""
        return self.epoch, self.walk


def is_live(item: Mapping[str, Json]) -> bool:
    """Whether an entry says "act on this"; every other state, known to us or not, says "drop it"."""
    return item["state"] in LIVE_STATES


def read_page(document: Mapping[str, Json]) -> Page:
    """A JSON page or a webhook's batch. `PageProblem` when a member is missing or of the wrong kind."""
    items = document.get("items")
    if not isinstance(items, list):
        raise PageProblem("a page has a list of items")
    return _page(document, items)


def read_lines(body: bytes) -> Page:
    """An NDJSON page: one entry a line, and `{"page":{…}}` last. `PageProblem` when that line is missing: cut short."""
    return _page(*split_lines(body))


def split_lines(body: bytes) -> tuple[dict[str, Json], list[Json]]:
    """An NDJSON page's last line, which is about the page, and its items."""
    try:
        lines = [strict_object(line) for line in body.split(b"\n") if line.strip()]
    except NotStrict as error:
        raise PageProblem("a line is not a JSON object") from error
    if not lines or not isinstance(lines[-1].get("page"), dict):
        raise PageProblem("the last line is missing: the page was cut short")
    return lines[-1]["page"], list(lines[:-1])


def _page(head: Mapping[str, Json], items: list[Json]) -> Page:
    kinds: dict[str, type] = {"programme": str, "channel": str, "epoch": int, "walk": int, "listed": bool}
    for name, kind in kinds.items():
        if type(head.get(name)) is not kind:
            raise PageProblem(f"a page's `{name}` is of type {kind.__name__}")
    if not isinstance(head.get("next"), (str, type(None))):
        raise PageProblem("a page's `next` is text")
    for item in items:
        _check_item(item)
    values = {name: head[name] for name in kinds}
    return Page(**values, more=head.get("more") is True, items=tuple(items), next=head.get("next"))


def _check_item(item: Json) -> None:
    if not isinstance(item, dict):
        raise PageProblem("an entry is an object")
    is_named = isinstance(item.get("id"), str) and isinstance(item.get("state"), str)
    if not is_named or type(item.get("revision")) is not int:
        raise PageProblem("an entry has an id, a revision and a state")
