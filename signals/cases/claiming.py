"""Who is at a case: the next one, a claim, its heartbeat; given back, passed over, handed over."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from uuid import UUID

from django.contrib.auth.models import User
from django.db import connection, transaction

from hub.staff.roles import Capability, require
from signals.cases.refusals import CasePaused, CaseTaken, NotIndependent
from signals.cases.rows import free, is_leased, lease_to, lock_claimed, lock_undecided, note
from signals.core.bulk import ItemState
from signals.core.cases import HANDED_OVER, LEASE, CaseEventKind, CaseKind, CaseState
from signals.models import Case

# Having done one of these to another case about a signal, or to this appeal before it was opened again, makes somebody
# unfit to judge the appeal; so does a ruling on the signal's page, and agreeing to a run that decided about the signal.
INVOLVING = (
    CaseEventKind.DECIDED.value,
    CaseEventKind.UNDONE.value,
    CaseEventKind.COMMENTED.value,
    CaseEventKind.PAUSED.value,
)


def claim_next(*, actor: str, at: datetime, kinds: Collection[CaseKind] = tuple(CaseKind)) -> Case | None:
    """Claim the case that is due first among those that nobody is at and that this person has not passed over.

    Two who ask at once get two cases. What they do not work on (`signals.cases.own`) is left out. An appeal goes to
    somebody who had nothing to do with the signal. None: nothing waits for this person.
    """
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute(
                _NEXT,
                {
                    "actor": actor,
                    "person": int(actor.removeprefix("staff:")),
                    "kinds": [kind.value for kind in kinds],
                    **_HANDS,
                },
            )
            row = cursor.fetchone()
        if row is None:
            return None
        case = Case.objects.get(pk=row[0])  # locked by the statement that found it
        _lease(case, actor=actor, at=at)
    return case


def claim(case_id: UUID, *, actor: str, at: datetime) -> Case:
    """Claim this case for a while; the row returned holds the token. Whoever holds it already gets a new token.

    Refuses CaseDecided, CasePaused, NotIndependent, and CaseTaken while another's claim runs.
    """
    with transaction.atomic():
        case = lock_undecided(case_id)
        if case.holder != actor and is_leased(case):
            raise CaseTaken(f"{case.holder} is at this case until {case.lease_until:%H:%M} UTC. Take another one.")
        if case.state == CaseState.PAUSED:
            raise CasePaused("This case is paused; resume it first.")
        check_independent(case, actor)
        _lease(case, actor=actor, at=at)
    return case


def heartbeat(case_id: UUID, *, token: UUID, actor: str) -> datetime:
    """Say that one is still at it; returns until when it is kept now. Refuses what `lock_claimed` refuses."""
    with transaction.atomic():
        case = lock_claimed(case_id, actor=actor, token=token)
        with connection.cursor() as cursor:
            cursor.execute(
                "UPDATE signals_case"
                " SET lease_until = greatest(lease_until, clock_timestamp() + make_interval(secs => %s))"
                " WHERE id = %s RETURNING lease_until",
                [LEASE.total_seconds(), case.pk],
            )
            until: datetime = cursor.fetchone()[0]
    return until


def release(case_id: UUID, *, token: UUID, actor: str, at: datetime) -> Case:
    """Give a claimed case back undecided. Refuses what `lock_claimed` refuses."""
    with transaction.atomic():
        case = lock_claimed(case_id, actor=actor, token=token)
        free(case)
        note(case, CaseEventKind.RELEASED, actor=actor, at=at)
    return case


def skip(case_id: UUID, *, token: UUID, actor: str, at: datetime) -> Case:
    """Pass a claimed case over: it goes back, and `claim_next` does not offer it to this person again."""
    with transaction.atomic():
        case = lock_claimed(case_id, actor=actor, token=token)
        free(case)
        note(case, CaseEventKind.SKIPPED, actor=actor, at=at)
    return case


def hand_over(case_id: UUID, *, token: UUID, to: User, text: str, actor: str, at: datetime) -> Case:
    """Give a claimed case to somebody else, who has the day to claim it.

    Refuses what `lock_claimed` refuses and NotIndependent; raises PermissionDenied if they may not triage.
    """
    with transaction.atomic():
        case = lock_claimed(case_id, actor=actor, token=token)
        receiver = f"staff:{require(to, Capability.SIGNALS_TRIAGE).pk}"
        check_independent(case, receiver)
        lease_to(case, receiver, duration=HANDED_OVER)
        note(case, CaseEventKind.HANDED_OVER, actor=actor, at=at, facts={"to": receiver}, text=text)
    return case


def check_independent(case: Case, actor: str) -> None:
    """Refuses NotIndependent for an appeal about a signal that this person has had a hand in before."""
    if case.kind != CaseKind.APPEAL or case.signal_id is None:
        return
    with connection.cursor() as cursor:
        cursor.execute(_IS_INVOLVED, {"actor": actor, "case": case.pk, **_HANDS})
        is_involved = cursor.fetchone()[0]
    if is_involved:
        raise NotIndependent("You had a hand in this signal before; an appeal goes to somebody who had not.")


def _lease(case: Case, *, actor: str, at: datetime) -> None:
    lease_to(case, actor, duration=LEASE)
    note(case, CaseEventKind.CLAIMED, actor=actor, at=at)


_HANDS = {
    "involving": list(INVOLVING),
    "worked": [ItemState.DONE.value, ItemState.UNDONE.value, ItemState.KEPT.value],  # those that the run decided about
}

# What %(actor)s had to do with the signal of the appeal `c`.
_HAD_A_HAND = """
            SELECT FROM signals_case AS other JOIN signals_caseevent AS event ON event.case_id = other.id
             WHERE other.signal_id = c.signal_id AND event.actor = %(actor)s AND event.kind = ANY (%(involving)s)
               AND (other.id <> c.id
                    OR EXISTS (SELECT FROM signals_caseevent AS since
                                WHERE since.case_id = c.id AND since.kind = 'reopened' AND since.id > event.id))
            UNION ALL
            SELECT FROM signals_ruling AS ruling
             WHERE ruling.signal_id = c.signal_id AND ruling.actor = %(actor)s
            UNION ALL
            SELECT FROM signals_bulkrun AS run JOIN signals_bulkitem AS item ON item.run_id = run.id
             WHERE run.approved_by = %(actor)s
               AND item.signal_id = c.signal_id AND item.state = ANY (%(worked)s)
"""

_IS_INVOLVED = f"SELECT EXISTS ({_HAD_A_HAND}) FROM signals_case AS c WHERE c.id = %(case)s"  # noqa: S608  constants

_NEXT = f"""
SELECT c.id FROM signals_case AS c
 WHERE c.state = 'waiting' AND c.kind = ANY (%(kinds)s)
   AND (c.lease_until IS NULL OR c.lease_until <= clock_timestamp())
   AND NOT EXISTS (SELECT FROM signals_caseevent AS event
                    WHERE event.case_id = c.id AND event.kind = 'skipped' AND event.actor = %(actor)s)
   AND NOT EXISTS (SELECT FROM signals_optout AS out
                     JOIN signals_signal AS about ON about.violation = out.violation
                    WHERE out.person_id = %(person)s AND about.id = c.signal_id)
   AND (c.kind <> 'appeal' OR NOT EXISTS (
{_HAD_A_HAND}))
 ORDER BY c.due_at, c.id LIMIT 1
   FOR UPDATE OF c SKIP LOCKED
"""  # noqa: S608  constants
