"""A run about many signals, or against what others bear out, takes two: one proposes it, another sees the dry run."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from django.contrib.auth.models import User
from django.db import transaction

from hub.ledger.leaf import Json
from hub.staff import approvals
from hub.staff.approvals import Act
from hub.staff.models import Approval
from hub.staff.roles import Capability, Who
from signals.bulk.refusals import NotNow
from signals.bulk.running import begin, lock
from signals.core.bulk import SENTENCES, Deed, Filter, RunState
from signals.models import BulkRun

_SUBJECT = "bulk:"


def propose(run_id: UUID, *, why: str, by: User, at: datetime) -> BulkRun:
    """Lay one's own dry run before a second person; nothing happens until then.

    Refuses NotNow, and ReasonMissing without a word on why.
    """
    with transaction.atomic():
        approvals.hold_proposer(by)
        run = lock(run_id)
        if run.state != RunState.DRAFT or run.asked_by != f"staff:{by.pk}" or not run.would:
            raise NotNow("Only a dry run that waits and would change something is proposed, by whoever made it.")
        facts: dict[str, Json] = {"deed": run.deed, "reason": run.reason, "would": run.would, "root": run.root}
        approvals.propose(APPLY, by=by, subject=f"{_SUBJECT}{run.pk}", facts=facts, reason=why, at=at)
        run.state = RunState.PROPOSED.value
        run.save(update_fields=["state"])
    return run


def _run_id(approval: Approval) -> UUID:
    return UUID(approval.subject.removeprefix(_SUBJECT))


def _describe(approval: Approval) -> Sequence[tuple[str, str]]:
    """As it was frozen: what has changed since is left out when it is applied."""
    run = BulkRun.objects.filter(pk=_run_id(approval)).first()
    if run is None:
        return [("Dry run", "it is gone")]
    lines = [
        ("What", SENTENCES[Deed(run.deed)]),
        ("Because", run.reason),
        ("Policy", run.policy),
        *Filter.of(run.filters).sentences(),
        ("Signals", f"{run.would:,} would change, {run.left_out:,} are left out"),
    ]
    for heading, counts in run.counts:
        lines.append((heading, ", ".join(f"{count:,} {what}" for what, count in counts)))
    return [
        *lines,
        ("Frozen as", run.root),
        ("Dry run", f"{str(run.pk)[:8]} under Bulk runs, with samples"),
    ]


def _perform(approval: Approval, who: Who) -> str:
    run = lock(_run_id(approval))
    if run.state != RunState.PROPOSED:
        raise NotNow("This run does not wait for a second person any more.")
    begin(run, approved_by=who["actor"], at=who["at"])
    return f"{run.would:,} signals are being decided."


def _lapse(approval: Approval, who: Who) -> None:
    del who  # the proposal's own leaf says who
    BulkRun.objects.filter(pk=_run_id(approval), state=RunState.PROPOSED.value).update(state=RunState.DRAFT.value)


APPLY = approvals.register(
    Act(
        name="bulk.apply",
        meaning="Decide about many signals at once",
        to_propose=Capability.SIGNALS_TRIAGE,
        to_approve=Capability.SIGNALS_TRIAGE,
        perform=_perform,
        describe=_describe,
        hold=lambda approval: BulkRun.objects.select_for_update().filter(pk=_run_id(approval)).first(),
        lapse=_lapse,
    )
)
