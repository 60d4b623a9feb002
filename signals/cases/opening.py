"""Ask a person: open a case, once for each subject and kind; and close what nobody need decide any more."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from django.db import connection, transaction

from hub.ledger.record import record_many
from signals.cases.rows import free, leaf, note
from signals.core.cases import DUE_WITHIN, CaseEventKind, CaseKind, CaseState, Outcome
from signals.models import Case, CaseEvent
from signals.voices import RULING_STANDS

BATCH = 500
_SYSTEM = "system:cases"


def open_case(
    kind: CaseKind,
    *,
    signal_id: UUID | None = None,
    partner_id: int | None = None,
    programme_id: int | None = None,
    cause: str = "",
    due_at: datetime | None = None,
    actor: str,
    at: datetime,
) -> Case:
    """The undecided case of this kind about the subject: the one there is, or a new one, however often it is called.

    `cause` is a closed word, at most 64 characters; without `due_at` it is due by its kind. A case that is there
    already becomes due earlier if this one would be.
    """
    due = due_at or at + DUE_WITHIN[kind]
    fresh = Case(
        kind=kind.value,
        signal_id=signal_id,
        partner_id=partner_id,
        programme_id=programme_id,
        cause=cause,
        opened_at=at,
        due_at=due,
    )
    with transaction.atomic():
        case = _insert([fresh])
        if case:
            _say_opened([fresh], actor=actor, at=at)
            return fresh
        undecided = Case.objects.select_for_update().exclude(state=CaseState.DECIDED.value)
        same = undecided.filter(kind=kind.value, signal_id=signal_id)
        if signal_id is None:
            same = same.filter(partner_id=partner_id, programme_id=programme_id, cause=cause)
        there = same.first()
        if there is None:  # decided between the two statements
            return open_case(
                kind,
                signal_id=signal_id,
                partner_id=partner_id,
                programme_id=programme_id,
                cause=cause,
                due_at=due_at,
                actor=actor,
                at=at,
            )
        if due < there.due_at:
            there.due_at = due
            note(there, CaseEventKind.OPENED, actor=actor, at=at, facts={"cause": cause})
        return there


def open_held(*, at: datetime) -> int:
    """Open a case for up to 500 held signals that have none; returns how many. The sweep calls it until there are none.

    A case of a hold is due from when the hub received the signal, not from when its case was opened.
    """
    with connection.cursor() as cursor:
        cursor.execute(_HELD_WITHOUT, [BATCH])
        held = cursor.fetchall()
    if not held:
        return 0
    cases = [
        Case(
            kind=CaseKind.HOLD.value,
            signal_id=signal_id,
            programme_id=programme_id,
            cause=next(iter(reasons), ""),
            opened_at=at,
            due_at=received_at + DUE_WITHIN[CaseKind.HOLD],
        )
        for signal_id, programme_id, reasons, received_at in held
    ]
    with transaction.atomic():
        there = _insert(cases)
        _say_opened([case for case in cases if case.pk in there], actor=_SYSTEM, at=at)
    return len(there)


def open_disputed(*, at: datetime) -> int:
    """Open a case for up to 500 served signals that are disputed and have none, nor an appeal; returns how many.

    So for those that partners refuted, but not for those that an analyst did: somebody has looked already.
    The sweep calls it until there are none.
    """
    with connection.cursor() as cursor:
        cursor.execute(_DISPUTED_WITHOUT, [BATCH])
        disputed = cursor.fetchall()
    if not disputed:
        return 0
    due = at + DUE_WITHIN[CaseKind.DISPUTE]
    cases = [
        Case(kind=CaseKind.DISPUTE.value, signal_id=signal_id, programme_id=programme_id, opened_at=at, due_at=due)
        for signal_id, programme_id in disputed
    ]
    with transaction.atomic():
        there = _insert(cases)
        _say_opened([case for case in cases if case.pk in there], actor=_SYSTEM, at=at)
    return len(there)


def close_overtaken(*, at: datetime) -> int:
    """Close up to 500 cases of signals that are held, or disputed, no longer: withdrawn, expired, decided elsewhere.

    Appeals stay: whoever was hit by a signal is answered, also when it is gone.
    """
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute(_OVERTAKEN, [BATCH])
            ids = [row[0] for row in cursor.fetchall()]
        gone = list(Case.objects.filter(pk__in=ids))  # locked by the statement that found them
        for case in gone:
            close_as_overtaken(case, actor=_SYSTEM, at=at)
    return len(gone)


def close_as_overtaken(case: Case, *, actor: str, at: datetime) -> None:
    """Close a case, locked by the caller, undecided: what it was about is gone."""
    case.state, case.outcome, case.decided_at = CaseState.DECIDED.value, Outcome.OVERTAKEN.value, at
    case.paused_at, case.pause_reason = None, ""
    free(case)
    note(case, CaseEventKind.OVERTAKEN, actor=actor, at=at)


def is_overtaken(case: Case) -> bool:
    """Whether what a case is, or was, about is gone, so that nobody need decide it; never true of an appeal."""
    with connection.cursor() as cursor:
        cursor.execute(_IS_OVERTAKEN, [case.pk])
        return bool(cursor.fetchone()[0])


def _insert(cases: list[Case]) -> set[UUID]:
    """Those that are new; whoever has an undecided case of the kind already gets no second one."""
    Case.objects.bulk_create(cases, ignore_conflicts=True)
    return set(Case.objects.filter(pk__in=[case.pk for case in cases]).values_list("pk", flat=True))


def _say_opened(cases: list[Case], *, actor: str, at: datetime) -> None:
    CaseEvent.objects.bulk_create(
        [
            CaseEvent(case=case, kind=CaseEventKind.OPENED.value, actor=actor, at=at, facts={"cause": case.cause})
            for case in cases
        ]
    )
    record_many([leaf(case, "case.opened", actor=actor, at=at) for case in cases])


_HELD_WITHOUT = """
SELECT signal.id, signal.programme_id, signal.held_reasons, signal.received_at
  FROM signals_signal AS signal
 WHERE signal.state = 'held'
   AND NOT EXISTS (SELECT FROM signals_case AS c
                    WHERE c.kind = 'hold' AND c.signal_id = signal.id AND c.state <> 'decided')
 ORDER BY signal.arrival LIMIT %s
