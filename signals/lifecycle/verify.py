"""The hub checks a submission: claim it, examine its lines, let the good ones take effect, keep a verdict on each."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime, timedelta

from django.conf import settings
from django.db import InterfaceError, OperationalError, connection, transaction
from django.db.models import F
from django.db.models.functions import Now

from hub.vault import keyring
from partners import public
from signals import wake
from signals.core.claims import ReceiptClaims
from signals.core.refusals import InternalError, NotAMember, UnknownSignal, UnknownStatement
from signals.lifecycle.effects.batch import Batch
from signals.lifecycle.effects.take import lock_issuer, take_effect
from signals.lifecycle.examine import Examination, Line, Sender
from signals.lifecycle.submit import context, lines_of
from signals.models import Submission

logger = logging.getLogger(__name__)

MAX_ATTEMPTS = 12
MAX_WAIT_SECONDS = 600
EARLY_WAIT = timedelta(milliseconds=300)


def verify_next(*, at: datetime) -> set[int] | None:
    """Verify one due submission and return the programmes it touched; None when nothing is due.

    May run twice on one submission (a worker that stalled past its lease): the row's token lets only one settle. One
    that fails for a reason nobody thought of is put off, longer each time, and given up after MAX_ATTEMPTS; so is one
    that kills its worker outright, since the claim itself counts.
    """
    claimed = claim()
    if claimed is None:
        return None
    submission, token = claimed
    if submission.attempts > MAX_ATTEMPTS:  # nobody who took it up lived to say why
        logger.error("submission.given_up", extra={"submission": str(submission.id), "reason": "workers-died"})
        _give_up(submission, token, at=at)
        return set()
    try:
        return _verify(submission, token, at=at)
    except (OperationalError, InterfaceError):
        with suppress(OperationalError, InterfaceError):  # while it stays away, the lease runs out instead
            connection.close_if_unusable_or_obsolete()
            _let_go(submission.id, token, wait=timedelta())
        raise
    except Exception as error:
        logger.exception("submission.failed", extra={"submission": str(submission.id), "reason": type(error).__name__})
        if submission.attempts >= MAX_ATTEMPTS:
            _give_up(submission, token, at=at)
        else:
            wait = timedelta(seconds=min(2**submission.attempts, MAX_WAIT_SECONDS))
            _put_off(submission.id, token, wait=wait)
        return set()


def _verify(submission: Submission, token: uuid.UUID, *, at: datetime) -> set[int]:
    body = keyring.open_sealed(bytes(submission.sealed or b""), context=context(submission.id))
    sender = Sender(public.partner(submission.partner_id), submission.received_at, submission.may_backfill)
    lines = Examination(sender).of(lines_of(body))
    try:
        with transaction.atomic():
            lock_issuer(submission.partner_id)
            if not _is_ours(submission.id, token):
                return set()
            _refuse_where_left(lines, sender)
            take_effect(Batch(lines, sender=sender, submission_id=submission.id, at=at))
            if _is_early(submission, lines):
                raise _Early
            _finish(submission.id, at=at)
    except _Early:
        _let_go(submission.id, token, wait=EARLY_WAIT)
        return set()
    return {line.programme.id for line in lines if line.programme is not None}


def _refuse_where_left(lines: Sequence[Line], sender: Sender) -> None:
    """Refuse what was found good before its partner left, and had to wait for its turn until after that.

    A receipt is never too late. One query for all.
    """
    said = [line for line in lines if line.refusal is None and not isinstance(line.claims, ReceiptClaims)]
    if not said:
        return
    members = public.programmes_of(sender.partner.id, at=sender.received_at)
    running = {member.programme_id for member in members if member.state != "ended"}
    for line in said:
        if line.programme is not None and line.programme.id not in running:
            line.refusal = NotAMember("The submitting partner has left this programme.", pointer="/programme")


class _Early(Exception):
    """Something came before what it is about, which an earlier submission of the partner may yet bring."""


def _is_early(submission: Submission, lines: Sequence[Line]) -> bool:
    """Whether a revision or retraction was refused for want of what an earlier submission may yet bring."""
    missing = any(
        isinstance(line.refusal, UnknownStatement)
        or (isinstance(line.refusal, UnknownSignal) and line.refusal.pointer == "/supersedes")
        for line in lines
    )
    if not missing:
        return False
    earlier = Submission.objects.filter(partner_id=submission.partner_id, state="pending")
    return earlier.filter(received_at__lt=submission.received_at).exists()


def _finish(submission_id: uuid.UUID, *, at: datetime) -> None:
    Submission.objects.filter(id=submission_id).update(
        state="done", sealed=None, finished_at=at, lease_token=None, lease_until=None
    )
    wake.decided(submission_id)


def _put_off(submission_id: uuid.UUID, token: uuid.UUID, *, wait: timedelta) -> None:
    """Waits go by the database's clock, as what is due does: this process's may jump."""
    Submission.objects.filter(id=submission_id, lease_token=token).update(
        lease_token=None, lease_until=None, next_attempt_at=Now() + wait
    )


def _let_go(submission_id: uuid.UUID, token: uuid.UUID, *, wait: timedelta) -> None:
    """Return a submission as if nobody had tried it: nothing is held against it."""
    Submission.objects.filter(id=submission_id, lease_token=token).update(
        lease_token=None, lease_until=None, next_attempt_at=Now() + wait, attempts=F("attempts") - 1
    )


def _give_up(submission: Submission, token: uuid.UUID, *, at: datetime) -> None:
    """Refuse every line of a submission that the hub cannot get through, so that its partner hears of it."""
    refusal = InternalError("The hub failed at this submission; nothing of it took effect.")
    with transaction.atomic():
        if not _is_ours(submission.id, token):
            return
        lines = [Line(number, refusal=refusal) for number in range(1, submission.statement_count + 1)]
        sender = Sender(public.partner(submission.partner_id), submission.received_at, submission.may_backfill)
        take_effect(Batch(lines, sender=sender, submission_id=submission.id, at=at))
        _finish(submission.id, at=at)


def claim() -> tuple[Submission, uuid.UUID] | None:
    """Lease one due submission, a partner drawn by lot first, so that no backlog starves another partner.

    The claim counts as an attempt and puts the next one off: a worker that is killed by what it reads writes nothing
    more. The first two claims leave the time alone, for workers are also killed for reasons of their own.

    In three draws of four a large submission gives way to a small one: a single signal waits for the batch in hand, not
    for its luck, and a stream of single signals still leaves large batches their share.
    """
    token = uuid.uuid4()
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(_CLAIM, {"token": token, "lease": settings.LEASE_SECONDS, "longest": MAX_WAIT_SECONDS})
        row = cursor.fetchone()
    return (Submission.objects.get(id=row[0]), token) if row else None


def _is_ours(submission_id: uuid.UUID, token: uuid.UUID) -> bool:
    rows = Submission.objects.select_for_update().filter(id=submission_id, state="pending", lease_token=token)
    return rows.exists()


_CLAIM = """
UPDATE signals_submission
   SET lease_token = %(token)s, attempts = attempts + 1,
       lease_until = clock_timestamp() + make_interval(secs => %(lease)s),
       next_attempt_at = CASE WHEN attempts < 2 THEN next_attempt_at
           ELSE clock_timestamp() + make_interval(secs => %(lease)s + least(2 ^ (attempts + 1), %(longest)s)) END
 WHERE id = (
    SELECT id FROM signals_submission
     WHERE id IN (SELECT DISTINCT ON (partner_id) id FROM signals_submission
                   WHERE state = 'pending' AND next_attempt_at <= clock_timestamp()
                     AND (lease_until IS NULL OR lease_until < clock_timestamp())
                   ORDER BY partner_id, received_at)
       AND state = 'pending' AND (lease_until IS NULL OR lease_until < clock_timestamp())
     ORDER BY statement_count > 50 AND random() < 0.75, random() LIMIT 1 FOR UPDATE SKIP LOCKED)
RETURNING id
"""
