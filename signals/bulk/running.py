"""A run begins, is stopped, goes on, is undone: what a person says; the worker's loop does it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from django.conf import settings
from django.db import connection, transaction
from django.db.models import Sum

from hub.ledger.leaf import Json
from hub.ledger.record import record
from hub.ledger.tlog.merkle import leaf_hashes, root_of
from partners import public
from signals import wake
from signals.bulk.refusals import NotNow, TakesTwo
from signals.core.bulk import ItemState, RunState
from signals.core.cases import UNDO_WITHIN
from signals.models import BulkRun

_HOUR = timedelta(hours=1)
_RESTORED = "The hub was restored from a backup. Whether this run was stopped or undone since, its leaves say."
AT_WORK: Final = (RunState.APPLYING.value, RunState.UNDOING.value)


def apply(run_id: UUID, *, actor: str, at: datetime) -> BulkRun:
    """Begin one's own run, alone.

    Refuses NotNow, and TakesTwo where it decides about too many signals, or together with what the same person began
    alone within the hour, or against what independent partners saw themselves.
    """
    with transaction.atomic():
        _wait_for_turn(actor)
        run = lock(run_id)
        if run.state != RunState.DRAFT or run.asked_by != actor:
            raise NotNow("Only a dry run that waits is applied, by whoever made it.")
        if run.needs_two or _begun_alone(actor, besides=run, at=at) + run.would > settings.BULK_ALONE:
            raise TakesTwo(
                f"One person alone decides in bulk about {settings.BULK_ALONE} signals an hour, and about none that"
                " others bear out. Propose it to a second person."
            )
        begin(run, at=at)
    return run


def begin(run: BulkRun, *, approved_by: str = "", at: datetime) -> None:
    """Let a dry run, locked by the caller, be applied. Refuses NotNow where it would change nothing."""
    if not run.would:
        raise NotNow("This dry run would change nothing.")
    run.state, run.started_at, run.approved_by = RunState.APPLYING.value, at, approved_by
    _to_work(run, at=at)
    facts: dict[str, Json] = {
        "deed": run.deed,
        "reason": run.reason,
        "filter": run.filters,
        "would": run.would,
        "root": run.root,
    }
    if approved_by:
        facts["approved_by"] = approved_by
    say(run, "bulk.started", actor=run.asked_by, at=at, facts=facts, private={"policy": run.policy})


def stop(run_id: UUID, *, actor: str, at: datetime) -> BulkRun:
    """Stop a run between two signals; what is decided is decided. Refuses NotNow unless it is being applied."""
    with transaction.atomic():
        run = lock(run_id)
        if run.state != RunState.APPLYING:
            raise NotNow("This run is not being applied.")
        run.state, run.ended_at = RunState.STOPPED.value, at
        run.lease_token, run.lease_until, run.next_attempt_at = None, None, None
        run.save()
        say(run, "bulk.stopped", actor=actor, at=at, facts={"done": run.done, "skipped": run.skipped})
    return run


def go_on(run_id: UUID, *, actor: str, at: datetime) -> BulkRun:
    """Let a stopped run go on where it stood. Refuses NotNow unless it is stopped and nobody has begun to undo it.

    What somebody began alone, and lets go on alone, is begun then: else runs that were stopped at once, hour by hour,
    would all go on in one. Refuses TakesTwo where that is too much.
    """
    with transaction.atomic():
        _wait_for_turn(actor)
        run = lock(run_id)
        if run.state != RunState.STOPPED or run.undo_asked_at is not None:
            raise NotNow("This run is not stopped, or somebody has begun to undo it.")
        if run.asked_by == actor and not run.approved_by:
            if _begun_alone(actor, besides=run, at=at) + run.would > settings.BULK_ALONE:
                raise TakesTwo(
                    f"One person alone decides in bulk about {settings.BULK_ALONE} signals an hour. Somebody else lets"
                    " it go on, or you do when the hour is over."
                )
            run.started_at = at
        run.state, run.ended_at = RunState.APPLYING.value, None
        _to_work(run, at=at)
        say(run, "bulk.resumed", actor=actor, at=at)
    return run


def undo(run_id: UUID, *, actor: str, at: datetime) -> BulkRun:
    """Take back what a run did, signal by signal, the last first; each says whether it could be.

    Refuses NotNow unless the run is over or stopped, and its end within the window of a single decision.
    """
    with transaction.atomic():
        run = lock(run_id)
        if not may_undo(run, at=at):
            minutes = int(UNDO_WITHIN.total_seconds() // 60)
            raise NotNow(f"A run is undone once it is over or stopped, within {minutes} minutes.")
        run.state, run.undo_by = RunState.UNDOING.value, actor
        run.undo_asked_at = run.undo_asked_at or at  # taken up again: the windows count to when it was first asked for
        _to_work(run, at=at)
        say(run, "bulk.undo-started", actor=actor, at=at, facts={"done": run.done})
    return run


def stop_restored(*, actor: str, at: datetime) -> list[BulkRun]:
    """Stop whatever a backup that was put back has at work; returns what was stopped.

    The backup does not know of who stopped or undid it since. A person looks, and lets it go on or takes it back.
    """
    with transaction.atomic():
        runs = list(BulkRun.objects.select_for_update().filter(state__in=AT_WORK).order_by("pk"))
        for run in runs:
            run.state, run.ended_at, run.failure = RunState.STOPPED.value, at, _RESTORED
            run.lease_token, run.lease_until, run.next_attempt_at = None, None, None
            run.save()
            say(run, "bulk.stopped", actor=actor, at=at, facts={"done": run.done, "skipped": run.skipped})
    return runs


def may_undo(run: BulkRun, *, at: datetime) -> bool:
    """Whether there is something to undo and time for it."""
    is_over = run.state in {RunState.DONE, RunState.STOPPED} and run.ended_at is not None
    if is_over and run.undo_asked_at is not None:  # taken up again where undoing failed
        return True
    return is_over and run.done > 0 and run.ended_at is not None and at - run.ended_at <= UNDO_WITHIN


def lock(run_id: UUID) -> BulkRun:
    """The run, locked until the caller's transaction ends. Refuses NotNow where there is none."""
    run = BulkRun.objects.select_for_update().filter(pk=run_id).first()
    if run is None:
        raise NotNow("There is no such run; a dry run is forgotten after a week.")
    return run