"""

_DISPUTED_WITHOUT = f"""
SELECT signal.id, signal.programme_id
  FROM signals_weight AS weight JOIN signals_signal AS signal ON signal.id = weight.signal_id
 WHERE signal.state IN ('published', 'restricted')
   AND (weight.standing = 'disputed'
        OR weight.standing = 'refuted'
           AND coalesce((SELECT ruling.ruled FROM signals_ruling AS ruling
                          WHERE ruling.signal_id = signal.id AND {RULING_STANDS}
                          ORDER BY ruling.number DESC LIMIT 1), '') <> 'refuted')
   AND NOT EXISTS (SELECT FROM signals_case AS c
                    WHERE c.kind IN ('dispute', 'appeal') AND c.signal_id = signal.id AND c.state <> 'decided')
 ORDER BY weight.at LIMIT %s
"""  # noqa: S608  constants

_WITH_SIGNAL = """
  FROM signals_case AS c
  LEFT JOIN signals_signal AS signal ON signal.id = c.signal_id
  LEFT JOIN signals_weight AS weight ON weight.signal_id = c.signal_id
"""
_GONE = """
       (c.kind = 'hold' AND signal.state IS DISTINCT FROM 'held'
        OR c.kind = 'dispute' AND (signal.state NOT IN ('published', 'restricted')
                                   OR weight.standing IS NULL OR weight.standing IN ('unreviewed', 'corroborated')))
"""
_OVERTAKEN = f"""
SELECT c.id {_WITH_SIGNAL}
 WHERE c.state <> 'decided' AND {_GONE}
 LIMIT %s FOR UPDATE OF c SKIP LOCKED
"""
_IS_OVERTAKEN = f"SELECT {_GONE} {_WITH_SIGNAL} WHERE c.id = %s"
