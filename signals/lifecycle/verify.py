"""The hub checks a submission: claim it, examine its lines, let the good ones take effect, keep a verdict on each."""

from __future__ import annotations

import uuid
from datetime import datetime

from django.conf import settings
from django.db import connection, transaction

from hub.vault import keyring
from partners import public
from signals import wake
from signals.lifecycle.effects import Batch, lock_issuer
from signals.lifecycle.examine import Examination, Sender
from signals.lifecycle.submit import context, lines_of
from signals.models import Submission


def verify_next(*, at: datetime) -> set[int] | None:
    """Verify one due submission and return the programmes it touched; None when nothing is due.

    May run twice on one submission (a worker that stalled past its lease): the row's token lets only one settle.
    """
    claimed = claim()
    if claimed is None:
        return None
    submission, token = claimed
    body = keyring.open_sealed(bytes(submission.sealed or b""), context=context(submission.id))
    sender = Sender(public.partner(submission.partner_id), submission.received_at, submission.may_backfill)
    lines = Examination(sender).of(lines_of(body))
    with transaction.atomic():
        lock_issuer(submission.partner_id)
        if not _is_ours(submission.id, token):
            return set()
        Batch(lines, sender=sender, submission_id=submission.id, at=at).apply()
        Submission.objects.filter(id=submission.id).update(
            state="done", sealed=None, finished_at=at, lease_token=None, lease_until=None
        )
        wake.decided(submission.id)
    return {line.programme.id for line in lines if line.programme is not None}


def claim() -> tuple[Submission, uuid.UUID] | None:
    """Lease one due submission, a partner drawn by lot first, so that no backlog starves another partner."""
    token = uuid.uuid4()
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(_CLAIM, {"token": token, "lease": settings.LEASE_SECONDS})
        row = cursor.fetchone()
    return (Submission.objects.get(id=row[0]), token) if row else None


def _is_ours(submission_id: uuid.UUID, token: uuid.UUID) -> bool:
    rows = Submission.objects.select_for_update().filter(id=submission_id, state="pending", lease_token=token)
    return rows.exists()


_CLAIM = """
UPDATE signals_submission
   SET lease_token = %(token)s, attempts = attempts + 1,
       lease_until = clock_timestamp() + make_interval(secs => %(lease)s)
 WHERE id = (
    SELECT id FROM signals_submission
     WHERE id IN (SELECT DISTINCT ON (partner_id) id FROM signals_submission
                   WHERE state = 'pending' AND next_attempt_at <= clock_timestamp()
                     AND (lease_until IS NULL OR lease_until < clock_timestamp())
                   ORDER BY partner_id, received_at)
       AND state = 'pending' AND (lease_until IS NULL OR lease_until < clock_timestamp())
     ORDER BY random() LIMIT 1 FOR UPDATE SKIP LOCKED)
RETURNING id
"""
