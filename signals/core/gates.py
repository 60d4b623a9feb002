"""Publish or hold: the reasons a person should look at a signal first, from facts that others gathered."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from signals.core.indicators import POOR_HASH, WEAK_VALUE


class HoldReason(StrEnum):
    """Why a signal waits for a person; the code stored with it."""

    KNOWN_BENIGN = "known-benign"  # a warning list names the value
    POOR_HASH = POOR_HASH  # the hash would match unrelated pictures
    WEAK_VALUE = WEAK_VALUE  # the value would match unrelated text
    PROBATION = "probation"  # the partner is new or under review
    CONTESTED = "contested"  # others dispute the same value
    FLOOD = "flood"  # an abnormal burst, or a value that matches abnormally often


SHOWN_TO_SUBMITTER = frozenset(
    {HoldReason.KNOWN_BENIGN, HoldReason.POOR_HASH, HoldReason.WEAK_VALUE, HoldReason.PROBATION}
)
"""They follow from the signal itself, from published lists, and from the submitter's own standing. The others depend on
what other partners said: shown, they would let anyone ask the hub what it knows."""

REVIEW = "review"
"""What the submitter reads in place of every reason not shown to him."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GateFacts:
    """What the gates look at."""

    weaknesses: tuple[str, ...] = ()  # of the Reading
    is_known_benign: bool = False
    is_probationary: bool = False  # the submitting partner
    is_contested: bool = False
    is_flood: bool = False
    settings: Mapping[str, object] = field(
        default_factory=dict
    )  # the programme's: {"<reason>": false} switches one off


def hold_reasons(facts: GateFacts) -> tuple[HoldReason, ...]:
    """Return the reasons to hold, in the order of `HoldReason`; none means publish."""
    raised = {
        HoldReason.KNOWN_BENIGN: facts.is_known_benign,
        HoldReason.POOR_HASH: POOR_HASH in facts.weaknesses,
        HoldReason.WEAK_VALUE: WEAK_VALUE in facts.weaknesses,
        HoldReason.PROBATION: facts.is_probationary,
        HoldReason.CONTESTED: facts.is_contested,
        HoldReason.FLOOD: facts.is_flood,
    }
    return tuple(
        reason for reason, is_raised in raised.items() if is_raised and facts.settings.get(reason) is not False
    )


def shown_to_submitter(reasons: Iterable[str]) -> list[str]:
    """Return what the submitter may read: his own reasons by name, all others as one "review"."""
    kept = list(reasons)
    shown = [reason for reason in kept if reason in SHOWN_TO_SUBMITTER]
    return shown if len(shown) == len(kept) else [*shown, REVIEW]
