"""What is a burst, and which value comes up too often: the rule of docs/standing.md, case by case."""

from __future__ import annotations

import pytest

from signals.core.flood import (
    Allowance,
    allowance_of,
    hourly_limit,
    in_the_last_hour,
    is_met_too_often,
    repeats_too_often,
)

USUAL = Allowance()

# a busy hour of the partner's own, whether it may back-fill, and how many may come in an hour
LIMITS: list[tuple[int | None, bool, int]] = [
    (None, False, USUAL.floor),  # a newcomer's first hour
    (0, False, USUAL.floor),
    (3, False, USUAL.floor),  # ten times next to nothing is no flood yet
    (199, False, USUAL.floor),
    (201, False, 2_010),
    (5_000, False, 50_000),
    (25_000, False, USUAL.cap),
    (1_000_000, False, USUAL.cap),  # nobody grows beyond the cap by having been there
    (None, True, USUAL.cap),
    (3, True, USUAL.cap),
]


@pytest.mark.parametrize(("busy", "may_backfill", "limit"), LIMITS)
def test_a_partner_is_measured_by_its_own_hours_between_a_floor_and_a_cap(
    busy: int | None, may_backfill: bool, limit: int
) -> None:
    assert hourly_limit(busy, USUAL, may_backfill=may_backfill) == limit


def test_a_cap_below_the_floor_is_the_cap() -> None:
    assert hourly_limit(None, Allowance(floor=100, cap=10), may_backfill=False) == 10


@pytest.mark.parametrize(
    ("this_hour", "hour_before", "elapsed", "expected"),
    [(0, 0, 0.5, 0), (10, 0, 0.0, 10), (0, 100, 0.0, 100), (10, 100, 0.25, 85), (10, 100, 1.0, 10)],
)
def test_sixty_minutes_reach_back_into_the_hour_before(
    this_hour: int, hour_before: int, elapsed: float, expected: float
) -> None:
    assert in_the_last_hour(this_hour, hour_before, elapsed=elapsed) == expected


@pytest.mark.parametrize(("times", "expected"), [(0, False), (9, False), (10, True), (11, True)])
def test_a_value_is_met_or_repeated_too_often_from_ten_times_on(times: int, expected: bool) -> None:
    assert is_met_too_often(times, USUAL) is repeats_too_often(times, USUAL) is expected


def test_a_programme_sets_its_own_figures() -> None:
    gates = {"flood_floor": 5, "flood_factor": 2, "flood_cap": 50, "flood_partners": 3, "flood_repeats": 4}
    assert allowance_of(gates) == Allowance(floor=5, factor=2, cap=50, partners=3, repeats=4)


@pytest.mark.parametrize("nonsense", [0, -1, True, "5", ["5"]])
def test_what_is_no_figure_leaves_the_default(nonsense: object) -> None:
    assert allowance_of({"flood_floor": nonsense}) == USUAL
