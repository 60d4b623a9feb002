"""Publish or hold, and what the submitter may know of the reason."""

from __future__ import annotations

import pytest

from signals.core.gates import SHOWN_TO_SUBMITTER, GateFacts, HoldReason, hold_reasons, shown_to_submitter

RAISED = {
    HoldReason.KNOWN_BENIGN: GateFacts(is_known_benign=True),
    HoldReason.POOR_HASH: GateFacts(weaknesses=("poor-hash",)),
    HoldReason.WEAK_VALUE: GateFacts(weaknesses=("weak-value",)),
    HoldReason.PROBATION: GateFacts(is_probationary=True),
    HoldReason.CONTESTED: GateFacts(is_contested=True),
    HoldReason.FLOOD: GateFacts(is_flood=True),
}


def test_nothing_amiss_is_published() -> None:
    assert hold_reasons(GateFacts()) == ()


@pytest.mark.parametrize("reason", HoldReason)
def test_each_fact_holds_with_its_reason(reason: HoldReason) -> None:
    assert hold_reasons(RAISED[reason]) == (reason,)


def test_all_reasons_are_given_in_order() -> None:
    everything = GateFacts(
        weaknesses=("poor-hash", "weak-value"),
        is_known_benign=True,
        is_probationary=True,
        is_contested=True,
        is_flood=True,
    )
    assert hold_reasons(everything) == tuple(HoldReason)


def test_a_programme_may_switch_a_gate_off() -> None:
    assert hold_reasons(GateFacts(is_known_benign=True, settings={"known-benign": False})) == ()
    assert hold_reasons(GateFacts(is_known_benign=True, settings={"known-benign": True})) == (HoldReason.KNOWN_BENIGN,)
    assert hold_reasons(GateFacts(is_known_benign=True, settings={"flood": False})) == (HoldReason.KNOWN_BENIGN,)


def test_what_depends_on_others_reads_only_review() -> None:
    assert {HoldReason.CONTESTED, HoldReason.FLOOD}.isdisjoint(SHOWN_TO_SUBMITTER)
    assert shown_to_submitter(["contested"]) == shown_to_submitter(["flood"]) == ["review"]
    assert shown_to_submitter(["contested", "flood", "poor-hash"]) == ["poor-hash", "review"]
    assert shown_to_submitter(["a-reason-of-next-year"]) == ["review"]
    assert shown_to_submitter(["poor-hash", "probation"]) == ["poor-hash", "probation"]
    assert shown_to_submitter([]) == []
