"""Which figures of a partner are bad for certain, and what is proposed then: the rule, case by case."""

from __future__ import annotations

import pytest

from signals.core.alarms import Alarm, Figure, Measure, alarms, cause_of, read_cause
from signals.core.cases import REASONS, CaseKind, Outcome
from signals.core.quality import Tally, quality

P, D, E, L = Figure.PRECISION, Figure.DISPUTES, Figure.ECHOES, Figure.LATE
WARN, WATCH, STOP = Measure.WARNED, Measure.PROBATION, Measure.SUSPENSION

CASES: list[tuple[Tally, list[Alarm]]] = [
    (Tally(signals=0), []),
    (Tally(signals=100), []),
    (Tally(signals=9, wrong=9), []),  # too few, however bad
    (Tally(signals=1000, right=95, wrong=5), []),
    (Tally(signals=1000, right=12, wrong=8), []),  # six in ten, but it may be eight
    (Tally(signals=1000, right=40, wrong=40), [Alarm(P, WATCH)]),
    (Tally(signals=100, right=30, wrong=30), [Alarm(P, WATCH), Alarm(D, WATCH)]),
    (Tally(signals=100, right=2, wrong=60), [Alarm(P, STOP), Alarm(D, STOP)]),
    (Tally(signals=20, echoes=20), []),
    (Tally(signals=200, echoes=198), [Alarm(E, WARN)]),
    (Tally(signals=1000, right=100, wrong=12, known_wrong=12, late=12), [Alarm(L, WARN)]),
    (Tally(signals=1000, right=100, wrong=12, known_wrong=12, late=6), []),
]


@pytest.mark.parametrize(("tally", "expected"), CASES)
def test_the_near_end_of_the_interval_decides(tally: Tally, expected: list[Alarm]) -> None:
    assert alarms(quality(tally)) == expected


def test_what_is_proposed_are_the_reasons_an_analyst_may_act_for() -> None:
    assert set(REASONS[CaseKind.QUALITY][Outcome.ACTED]) == {measure.value for measure in Measure}


@pytest.mark.parametrize(
    ("cause", "expected"),
    [
        (cause_of(P, "url"), (P, "url")),
        (cause_of(Figure.FLOOD), (Figure.FLOOD, "")),
        ("burst", (None, "")),
        ("", (None, "")),
    ],
)
def test_a_cause_says_which_figure_and_of_which_type(cause: str, expected: tuple[Figure | None, str]) -> None:
    assert read_cause(cause) == expected
