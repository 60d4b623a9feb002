"""Who holds what of signals and did what about them, as it counts at this moment: read for weighing and for showing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from django.db import connection
from django.db.models import Exists, OuterRef

from signals.core.opinions import SIGNAL_ALONE, Opinion
from signals.core.standing import Ruling, Voice, Weight, for_members, threshold_of, weigh
from signals.distrust import HAS_FALLEN
from signals.models import Ruling as RulingRow
from signals.models import Signal

Counts = dict[str, dict[str, int]]


@dataclass(frozen=True, slots=True)
class Report:
    """One partner's standing outcome."""

    partner_id: int
    did: tuple[str, ...]
    basis: str


@dataclass(slots=True)
class Heard:
    """Everything that counts for one signal."""

    voices: list[Voice] = field(default_factory=list)
    reports: list[Report] = field(default_factory=list)
    ruling: Ruling | None = None


@dataclass(frozen=True, slots=True)
class Weighed:
    """A signal's weight by all voices and by those that members may count, with the counts of both."""

    all: Weight
    shown: Weight
    counts: Counts
    shown_counts: Counts


def heard_of(signals: Collection[Signal]) -> dict[UUID, Heard]:
    """What was said and done about each of these signals; four queries, whatever their number.

    What a fallen key signed, what was retracted, and what a later word of the same partner replaced does not count.
    """
    ids = [signal.id for signal in signals]
    is_for_all = {signal.id: signal.audience == "programme" for signal in signals}
    found = {identity: Heard() for identity in ids}
    lifted = {}
    for identity, ruled, at in _rows(_RULINGS, ids):
        found[identity].ruling = Ruling(ruled)
        if found[identity].ruling is Ruling.LIFTED:
            lifted[identity] = at
    for identity, partner_id, held, received_at in _rows(_OPINIONS, ids):
        is_aside = identity in lifted and received_at <= lifted[identity]
        found[identity].voices.append(Voice(partner_id, Opinion(held), False, is_for_all[identity], is_aside))
    for identity, partner_id, is_open in _rows(_SAME_VALUE, ids):
        voice = Voice(partner_id, is_own_signal=True, is_for_all=is_open and is_for_all[identity])
        found[identity].voices.append(voice)
    for identity, partner_id, did, basis in _rows(_OUTCOMES, ids):
        found[identity].reports.append(Report(partner_id, tuple(did), basis))
    return found


def weighed(signal: Signal, heard: Heard, *, gates: Mapping[str, object]) -> Weighed:
    """Apply the rule to a signal, under its programme's gates."""
    threshold = threshold_of(gates)
    everyone = weigh(heard.voices, issuer_id=signal.issuer_id, threshold=threshold, ruling=heard.ruling)
    voices = for_members(heard.voices)
    is_open = signal.audience == "programme"
    ruling = heard.ruling if is_open else None
    shown = weigh(voices, issuer_id=signal.issuer_id, threshold=threshold, ruling=ruling)
    return Weighed(
        everyone, shown, _counts(heard.voices, heard.reports), _counts(voices, heard.reports if is_open else [])
    )


def standing_ruling(signal_id: UUID) -> RulingRow | None:
    """What analysts last ruled on a signal and nobody has taken back."""
    rulings = RulingRow.objects.filter(signal_id=signal_id, undoes__isnull=True)
    undone = RulingRow.objects.filter(undoes=OuterRef("number"))
    return rulings.exclude(Exists(undone)).order_by("-number").first()


def standing_statements(table: str, partner_id: int, signal_ids: Collection[UUID]) -> set[UUID]:
    """Of a partner's opinions or outcomes (their table) about these signals, the statements that stand."""
    query = _LATEST.replace("/*columns*/", "statement_id").replace("/*table*/", table)
    return {said for _, whose, said in _rows(query, list(signal_ids)) if whose == partner_id}


def _counts(voices: Collection[Voice], reports: Collection[Report]) -> Counts:
    opinions = Counter(voice.says.value for voice in voices if voice.says is not None)
    opined = {voice.partner_id for voice in voices if voice.says is not None}
    same = sum(voice.is_own_signal and voice.partner_id not in opined for voice in voices)
    outcomes = Counter(did for report in reports for did in report.did)
    alone = sum(report.basis == SIGNAL_ALONE for report in reports)
    return {
        "opinions": dict(sorted(opinions.items())) | ({"own-signal": same} if same else {}),
        "outcomes": dict(sorted(outcomes.items())) | ({SIGNAL_ALONE: alone} if alone else {}),
    }


def _rows(query: str, ids: list[UUID]) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(query, [ids])
        return list(cursor.fetchall())


_STANDS = """
   AND NOT EXISTS (SELECT 1 FROM signals_distrust AS fallen
                    WHERE fallen.key_id = said.key_id AND (fallen.since IS NULL OR said.received_at >= fallen.since))
"""

# The latest of each partner that no fallen key signed; if that one was taken back, by a key that stands, it has none.
_LATEST = f"""
SELECT signal_id, partner_id, /*columns*/
  FROM (SELECT DISTINCT ON (said.signal_id, said.partner_id) said.* FROM /*table*/ AS said
         WHERE said.signal_id = ANY (%s) {_STANDS}
         ORDER BY said.signal_id, said.partner_id, said.received_at DESC, said.number DESC) AS latest
 WHERE NOT EXISTS (SELECT 1 FROM signals_retraction AS said WHERE said.retracted_id = latest.statement_id {_STANDS})
"""  # noqa: S608  constants
_OPINIONS = _LATEST.replace("/*columns*/", "held, received_at").replace("/*table*/", "signals_opinion")
_OUTCOMES = _LATEST.replace("/*columns*/", "did, basis").replace("/*table*/", "signals_outcome")

RULING_STANDS = """
       ruling.ruled <> 'undone'
   AND NOT EXISTS (SELECT 1 FROM signals_ruling AS back WHERE back.undoes = ruling.number)
"""
"""Of a ruling named `ruling`: that nobody took it back. The latest such counts."""

_RULINGS = f"""
SELECT DISTINCT ON (ruling.signal_id) ruling.signal_id, ruling.ruled, ruling.at FROM signals_ruling AS ruling
 WHERE ruling.signal_id = ANY (%s) AND {RULING_STANDS} ORDER BY ruling.signal_id, ruling.number DESC
"""  # noqa: S608  constants

# Own observations of others, out and undisputed; found by their value, whatever the planner believes of a table that
# has grown since it was looked at (OFFSET 0). Named `signal` for the question whether its key has fallen.
_SAME_VALUE = f"""
SELECT subject.id, signal.issuer_id, bool_or(signal.audience = 'programme')
  FROM signals_signal AS subject,
       LATERAL (SELECT * FROM signals_signal AS same
                 WHERE same.value_index = subject.value_index OFFSET 0) AS signal
 WHERE subject.id = ANY (%s) AND signal.programme_id = subject.programme_id AND signal.issuer_id <> subject.issuer_id
   AND signal.state = 'published' AND signal.origin = 'own' AND NOT {HAS_FALLEN}
 GROUP BY 1, 2
"""  # noqa: S608  constants
