"""A partner's figures: shares with intervals that say how little a handful of cases proves."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signals.core.quality import Tally, added_up, quality, share


@pytest.mark.parametrize(
    ("part", "whole", "value", "low", "high"),
    [  # intervals as published for Wilson's score, and worked out by hand
        (0, 10, 0.0, 0.0, 0.2775),
        (10, 10, 1.0, 0.7225, 1.0),
        (1, 1, 1.0, 0.2065, 1.0),
        (5, 10, 0.5, 0.2366, 0.7634),
        (81, 263, 0.308, 0.2553, 0.3662),  # Newcombe 1998, table I
        (15, 148, 0.1014, 0.0624, 0.1605),
        (1, 29, 0.0345, 0.0061, 0.1718),
    ],
)
def test_a_share_has_wilsons_interval(part: int, whole: int, value: float, low: float, high: float) -> None:
    found = share(part, whole)
    assert (found.value, found.low, found.high) == (value, low, high)


def test_of_nothing_nothing_is_said() -> None:
    found = quality(Tally(signals=7))
    assert (found.precision.of, found.precision.value, found.precision.low) == (0, None, None)
    assert (found.dispute_rate.value, found.echo_share.of) == (0.0, 7)


def test_samples_add_up_and_only_one_has_a_median() -> None:
    one, other = Tally(3, right=1, wrong=2, seconds_to_withdraw=9.0), Tally(4, wrong=1, echoes=2)
    assert added_up([one, other]) == Tally(7, right=1, wrong=3, echoes=2)
    assert added_up([one]) == one
    assert added_up([]) == Tally(0)


def test_precision_looks_at_judged_signals_only() -> None:
    found = quality(Tally(signals=100, right=18, wrong=2, echoes=25))
    assert (found.precision.of, found.precision.value) == (20, 0.9)
    assert (found.dispute_rate.value, found.echo_share.value) == (0.02, 0.25)


@given(st.integers(1, 5000).flatmap(lambda whole: st.tuples(st.integers(0, whole), st.just(whole))))
def test_the_share_lies_in_its_interval_and_more_cases_narrow_it(case: tuple[int, int]) -> None:
    few, many = share(*case), share(case[0] * 10, case[1] * 10)
    assert few.low is not None
    assert few.high is not None
    assert few.value is not None
    assert many.low is not None
    assert many.high is not None
    assert 0 <= few.low <= few.value <= few.high <= 1
    assert many.high - many.low <= few.high - few.low
