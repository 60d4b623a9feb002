"""The worker's loop: signal by signal, each in a transaction of its own together with its note, so that none is twice.

A worker that dies leaves a lease that runs out; another goes on with the first signal that has no note.
"""

from __future__ import annotations

import logging
import time
import uuid
from collections.abc import Callable
from datetime import datetime, timedelta
from uuid import UUID

from django.conf import settings
from django.db import connection, transaction
from django.db.models import F
from django.db.models.functions import Now

from hub.refusal import Refusal
from signals.bulk import deeds
from signals.bulk.running import AT_WORK, finish, say
from signals.core.bulk import ItemState, RunState
from signals.models import BulkItem, BulkRun

logger = logging.getLogger(__name__)

_SECONDS = 5.0  # of work before the lease is given back: other runs want to come on too
_AHEAD = 50  # items read at once
_MOST_ATTEMPTS = 8
_LONGEST_WAIT = 60  # seconds
_SAID = 300


def work_next(*, clock: Callable[[], datetime], seconds: float = _SECONDS) -> bool:
    """Work on the run that has waited longest, for some seconds; whether there was one.

    What fails of itself is tried again, later and later, and in the end the run is stopped and says so.
    """
    claimed = _claim()
    if claimed is None:
        return False
    run_id, token, attempts = claimed
    if attempts > _MOST_ATTEMPTS:  # nobody who took it up lived to say why
        _put_off(run_id, token, "a worker that died", at=clock())
        return True
    try:
        _work(run_id, token, clock=clock, until=time.monotonic() + seconds)
    except Exception as error:
        logger.exception("bulk.failed", extra={"reason": type(error).__name__})
        _put_off(run_id, token, type(error).__name__, at=clock())
    return True


def _work(run_id: UUID, token: UUID, *, clock: Callable[[], datetime], until: float) -> None:
    while time.monotonic() < until:
        items = _items(run_id)
        if not items:
            _finish(run_id, token, at=clock())
            return
        for item in items:
            if time.monotonic() >= until:
                break
            if not _one(run_id, token, item, at=clock()):
                return  # stopped, or overtaken
    BulkRun.objects.filter(pk=run_id, lease_token=token).update(
        lease_token=None, lease_until=None, next_attempt_at=Now()
    )


def _items(run_id: UUID) -> list[BulkItem]:
    state = BulkRun.objects.values_list("state", flat=True).get(pk=run_id)
    items = BulkItem.objects.filter(run_id=run_id)
    if state == RunState.UNDOING:
        return list(items.filter(state=ItemState.DONE.value).order_by("-number")[:_AHEAD])
    return list(items.filter(state=ItemState.WAITING.value).order_by("number")[:_AHEAD])


def _one(run_id: UUID, token: UUID, item: BulkItem, *, at: datetime) -> bool:
    """Decide about one signal, or undo that, and note it; false where the run is not this worker's any more."""
    with transaction.atomic():
        run = _ours(run_id, token)
        if run is None:
            return False
        is_undoing = run.state == RunState.UNDOING
        try:
            with transaction.atomic():
                if is_undoing:
                    deeds.undo(run, item, at=at)
                else:
                    item.case_id, item.at = deeds.do(run, item, at=at), at
        except Refusal as refusal:
            state, counter = (ItemState.KEPT, "kept") if is_undoing else (ItemState.SKIPPED, "skipped")
            item.why, item.said = refusal.code, refusal.detail[:_SAID]
        else:
            state, counter = (ItemState.UNDONE, "undone") if is_undoing else (ItemState.DONE, "done")
        item.state = state.value
        item.save(update_fields=["state", "why", "said", "case_id", "at"])
        until = Now() + timedelta(seconds=settings.LEASE_SECONDS)
        come_on = {counter: F(counter) + 1}
        BulkRun.objects.filter(pk=run_id).update(lease_until=until, attempts=0, failure="", **come_on)
    return True


def _finish(run_id: UUID, token: UUID, *, at: datetime) -> None:
    with transaction.atomic():
        run = _ours(run_id, token)
        if run is not None:
            finish(run, at=at)


def _ours(run_id: UUID, token: UUID) -> BulkRun | None:
    """The run, locked, while this worker holds it: before the case and the signal."""
    return BulkRun.objects.select_for_update().filter(pk=run_id, lease_token=token, state__in=AT_WORK).first()


def _put_off(run_id: UUID, token: UUID, why: str, *, at: datetime) -> None:
    with transaction.atomic():
        run = _ours(run_id, token)
        if run is None:
            return
        run.lease_token, run.lease_until = None, None
        run.next_attempt_at = at + timedelta(seconds=min(2**run.attempts, _LONGEST_WAIT))
        if run.attempts >= _MOST_ATTEMPTS:
            run.failure = f"It failed {run.attempts} times at one signal, at last of {why}."
            run.state, run.ended_at, run.next_attempt_at = RunState.STOPPED.value, at, None
            facts = {"done": run.done, "skipped": run.skipped}
            say(run, "bulk.stopped", actor="system:bulk", at=at, facts=facts)
        run.save()


def _claim() -> tuple[UUID, UUID, int] | None:
    """A run, the token that it is leased under, and how often it was claimed since it came on last."""
    token = uuid.uuid4()
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(_CLAIM, {"token": token, "lease": settings.LEASE_SECONDS})
        row = cursor.fetchone()
    return (row[0], token, row[1]) if row else None


_CLAIM = """
UPDATE signals_bulkrun
   SET lease_token = %(token)s, attempts = attempts + 1,
       lease_until = clock_timestamp() + make_interval(secs => %(lease)s)
 WHERE id = (
    SELECT id FROM signals_bulkrun
     WHERE state IN ('applying', 'undoing') AND next_attempt_at <= clock_timestamp()
       AND (lease_until IS NULL OR lease_until <= clock_timestamp())
     ORDER BY next_attempt_at LIMIT 1 FOR UPDATE SKIP LOCKED)
RETURNING id, attempts
"""
