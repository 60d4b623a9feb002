"""Counts for a transparency report: from leaves alone, and no small number can be worked out of what is published."""

from __future__ import annotations

import itertools
import json
from datetime import UTC, datetime, timedelta
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from pytest_django import Settings

from hub.ledger.leaf import Leaf, Mention, canonical, timestamp
from hub.ledger.sequence import drain
from signals.compliance.transparency import HIDDEN, HUB, THRESHOLD, count, document, hidden_in
from signals.lifecycle.roll_up import roll_up
from tests.builders import a_programme
from tests.chances import chances
from tests.companies import a_company, now

START = datetime(2026, 1, 1, tzinfo=UTC)
END = datetime(2026, 7, 1, tzinfo=UTC)


def a_leaf(action: str, *subjects: str, at: datetime = START, **facts: object) -> Leaf:
    return Leaf(
        action=action,
        actor="system:test",
        at=timestamp(at),
        commitments={},
        facts=facts,
        id="0",
        nonce="0" * 32,
        sequenced_at=timestamp(at),
        subjects=[Mention(subject, 1) for subject in subjects],
        v=1,
    )


def test_leaves_are_counted_by_measure_and_programme_within_their_time() -> None:
    leaves = [
        a_leaf("signal.published", "programme:csea", count=40, after=0),
        a_leaf("signal.published", "programme:ncii", count=7, after=0),
        a_leaf("statement.refused", "partner:acme"),
        a_leaf("signal.published", "programme:csea", at=END, count=1000),
        a_leaf("signal.published", "programme:csea", at=START - timedelta(seconds=1), count=1000),
        a_leaf("programme.changed", "programme:new"),
    ]
    counted = count(leaves, since=START, until=END)
    assert counted.rows["signals published"] == {"csea": 40, "ncii": 7}
    assert counted.rows["statements refused"] == {HUB: 1}
    assert counted.leaves == 4
    told = document(counted, hub="hub.example", since=START, until=END)
    measures = told["measures"]
    assert isinstance(measures, dict)
    assert measures["signals published"] == {"by": {"csea": 40, "ncii": 7, "new": 0}, "total": 47}
    assert measures["statements refused"]["by"][HUB] == HIDDEN
    again = count(leaves[::-1], since=START, until=END)
    assert canonical(told) == canonical(document(again, hub="hub.example", since=START, until=END))


@pytest.mark.parametrize(
    ("cells", "hidden", "is_total_hidden"),
    [
        ({"a": 40, "b": 7}, set(), False),
        ({"a": 0, "b": 0}, set(), False),
        ({"a": 40, "b": 3}, {"a", "b"}, False),
        ({"a": 40, "b": 3, "c": 9}, {"b", "c"}, False),
        ({"a": 40, "b": 1, "c": 1}, {"a", "b", "c"}, False),  # two ones would be told by their sum
        ({"b": 3}, {"b"}, True),
        ({"b": 3, "c": 0}, {"b", "c"}, True),
    ],
)
def test_small_cells_are_hidden_and_others_with_them(
    cells: dict[str, int], hidden: set[str], is_total_hidden: bool
) -> None:
    assert hidden_in(cells) == (frozenset(hidden), is_total_hidden)


@pytest.mark.chances
def test_no_small_number_follows_from_what_is_published() -> None:
    """Whoever knows the rule tries every number for the hidden cells: each small one must leave a choice."""
    for cells in itertools.product(range(8), repeat=chances(3, 4)):
        column = {str(number): value for number, value in enumerate(cells)}
        hidden, is_total_hidden = hidden_in(column)
        if is_total_hidden or not hidden:
            assert not any(0 < column[name] < THRESHOLD for name in column.keys() - hidden)
            continue
        total = sum(column[name] for name in hidden)
        names = sorted(hidden)
        consistent = [
            dict(zip(names, guess, strict=True))
            for guess in itertools.product(range(total + 1), repeat=len(names))
            if sum(guess) == total
        ]
        for name in names:
            if 0 < column[name] < THRESHOLD:
                assert len({guess[name] for guess in consistent}) > 1, column


def test_the_command_prints_what_the_ledger_says_signed_and_checks_it_again(
    committed_db: None, settings: Settings, tmp_path: Path
) -> None:
    settings.MIRROR_DIR = tmp_path / "mirror"
    programme = a_programme("csea")
    acme, birch = a_company("acme-social", programme), a_company("birch-chat", programme)
    acme.say(*(acme.sign(acme.signal()) for _ in range(7)))
    birch.feed()
    roll_up(until=now() + timedelta(days=1), at=now())
    drain()
    month = now().strftime("%Y-%m")
    printed = StringIO()
    call_command("transparency_report", month, month, stdout=printed)
    file = tmp_path / "report.json"
    file.write_text(printed.getvalue())
    told = json.loads(printed.getvalue())
    assert told["document"]["measures"]["signals published"] == {"by": {"csea": 7}, "total": 7}
    assert told["document"]["measures"]["items pulled"] == {"by": {"csea": 7}, "total": 7}
    said = StringIO()
    call_command("transparency_report", month, month, check=str(file), stdout=said)
    assert "the same" in said.getvalue()
    file.write_text(printed.getvalue().replace('"total": 7', '"total": 8', 1))
    with pytest.raises(CommandError, match="signature"):
        call_command("transparency_report", month, month, check=str(file), stdout=StringIO())
    with pytest.raises(CommandError, match="month"):
        call_command("transparency_report", "2026", month, stdout=StringIO())
