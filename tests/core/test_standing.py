"""Where a signal stands: the rule of docs/standing.md, case by case."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signals.core.opinions import Opinion
from signals.core.standing import Ruling, Standing, Voice, for_members, threshold_of, weigh

ACME, BIRCH, CEDAR, DOVE, ELM = range(1, 6)
OWN, DERIVED, WRONG = Opinion.CONFIRM_OWN, Opinion.CONFIRM_DERIVED, Opinion.FALSE_POSITIVE
OLD, SEEN, MORE = Opinion.OUTDATED, Opinion.SEEN, Opinion.NEED_MORE
SAME = "says the same value itself"
U, C, D, R = Standing.UNREVIEWED, Standing.CORROBORATED, Standing.DISPUTED, Standing.REFUTED

Said = dict[int, Opinion | str]


def voices(said: Said) -> list[Voice]:
    return [
        Voice(partner, is_own_signal=True) if word == SAME else Voice(partner, Opinion(word))
        for partner, word in said.items()
    ]


# what is said about a signal of ACME's, and what the rule makes of it at two disputes: standing, restricted
CASES: list[tuple[Said, Ruling | None, Standing, bool]] = [
    ({}, None, U, False),
    ({BIRCH: OWN}, None, C, False),
    ({BIRCH: SAME}, None, C, False),
    ({BIRCH: DERIVED}, None, U, False),
    ({BIRCH: DERIVED, CEDAR: DERIVED, DOVE: DERIVED}, None, U, False),
    ({BIRCH: SEEN, CEDAR: MORE}, None, U, False),
    ({ACME: OWN}, None, U, False),  # its author says nothing by saying it again
    ({ACME: SAME}, None, U, False),
    ({ACME: WRONG, BIRCH: WRONG}, None, D, False),
    ({BIRCH: WRONG}, None, D, False),
    ({BIRCH: OLD}, None, D, False),
    ({BIRCH: WRONG, CEDAR: OWN}, None, D, False),  # one no outweighs a yes: nobody may rely on it meanwhile
    ({BIRCH: WRONG, CEDAR: WRONG}, None, R, True),
    ({BIRCH: WRONG, CEDAR: WRONG, DOVE: DERIVED, ELM: SEEN}, None, R, True),
    ({BIRCH: WRONG, CEDAR: WRONG, DOVE: OWN}, None, D, True),
    ({BIRCH: WRONG, CEDAR: WRONG, DOVE: SAME}, None, D, True),
    ({BIRCH: WRONG, CEDAR: OLD}, None, D, True),  # it was right once
    ({BIRCH: OLD, CEDAR: OLD}, None, D, True),
    ({}, Ruling.DISPUTED, D, True),
    ({BIRCH: OWN, CEDAR: OWN}, Ruling.DISPUTED, D, True),
    ({BIRCH: OWN, CEDAR: OWN}, Ruling.REFUTED, R, True),
    ({BIRCH: WRONG, CEDAR: WRONG}, Ruling.DISPUTED, D, True),
    ({BIRCH: OWN}, Ruling.LIFTED, C, False),
    ({BIRCH: WRONG, CEDAR: WRONG}, Ruling.LIFTED, R, True),  # said after it was lifted
]


@pytest.mark.parametrize(("said", "ruling", "standing", "restricted"), CASES)
def test_the_rule(said: Said, ruling: Ruling | None, standing: Standing, restricted: bool) -> None:
    weight = weigh(voices(said), issuer_id=ACME, ruling=ruling)
    assert (weight.standing, weight.is_restricted) == (standing, restricted)


def test_a_dispute_that_was_lifted_counts_no_more_and_a_confirmation_still_does() -> None:
    said = [Voice(BIRCH, WRONG, is_set_aside=True), Voice(CEDAR, OLD, is_set_aside=True)]
    assert weigh(said, issuer_id=ACME, ruling=Ruling.LIFTED).standing is U
    said.append(Voice(DOVE, OWN, is_set_aside=True))
    assert weigh(said, issuer_id=ACME, ruling=Ruling.LIFTED).standing is C
    said.append(Voice(ELM, WRONG))
    weight = weigh(said, issuer_id=ACME, ruling=Ruling.LIFTED)
    assert (weight.standing, weight.is_restricted, weight.disputes) == (D, False, 1)


def test_a_partner_counts_once_and_by_its_opinion() -> None:
    both = [Voice(BIRCH, is_own_signal=True), Voice(BIRCH, OWN)]
    assert weigh(both, issuer_id=ACME).confirmations == 1
    second_thoughts = [Voice(BIRCH, WRONG), Voice(BIRCH, is_own_signal=True)]
    weight = weigh(second_thoughts, issuer_id=ACME)
    assert (weight.confirmations, weight.disputes) == (0, 1)


@pytest.mark.parametrize(("gates", "threshold"), [({}, 2), ({"disputes": 3}, 3), ({"disputes": 1}, 1)])
def test_a_programme_sets_how_many_disputes_restrict(gates: dict[str, object], threshold: int) -> None:
    assert threshold_of(gates) == threshold
    for count in range(4):
        weight = weigh(voices(dict.fromkeys(range(2, 2 + count), WRONG)), issuer_id=ACME, threshold=threshold)
        assert weight.is_restricted == (count >= threshold)


@pytest.mark.parametrize("wrong", [0, -1, True, "two", [2]])
def test_a_setting_that_makes_no_sense_is_as_none(wrong: object) -> None:
    assert threshold_of({"disputes": wrong}) == 2


_VOICES = st.lists(
    st.builds(
        Voice,
        partner_id=st.integers(1, 6),
        says=st.none() | st.sampled_from(Opinion),
        is_own_signal=st.booleans(),
        is_for_all=st.booleans(),
        is_set_aside=st.booleans(),
    ),
    max_size=8,
    unique_by=lambda voice: voice.partner_id,
)


@given(_VOICES)
def test_what_members_are_shown_follows_from_what_they_may_count_alone(said: list[Voice]) -> None:
    visible = [voice for voice in said if voice.is_for_all]
    assert weigh(for_members(said), issuer_id=ACME) == weigh(visible, issuer_id=ACME)


@given(_VOICES, st.integers(1, 4))
def test_only_an_own_observation_ever_corroborates(said: list[Voice], threshold: int) -> None:
    weight = weigh(said, issuer_id=ACME, threshold=threshold)
    own = [
        voice
        for voice in said
        if voice.partner_id != ACME and (voice.says is OWN or (voice.says is None and voice.is_own_signal))
    ]
    assert weight.confirmations == len(own)
    assert (weight.standing is C) <= bool(own)
    assert weight.is_restricted == (weight.disputes >= threshold)
