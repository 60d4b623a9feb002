"""Which signals a filter finds, and what each is at this moment: what a dry run freezes and a run compares."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import connection

from partners import public
from signals.bulk.refusals import TooManyChosen
from signals.core.bulk import DECIDES, STATES, Deed, Filter
from signals.voices import RULING_STANDS


@dataclass(frozen=True, slots=True)
class Chosen:
    """One signal as it is now, with its undecided case of the deed's kind."""

    signal_id: UUID
    issuer_id: int
    key_id: int
    indicator_type: str
    violation: str
    state: str
    moves: int  # in the feed, without those that only weighing made
    held_reasons: tuple[str, ...]
    received_at: datetime
    expires_at: datetime
    is_cleared: bool
    standing: str
    said: int  # opinions of it, and what was taken back of them
    is_borne_out: bool  # an independent partner saw it itself
    case_version: int | None  # none: it has no such case
    case_state: str
    case_holder: str  # while the claim runs
    has_appeal: bool  # an undecided one
    ruling: int  # the number of the analyst's word that stands, 0 for none
    is_refuted: bool  # by that word

    def version(self) -> str:
        """What must be the same when it is decided: the signal, what was said and ruled of it, and its case.

        Not how it weighs: deciding about one signal of a value weighs the others anew, and many in a run may be of one.
        A case that was opened since, and nothing more, is the same as none: the sweep opens them.
        """
        held, case = ",".join(self.held_reasons), "" if self.case_version in {None, 1} else str(self.case_version)
        received = self.received_at.isoformat()  # what is held takes no place in the feed when it is said anew
        return "/".join((self.state, str(self.moves), received, held, str(self.said), str(self.ruling), case))


def choose(deed: Deed, wanted: Filter, *, most: int) -> list[Chosen]:
    """The signals that a filter finds in a state for this deed, by id, which is random. Refuses TooManyChosen."""
    programme = public.programme(wanted.programme)
    partners = public.partners_by_slug([wanted.partner]) if wanted.partner else {}
    keys = public.signing_keys([wanted.key]) if wanted.key else {}
    if programme is None or (wanted.partner and not partners) or (wanted.key and not keys):
        return []
    conditions = ["signal.programme_id = %(programme)s", "signal.state = ANY (%(states)s)"]
    conditions += [condition for name, condition in _CONDITIONS.items() if getattr(wanted, name)]
    if deed is Deed.LIFT:
        conditions.append("(weight.standing IN ('disputed', 'refuted') OR weight.is_restricted)")
    parameters = {
        **wanted.document(),
        "programme": programme.id,
        "partner": partners[wanted.partner].id if wanted.partner else None,
        "key": keys[wanted.key].id if wanted.key else None,
        "states": sorted(state.value for state in STATES[deed]),
    }
    found = _read(deed, " AND ".join(conditions), parameters, limit=most + 1)
    if len(found) > most:
        raise TooManyChosen(f"The filter finds more than {most:,} signals, the most of one run. Narrow it.")
    return found


def look_again(deed: Deed, signal_id: UUID) -> Chosen | None:
    """One signal as it is now, whatever its state; none if there is no such signal."""
    return next(iter(_read(deed, "signal.id = %(signal)s", {"signal": signal_id}, limit=1)), None)


def _read(deed: Deed, conditions: str, parameters: dict[str, Any], *, limit: int) -> list[Chosen]:
    kind = DECIDES[deed][0].value if deed in DECIDES else ""
    with connection.cursor() as cursor:
        cursor.execute(_CHOOSE.replace("/*conditions*/", conditions), {**parameters, "kind": kind, "limit": limit})
        return [_chosen(row) for row in cursor.fetchall()]


def _chosen(row: Sequence[Any]) -> Chosen:
    signal_id, issuer_id, key_id, kind, violation, state, moves, held, *rest = row
    return Chosen(signal_id, issuer_id, key_id, kind, violation, state, moves, tuple(held), *rest)


_UNDECIDED = "SELECT FROM signals_case AS other WHERE other.signal_id = signal.id AND other.state <> 'decided'"

_CONDITIONS = {
    "partner": "signal.issuer_id = %(partner)s",
    "type": "signal.indicator_type = %(type)s",
    "violation": "signal.violation = %(violation)s",
    "held": "%(held)s = ANY (signal.held_reasons)",
    "case": f"EXISTS ({_UNDECIDED} AND other.kind = %(case)s)",
    "cause": f"EXISTS ({_UNDECIDED} AND other.cause = %(cause)s)",
    "key": "signal.key_id = %(key)s",
    "since": "signal.received_at >= %(since)s::timestamptz",
    "until": "signal.received_at < %(until)s::timestamptz",
}

_CHOOSE = f"""
SELECT signal.id, signal.issuer_id, signal.key_id, signal.indicator_type, signal.violation, signal.state,
       signal.revision - (SELECT count(*) FROM signals_change AS change
                           WHERE change.signal_id = signal.id AND change.kind = 'weighed'),
       signal.held_reasons, signal.received_at, signal.expires_at, signal.is_cleared,
       coalesce(weight.standing, 'unreviewed'),
       (SELECT count(*) + count(back.statement_id) FROM signals_opinion AS opinion
          LEFT JOIN signals_retraction AS back ON back.retracted_id = opinion.statement_id
         WHERE opinion.signal_id = signal.id),
       coalesce(weight.counts -> 'opinions' ?| ARRAY['confirm-own', 'own-signal'], false),
       c.version, coalesce(c.state, ''),
       CASE WHEN c.lease_until > clock_timestamp() THEN c.holder ELSE '' END,
       EXISTS ({_UNDECIDED} AND other.kind = 'appeal'),
       coalesce(last.number, 0), coalesce(last.ruled, '') = 'refuted'
  FROM signals_signal AS signal
  LEFT JOIN signals_weight AS weight ON weight.signal_id = signal.id
  LEFT JOIN signals_case AS c ON c.signal_id = signal.id AND c.kind = %(kind)s AND c.state <> 'decided'
  LEFT JOIN LATERAL (
       SELECT ruling.number, ruling.ruled FROM signals_ruling AS ruling
        WHERE ruling.signal_id = signal.id AND {RULING_STANDS} ORDER BY ruling.number DESC LIMIT 1) AS last ON true
 WHERE /*conditions*/
 ORDER BY signal.id LIMIT %(limit)s
"""  # noqa: S608  constants
