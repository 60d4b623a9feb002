"""The hub with one rule taken away at a time, so that a test can show that it needs the rule.

Each variant replaces one function or one clause of SQL for the length of a `with`. Nothing in the product knows of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import replace
from datetime import datetime
from types import ModuleType
from typing import Any
from unittest import mock

import pytest
from django.db import transaction
from django.db.models.functions import Greatest

from signals.delivery import payload
from signals.lifecycle import disclose, moves, publish, render, settle, verify, walk
from signals.lifecycle.disclose import Page
from signals.lifecycle.effects import write
from signals.lifecycle.effects.batch import Batch
from signals.lifecycle.shared_pages import Sheet
from signals.lifecycle.walk import Place
from signals.models import Endpoint, Head, Signal

Variant = Callable[[], AbstractContextManager[object]]


def needs(variant: Variant, scenario: Callable[[], None]) -> None:
    """Run a scenario as the hub is, where it must hold, and without one rule, where it must fail. Both are undone."""
    with undone():
        scenario()
    with undone(), variant(), pytest.raises(AssertionError):
        scenario()


@contextmanager
def undone() -> Iterator[None]:
    """What happens within is rolled back, so that the same scenario can be played again."""
    with transaction.atomic():
        yield
        transaction.set_rollback(True)


# ---------------------------------------------------------------- the feed
def without_clause(clause: str, instead: str = "true") -> Variant:
    """The page's SQL with one clause of it replaced, everywhere it stands."""
    assert clause in disclose._PAGE, clause
    return lambda: mock.patch.object(disclose, "_PAGE", disclose._PAGE.replace(clause, instead))


except_ignored = without_clause("NOT (signal.audience = 'except' AND %(partner)s = ANY (signal.audience_partners))")
only_ignored = without_clause("signal.audience <> 'only'")
floor_ignored = without_clause("((signal.removal = '' AND NOT fall.has_come) OR signal.position > %(floor)s)")
fallen_keys_served = without_clause("(fallen.since IS NULL OR signal.received_at >= fallen.since)", "false")


@contextmanager
def positions_before_commit() -> Iterator[None]:
    """Positions are handed out at once, as a sequence would, without locking the head, which follows each commit."""
    taken: dict[int, int] = {}

    def lock_head(programme_id: int, *, at: datetime) -> Head:
        head = Head.objects.get(programme_id=programme_id)
        head.position = taken.get(programme_id, head.position)
        taken[programme_id] = head.position + 1
        return head

    class Late:
        """In place of the model, as far as moves uses it: the head's update waits for the commit."""

        objects = None

        def filter(self, *, programme_id: int) -> Late:
            self.rows = Head.objects.filter(programme_id=programme_id)
            return self

        def update(self, *, position: int, at: datetime) -> None:
            rows = self.rows
            transaction.on_commit(lambda: rows.update(position=Greatest("position", position), at=at))

    Late.objects = Late()  # type: ignore[assignment]  # stands where a manager stood
    with (
        mock.patch.object(moves, "lock_head", lock_head),
        mock.patch.object(publish, "lock_head", return_value=None),
        mock.patch.object(moves, "Head", Late),
    ):
        yield


@contextmanager
def head_read_later(between: Callable[[], object]) -> Iterator[None]:
    """A page's rows and its head come from two statements; `between` happens between them."""
    rows_of = disclose._rows

    def rows(place: Place, **asked: Any) -> Any:
        _, purged_to, found = rows_of(place, **asked)
        between()
        assert place.walk.programme_id is not None
        head = Head.objects.get(programme_id=place.walk.programme_id)
        return head.position, purged_to, found

    with mock.patch.object(disclose, "_rows", rows):
        yield


def never_listed() -> AbstractContextManager[object]:
    """No page ever says that a walk has listed everything."""
    read = disclose.read_page

    def read_page(*args: Any, **kwargs: Any) -> Page:
        return replace(read(*args, **kwargs), listed=False)

    return mock.patch("tests.races.following.read_page", read_page)


def limits_count_hidden_rows() -> AbstractContextManager[object]:
    """What a partner may not see is cut out of the page after it has been counted."""
    rows_of = disclose._rows

    def rows(place: Place, *, reader: Any, limit: int, up_to: int | None, each: Any) -> Any:
        with except_ignored():
            head, purged_to, found = rows_of(place, reader=reader, limit=limit, up_to=up_to, each=each)
        hidden = Signal.objects.filter(audience="except", audience_partners__contains=[reader.partner_id])
        left_out = {str(each) for each in hidden.values_list("id", flat=True)}  # rows hold ids as text
        return head, purged_to, [row for row in found if row.id not in left_out]

    return mock.patch.object(disclose, "_rows", rows)


# ---------------------------------------------------------------- walks and cursors
@contextmanager
def generation_ignored() -> Iterator[None]:
    """A cursor of an earlier membership is good."""
    is_spent = walk.is_spent

    def blind(place: Place, *, member: Any, **known: int) -> bool:
        return is_spent(place, member=replace(member, generation=place.walk.generation), **known)

    with mock.patch.object(walk, "is_spent", blind), mock.patch.object(render, "is_spent", blind):
        yield


