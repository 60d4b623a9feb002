"""The table of moves."""

from __future__ import annotations

from itertools import product

import pytest

from signals.core.refusals import CannotMove
from signals.core.states import LIVE, MOVES, REMOVED, UNPUBLISHED, State, may_move, require_move, takes_position


def test_every_state_is_in_one_group_and_in_the_table() -> None:
    groups = [UNPUBLISHED, LIVE, REMOVED, {State.PURGED}]
    assert sorted(state for group in groups for state in group) == sorted(State)
    assert set(MOVES) == set(State)


@pytest.mark.parametrize(("old", "new"), list(product(State, State)))
def test_a_move_outside_the_table_is_refused(old: State, new: State) -> None:
    if may_move(old, new):
        require_move(old, new)
    else:
        with pytest.raises(CannotMove):
            require_move(old, new)


def test_rules_that_must_hold_whatever_the_table_says() -> None:
    for state in State:
        assert not may_move(state, state)
        assert state is State.PURGED or not may_move(State.PURGED, state)
        assert not may_move(state, State.RECEIVED)
        assert not (state in LIVE and may_move(state, State.PURGED)), "what was served leaves a tombstone first"
    # Nothing is published without a verdict, and nothing held without a second look.
    assert not may_move(State.RECEIVED, State.PUBLISHED)
    assert not may_move(State.HELD, State.PUBLISHED)
    assert not may_move(State.REFUSED, State.VERIFIED)
    # What has run out does not come back.
    assert not any(may_move(State.EXPIRED, live) for live in LIVE)
    for live in LIVE:
        assert all(may_move(live, removed) for removed in REMOVED)


def test_from_everywhere_a_signal_can_end() -> None:
    for start in State:
        reached, waiting = {start}, [start]
        while waiting:
            for new in MOVES[waiting.pop()] - reached:
                reached.add(new)
                waiting.append(new)
        assert State.PURGED in reached


@pytest.mark.parametrize(
    ("old", "new", "was_published", "moves"),
    [
        (State.VERIFIED, State.PUBLISHED, False, True),
        (State.PUBLISHED, State.RESTRICTED, True, True),
        (State.PUBLISHED, State.WITHDRAWN, True, True),
        (State.RESTRICTED, State.QUARANTINED, True, True),
        (State.QUARANTINED, State.PUBLISHED, True, True),
        (State.WITHDRAWN, State.PUBLISHED, True, True),
        (State.QUARANTINED, State.WITHDRAWN, True, False),
        (State.WITHDRAWN, State.EXPIRED, True, False),
        (State.HELD, State.WITHDRAWN, False, False),
        (State.RECEIVED, State.HELD, False, False),
        (State.WITHDRAWN, State.PURGED, True, False),
    ],
)
def test_what_shows_in_the_feed(old: State, new: State, was_published: bool, moves: bool) -> None:
    assert takes_position(old, new, was_published=was_published) == moves
