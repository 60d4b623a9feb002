"""The rule that rolls opinions up: where a signal stands, and whether less may be done with it. docs/standing.md."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from signals.core.opinions import DISPUTES, Opinion

DISPUTES_TO_RESTRICT: Final = 2
"""How many partners must dispute a signal to restrict it, where the programme's gate `disputes` says nothing else."""


class Standing(StrEnum):
    """What members together hold of a signal."""

    UNREVIEWED = "unreviewed"  # nobody but its author has said anything that counts
    CORROBORATED = "corroborated"  # an independent partner saw the same itself, and nobody disputes it
    DISPUTED = "disputed"
    REFUTED = "refuted"  # found wrong: by an analyst, or by enough partners with nobody to bear it out


class Ruling(StrEnum):
    """What an analyst decided; the latest that was not undone counts."""

    DISPUTED = "disputed"
    REFUTED = "refuted"
    LIFTED = "lifted"  # the signal stands, and disputes said before count no more
    UNDONE = "undone"  # takes the ruling before it back; itself it weighs nothing


@dataclass(frozen=True, slots=True)
class Voice:
    """One partner's standing word on a signal: its opinion, or a signal of its own with the same value.

    `is_own_signal`: it said the same value itself, as its own observation, in a signal that is out and not restricted.
    `is_for_all`: everyone in the programme may see what it is about. `is_set_aside`: an analyst lifted the dispute.
    """

    partner_id: int
    says: Opinion | None = None
    is_own_signal: bool = False
    is_for_all: bool = True
    is_set_aside: bool = False


@dataclass(frozen=True, slots=True)
class Weight:
    """What the rule makes of the voices. `confirmations` and `disputes` count partners."""

    standing: Standing
    is_restricted: bool
    confirmations: int
    disputes: int


def weigh(
    voices: Iterable[Voice], *, issuer_id: int, threshold: int = DISPUTES_TO_RESTRICT, ruling: Ruling | None = None
) -> Weight:
    """Apply the rule to the voices on a signal of `issuer_id`.

    A partner counts once, by its opinion if it has one; the issuer never counts on its own signal. Only an own
    observation confirms: an opinion that says so, or a signal of one's own.

    1. An analyst's word comes first: refuted is refuted; disputed is disputed; both restrict.
    2. Else `threshold` disputes restrict. They refute if all of them say false-positive and nobody confirms.
    3. Else any dispute makes it disputed, without restricting it.
    4. Else one confirmation makes it corroborated; none leaves it unreviewed.
    """
    by_partner = {voice.partner_id: voice for voice in sorted(voices, key=lambda voice: voice.says is not None)}
    by_partner.pop(issuer_id, None)
    heard = [voice for voice in by_partner.values() if not (voice.is_set_aside and voice.says in DISPUTES)]
    said = Counter(voice.says for voice in heard)
    disputes = sum(said[opinion] for opinion in DISPUTES)
    confirmations = said[Opinion.CONFIRM_OWN] + sum(voice.is_own_signal and voice.says is None for voice in heard)
    is_restricted = ruling in {Ruling.DISPUTED, Ruling.REFUTED} or disputes >= max(threshold, 1)
    standing = Standing.UNREVIEWED
    if ruling is Ruling.REFUTED:
        standing = Standing.REFUTED
    elif ruling is Ruling.DISPUTED:
        standing = Standing.DISPUTED
    elif disputes >= max(threshold, 1) and disputes == said[Opinion.FALSE_POSITIVE] and not confirmations:
        standing = Standing.REFUTED
    elif disputes:
        standing = Standing.DISPUTED
    elif confirmations:
        standing = Standing.CORROBORATED
    return Weight(standing, is_restricted, confirmations, disputes)


def for_members(voices: Iterable[Voice]) -> list[Voice]:
    """The voices that may count in what members are shown: the others would let them probe for hidden signals."""
    return [voice for voice in voices if voice.is_for_all]


def threshold_of(gates: Mapping[str, object]) -> int:
    """A programme's own number of disputes, from its gates, or the default."""
    wanted = gates.get("disputes")
    return wanted if type(wanted) is int and wanted >= 1 else DISPUTES_TO_RESTRICT