@contextmanager
def forgotten_tombstones_ignored() -> Iterator[None]:
    """A cursor from before the last tombstone that was forgotten is good."""
    read = disclose._rows

    def rows(*args: Any, **kwargs: Any) -> Any:
        head, _, found = read(*args, **kwargs)
        return head, -1, found

    with (
        mock.patch.object(walk, "is_over", return_value=False),
        mock.patch.object(disclose, "_rows", rows),
    ):
        yield


def page_forgets_nothing() -> AbstractContextManager[object]:
    """Whether tombstones were forgotten is asked before the page is read, and not of the page's own snapshot."""
    read = disclose._rows

    def rows(*args: Any, **kwargs: Any) -> Any:
        head, _, found = read(*args, **kwargs)
        return head, -1, found

    return mock.patch.object(disclose, "_rows", rows)


def filters_may_change(*, since: Mapping[str, object]) -> AbstractContextManager[object]:
    """A cursor of a walk with the filter `since` goes on under another."""
    open_strictly = walk.open_cursor

    def open_cursor(text: str, *, filter: Mapping[str, object], **whose: Any) -> Place:  # noqa: A002
        place = open_strictly(text, filter=since, **whose)
        place.walk.filter = dict(filter)
        return place

    return mock.patch("tests.races.following.open_cursor", open_cursor)


# ---------------------------------------------------------------- statements
def taken_jtis_ignored() -> AbstractContextManager[object]:
    """Nobody asks whether a jti is taken."""
    look_up = Batch.look_up

    def forgetful(self: Batch) -> None:
        look_up(self)
        self.said.clear()

    return mock.patch.object(Batch, "look_up", forgetful)


def verifiers_take_no_turns() -> AbstractContextManager[object]:
    """Two batches of one partner take effect at the same time."""
    return mock.patch.object(verify, "lock_issuer", return_value=None)


def submission_token_ignored() -> AbstractContextManager[object]:
    """A verifier whose lease was taken over settles all the same."""
    return mock.patch.object(verify, "_is_ours", return_value=True)


def audiences_may_narrow() -> AbstractContextManager[object]:
    """A later routing may leave out whom an earlier one named."""
    return mock.patch("signals.core.handling.require_widening", return_value=None)


def widening_is_no_move() -> AbstractContextManager[object]:
    """A wider audience keeps its place in the feed."""
    move = write._move

    def still(batch: Batch) -> None:
        batch.moves = {identity: kind for identity, kind in batch.moves.items() if kind != moves.Kind.WIDENED}
        move(batch)

    return mock.patch.object(write, "_move", still)


# ---------------------------------------------------------------- keys
def key_not_asked_again() -> AbstractContextManager[object]:
    """The publisher trusts what the verifier found."""
    return mock.patch.object(publish, "fallen_among", return_value=set())


# ---------------------------------------------------------------- delivery
def in_flight_ignored() -> AbstractContextManager[object]:
    """A retry reaches as far as the feed does by then."""
    sheet_of = Sheet.of

    def of(place: Place, *, limit: int, up_to: int | None) -> Sheet:
        del up_to
        return sheet_of(place, limit=limit, up_to=None)

    return mock.patch.object(Sheet, "of", of)


def delivery_token_ignored() -> AbstractContextManager[object]:
    """A 2xx settles whatever attempt it belongs to."""
    apply = settle.settle

    def lenient(landed: Sequence[settle.Landed], *, at: datetime) -> None:
        tokens = dict(Endpoint.objects.values_list("id", "lease_token"))
        apply([(replace(post, token=tokens[post.endpoint.id] or post.token), came) for post, came in landed], at=at)

    return mock.patch.object(settle, "settle", lenient)


def bodies_kept() -> AbstractContextManager[object]:
    """A retry sends the bytes of the attempt before it."""
    kept: dict[str, tuple[bytes, ...]] = {}
    render = payload.batch

    def first(**members: Any) -> tuple[bytes, ...]:
        key = f"{members['channel']} {members['walk']}"
        return kept.setdefault(key, render(**members))

    return mock.patch.object(payload, "batch", first)


def silence_is_posted() -> AbstractContextManager[object]:
    """A batch is sent also for a range in which the partner may see nothing."""
    return mock.patch.object(render.Range, "is_silent", False)


def silence_about_listing() -> AbstractContextManager[object]:
    """A batch without items is not sent, though it completes a listing."""
    return mock.patch.object(render.Range, "is_silent", property(lambda found: found.shown.count == 0))


# ---------------------------------------------------------------- records
def events_not_recorded(*modules: ModuleType) -> Variant:
    """The insert into the ledger's outbox is left out of what these modules do."""

    @contextmanager
    def broken() -> Iterator[None]:
        with ExitStack() as stack:
            for module in modules:
                for name in {"record", "record_many"} & vars(module).keys():
                    stack.enter_context(mock.patch.object(module, name, return_value=None))
            yield

    return broken


def disclosures_not_recorded() -> AbstractContextManager[object]:
    """Pages leave no trace."""
    return mock.patch.object(disclose, "record_shown", return_value=None)


def mirror_ignored() -> AbstractContextManager[object]:
    """Nobody asks the mirror whether the database is all there."""
    return mock.patch("hub.ledger.serving.may_serve", return_value=True)