def finish(run: BulkRun, *, at: datetime) -> None:
    """Nothing is left to do: say so with what came of it. In the caller's transaction, which holds the run."""
    is_undone = run.state == RunState.UNDOING
    run.state = (RunState.UNDONE if is_undone else RunState.DONE).value
    run.ended_at = at
    run.lease_token, run.lease_until, run.next_attempt_at = None, None, None
    run.save()
    if is_undone:
        facts: dict[str, Json] = {"undone": run.undone, "kept": run.kept}
        say(run, "bulk.undone", actor=run.undo_by, at=at, facts=facts)
        return
    facts = {"done": run.done, "skipped": run.skipped, "root": _root_of_done(run)}
    say(run, "bulk.ended", actor=run.asked_by, at=at, facts=facts)


def say(
    run: BulkRun,
    action: str,
    *,
    actor: str,
    at: datetime,
    facts: Mapping[str, Json] | None = None,
    private: Mapping[str, str] | None = None,
) -> None:
    """One leaf about a run and its programme."""
    subjects = [f"bulk:{run.pk}", f"programme:{public.programme_by_id(run.programme_id).slug}"]
    record(action, actor=actor, at=at, subjects=subjects, facts=facts, private=private)


def _wait_for_turn(actor: str) -> None:
    """One run of a person begins after the other: each counts those before. Until the caller's transaction ends."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [f"heliograph bulk {actor}"])


def _begun_alone(actor: str, *, besides: BulkRun, at: datetime) -> int:
    """About how many signals the other runs decide that this person began alone within the hour."""
    alone = BulkRun.objects.filter(asked_by=actor, approved_by="", started_at__gt=at - _HOUR)
    return alone.exclude(pk=besides.pk).aggregate(many=Sum("would"))["many"] or 0


def _to_work(run: BulkRun, *, at: datetime) -> None:
    run.attempts, run.failure, run.next_attempt_at = 0, "", at
    run.lease_token, run.lease_until = None, None
    run.save()
    wake.bulk()


def _root_of_done(run: BulkRun) -> str:
    """RFC 6962 over the ids of the signals that were decided, 16 bytes each, in the order of the run."""
    done = run.items.filter(state=ItemState.DONE.value).order_by("number").values_list("signal_id", flat=True)
    return root_of(leaf_hashes(identity.bytes for identity in done)).hex()
