"""The clock's door: each task wakes one step and does what is due, in bounded loops. The rows are the queue.

A task may be lost, doubled or late. It takes no arguments that matter: what is due stands in the rows.
"""

from __future__ import annotations

import logging
import time

from celery import shared_task
from django.utils import timezone

from hub.ledger import serving
from hub.ledger.export.own_log import own_log
from hub.staff.approvals import expire_proposals
from signals import queries, wake
from signals.bulk.drafting import forget_drafts
from signals.bulk.working import work_next
from signals.cases.alarms import raise_alarms
from signals.cases.opening import close_overtaken, open_disputed, open_held
from signals.lifecycle.activity import count_ahead
from signals.lifecycle.days import drop_attempts, keep_days_ahead
from signals.lifecycle.deliver import deliver_due
from signals.lifecycle.expire import expire_due
from signals.lifecycle.exports import end_exports, make_next
from signals.lifecycle.failing import mail_failing, mark_failing
from signals.lifecycle.farewell import close_notices, mark_leaving
from signals.lifecycle.inflow import forget_inflow
from signals.lifecycle.key_news import tell_key_events
from signals.lifecycle.leave import settle_departures
from signals.lifecycle.notices import forget_notices, post_notices
from signals.lifecycle.publish import programmes_waiting
from signals.lifecycle.publish import publish as publish_programme
from signals.lifecycle.purge import destroy_spent_months, forget_tombstones, purge_due
from signals.lifecycle.quarantine import settle_fallen_keys
from signals.lifecycle.recalls import tell_recalls
from signals.lifecycle.roll_up import roll_up_past_minutes
from signals.lifecycle.sweep import note_sweep
from signals.lifecycle.verify import verify_next
from signals.lifecycle.weigh import find_same_value, weigh_next

logger = logging.getLogger(__name__)

_SWEEP_SECONDS = 20  # of steps in one sweep; a large fall goes on in the next
_TURNS = 200  # of a loop in one task: long enough to work off a backlog, short enough to be asked to stop


@shared_task(name="signals.verify")
def verify(**_: object) -> None:
    """Verify what was submitted, and publish what that touched at once: a wake-up more would only cost time."""
    for _turn in range(_TURNS):
        if not serving.may_serve():
            return
        touched = verify_next(at=timezone.now())
        if touched is None:
            return
        for programme_id in touched:
            _publish(programme_id)
        _weigh()
        _tell()  # here too: the wake-up may wait behind a backlog that keeps every worker


@shared_task(name="signals.publish")
def publish(**_: object) -> None:
    """Publish what is verified."""
    if serving.may_serve():
        for programme_id in programmes_waiting():
            _publish(programme_id)


@shared_task(name="signals.deliver")
def deliver(**_: object) -> None:
    """Bring endpoints up to their feeds."""
    if serving.may_serve():
        _tell()
        if deliver_due(clock=timezone.now):
            wake.deliver()  # its time may have been up before its work was done, and the sweep is seconds away


@shared_task(name="signals.notices")
def notices(**_: object) -> None:
    """Recall what was removed, and post what partners are to be told."""
    if serving.may_serve():
        _tell()


@shared_task(name="signals.sweep")
def sweep(**_: object) -> None:
    """Look for due rows whose wake-up was lost; every few seconds, whoever runs it.

    The wake-ups come first and each step stands alone, so that a fault in one of them holds up none of the others.
    """
    note_sweep(at=timezone.now())
    if not serving.may_serve():
        return
    due = queries.due()
    for is_due, nudge in (
        *((due.notices, wake.notices), (due.verify, wake.verify)),
        *((due.publish, wake.publish), (due.deliver, wake.deliver)),
        *((due.exports, wake.exports), (due.bulk, wake.bulk)),
    ):
        if is_due:
            nudge()
    until = time.monotonic() + _SWEEP_SECONDS
    for step in (
        *(
            tell_key_events,
            settle_fallen_keys,
            expire_due,
            mark_leaving,
            settle_departures,
            close_notices,
            mark_failing,
            keep_days_ahead,
        ),
        *(expire_proposals, roll_up_past_minutes, find_same_value, weigh_next),
        *(close_overtaken, open_held, open_disputed),
    ):
        try:
            while time.monotonic() < until and step(at=timezone.now()):
                note_sweep(at=timezone.now())
        except Exception as error:
            logger.exception("sweep.failed", extra={"task": step.__name__, "reason": type(error).__name__})


@shared_task(name="signals.mail")
def mail(**_: object) -> None:
    """Mail what must not be overlooked; a task of its own, for a mail server may take its time."""
    if serving.may_serve():
        mail_failing(at=timezone.now())


@shared_task(name="signals.activity")
def activity(**_: object) -> None:
    """Count what the front page draws of large tables; a task of its own, for it reads thousands of pages of each."""
    if serving.may_serve():
        count_ahead(at=timezone.now())


@shared_task(name="signals.alarms")
def alarms(**_: object) -> None:
    """Look at how good what partners send has proved; a task of its own, for it reads thousands of rows of each."""
    if serving.may_serve():
        raise_alarms(at=timezone.now())


@shared_task(name="signals.exports")
def exports(**_: object) -> None:
    """Make the exports that were asked for, one at a time; a task of its own, for one may take an hour."""
    while serving.may_serve() and make_next(own_log(), clock=timezone.now):
        pass


@shared_task(name="signals.bulk")
def bulk(**_: object) -> None:
    """Come on with bulk runs for a while; what is left wakes the next, so that no worker is kept for minutes."""
    until = time.monotonic() + _SWEEP_SECONDS
    while serving.may_serve() and work_next(clock=timezone.now):
        if time.monotonic() > until:
            wake.bulk()
            return


@shared_task(name="signals.purge")
def purge(**_: object) -> None:
    """Erase what was removed long enough ago; drop what is kept no longer, and the keys of spent months."""
    if not serving.may_serve():
        return
    at = timezone.now()
    for _turn in range(_TURNS):
        if purge_due(at=at) + forget_tombstones(at=at) + forget_notices(at=at) + forget_inflow(at=at) == 0:
            break
    destroy_spent_months(at=at)
    drop_attempts()
    end_exports(at=at)
    forget_drafts(at=at)


def _tell() -> None:
    for _turn in range(_TURNS):
        told = sum(step(at=timezone.now()) for step in (tell_recalls, tell_key_events, post_notices))
        if told == 0:
            return


def _weigh() -> None:
    for _turn in range(_TURNS):
        if weigh_next(at=timezone.now()) == 0:
            return


def _publish(programme_id: int) -> None:
    for _turn in range(_TURNS):
        if publish_programme(programme_id, at=timezone.now()) == 0:
            return
