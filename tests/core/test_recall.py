"""How one copy of a recalled signal stands."""

from __future__ import annotations

from datetime import timedelta

import pytest

from signals.core.recall import Reach, Standing, standing
from tests.builders import NOON

DAY = timedelta(hours=24)
MINUTE = timedelta(minutes=1)


def stands(reach: Reach | None, *, has_receipt: bool = False, after: timedelta = MINUTE) -> Standing:
    return standing(
        reach, recalled_to=50, recalled_at=NOON, has_receipt=has_receipt, overdue_after=DAY, at=NOON + after
    )


@pytest.mark.parametrize(
    ("position", "floor", "expected"),
    [
        (50, 0, Standing.TOLD),  # the very entry
        (90, 49, Standing.TOLD),
        (49, 0, Standing.WAITING),
        (-1, 0, Standing.WAITING),
        (60, 50, Standing.CLEARED),  # a walk that began after it never lists it
        (60, 60, Standing.CLEARED),
        (59, 60, Standing.WAITING),  # its list is not complete: the old copy may still hold it
        (70, -1, Standing.TOLD),  # a replay from a time serves every tombstone
    ],
)
def test_a_copy_is_acknowledged_at_or_after_both_tombstone_and_floor(
    position: int, floor: int, expected: Standing
) -> None:
    assert stands(Reach(position, floor, NOON)) is expected


def test_after_a_day_waiting_is_overdue_and_acknowledged_stays_so() -> None:
    assert stands(None, after=DAY) is Standing.WAITING
    assert stands(None, after=DAY + MINUTE) is Standing.OVERDUE
    assert stands(Reach(49, 0, NOON), after=DAY + MINUTE) is Standing.OVERDUE
    assert stands(Reach(50, 0, NOON), after=DAY + MINUTE) is Standing.TOLD


def test_a_receipt_stands_for_a_channel_that_is_behind_and_yields_to_its_own_word() -> None:
    assert stands(None, has_receipt=True, after=10 * DAY) is Standing.RECEIPT
    assert stands(Reach(50, 0, NOON), has_receipt=True) is Standing.TOLD


def test_who_left_and_took_the_word_to_erase_all_is_cleared() -> None:
    assert stands(Reach(-1, 0, NOON, has_erased=True), after=10 * DAY) is Standing.CLEARED
