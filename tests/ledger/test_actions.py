"""The registry of actions is whole, and its page in docs/ is its own."""

from __future__ import annotations

from pathlib import Path

import pytest

from hub.ledger import actions
from hub.ledger.actions import ACTIONS, GROUPS, group_of

PAGE = Path(__file__).parents[2] / "docs" / "ledger-actions.md"


def test_the_committed_page_is_the_registrys_own() -> None:
    assert PAGE.read_text() == actions.as_markdown(), "run `make openapi`"


def test_every_action_stands_in_one_group_and_no_group_is_for_nothing() -> None:
    words = [word for words in GROUPS.values() for word in words]
    assert len(words) == len(set(words))
    assert {name.partition(".")[0] for name in ACTIONS} == set(words)


def test_a_word_of_no_group_is_an_error() -> None:
    with pytest.raises(KeyError):
        group_of("weather.changed")


def test_every_meaning_is_a_sentence() -> None:
    for name, action in ACTIONS.items():
        assert action.meaning.endswith("."), name
        assert action.meaning[0].isupper(), name
        assert "|" not in action.meaning, name


def test_nothing_goes_to_a_partner_that_tells_of_others_or_of_places_in_a_feed() -> None:
    told = {name for name, action in ACTIONS.items() if action.to_partner}
    # Leaves with positions in their facts, with why a signal is held, with others' failures, or with what staff did.
    kept = {
        *("signal.published", "signal.withdrawn", "signal.recalled", "signal.quarantined", "feed.forgotten"),
        *("hold.approved", "hold.refused", "api-key.failed", "partner.probation-began", "partner.probation-ended"),
        *("value.revealed", "value.searched", "attempt.read", "legal-hold.placed"),
    }
    assert kept <= set(ACTIONS)
    assert not told & kept
    assert {"statement.accepted", "statement.refused", "feed.disclosed", "delivery.disclosed", "key.revoked"} <= told
