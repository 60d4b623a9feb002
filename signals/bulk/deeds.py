"""What a run does to one signal, by the verbs of a single decision, and how that is taken back.

In the caller's transaction. Lock order: the run, the case, the signal; as a single decision locks.
"""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from signals.bulk.choosing import look_again
from signals.bulk.refusals import Changed
from signals.cases import undoing
from signals.cases.claiming import claim
from signals.cases.deciding import needs_second_person, settle
from signals.cases.opening import open_case
from signals.cases.refusals import NeedsSecondPerson
from signals.cases.rows import lock
from signals.core.bulk import CHANGED, DECIDES, MEANINGS, NOT_WHILE_APPEALED, Deed, Skip
from signals.core.cases import CaseKind, CaseState
from signals.core.refusals import CannotMove
from signals.lifecycle import rule
from signals.lifecycle.moves import lock_signals
from signals.models import BulkItem, BulkRun, Case
from signals.voices import standing_ruling


def do(run: BulkRun, item: BulkItem, *, at: datetime) -> UUID | None:
    """Decide about one signal as the run says, and return the case that was decided, if the deed is a decision.

    Refuses Changed where it is not what the dry run saw, NeedsSecondPerson where others have borne it out since, and
    what the verbs refuse.
    """
    deed = Deed(run.deed)
    if deed not in DECIDES:
        lock_signals([item.signal_id])
        _check(deed, item)
        rule.dispute(item.signal_id, reason=run.reason, actor=run.asked_by, at=at)
        return None
    kind, outcome = DECIDES[deed]
    there = _undecided(kind, item.signal_id)
    lock_signals([item.signal_id])
    _check(deed, item)
    case = there or open_case(kind, signal_id=item.signal_id, programme_id=run.programme_id, actor=run.asked_by, at=at)
    if not run.approved_by and needs_second_person(case, outcome):
        raise NeedsSecondPerson("Others bear this signal out: two people find it wrong. Nothing was done.")
    mine = claim(case.pk, actor=run.asked_by, at=at)
    words = {"bulk": str(run.pk)}
    settle(mine, outcome, reason=run.reason, policy=run.policy, text="", actor=run.asked_by, at=at, facts=words)
    return mine.pk


def undo(run: BulkRun, item: BulkItem, *, at: datetime) -> None:
    """Take back what the run did to one signal, as one takes a single decision back.

    Refuses CannotMove where somebody has decided anew since, and what the verbs refuse: TooLate, when it was asked for
    after the window of this signal's own decision.
    """
    assert item.at is not None
    assert run.undo_asked_at is not None
    did = (run.asked_by, item.at)
    if item.case_id is not None:
        case = lock(item.case_id)
        if (case.decided_by, case.decided_at) != did:
            raise CannotMove("Somebody has opened its case again or decided it anew since: that stands.")
        undoing.undo(case.pk, text="", actor=run.undo_by, at=at, asked_at=run.undo_asked_at)
        return
    undoing.check_window(item.at, asked_at=run.undo_asked_at)
    ruling = standing_ruling(item.signal_id)
    if ruling is None or (ruling.actor, ruling.at) != did:
        raise CannotMove("Somebody has ruled on the signal since: that stands.")
    rule.undo(ruling, actor=run.undo_by, at=at)


def _undecided(kind: CaseKind, signal_id: UUID) -> Case | None:
    cases = Case.objects.select_for_update().exclude(state=CaseState.DECIDED.value)
    return cases.filter(kind=kind.value, signal_id=signal_id).first()


def _check(deed: Deed, item: BulkItem) -> None:
    now = look_again(deed, item.signal_id)
    if now is None or now.version() != item.version:
        raise Changed(f"Left out: {MEANINGS[CHANGED]}.")
    if deed in NOT_WHILE_APPEALED and now.has_appeal:
        raise Changed(f"Left out: {MEANINGS[Skip.APPEALED]}.")
