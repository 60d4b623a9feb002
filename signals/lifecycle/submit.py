"""A partner hands in a batch of statements: accepted durably before anything else happens."""

from __future__ import annotations

import hashlib
import uuid
from datetime import datetime
from operator import attrgetter

from django.conf import settings
from django.db import connection, transaction

from hub.ledger.record import record
from hub.vault import keyring
from partners.public import Caller
from signals import wake
from signals.core.refusals import EmptyBody, TooManyLines, TooMuchPending
from signals.models import Submission
from signals.models.copying import copy_rows

_COLUMNS = [field.attname for field in Submission._meta.concrete_fields]
_values = attrgetter(*_COLUMNS)


def lines_of(body: bytes) -> list[bytes]:
    """The statements in a body: its lines, without the blank ones and without line ends."""
    return [line for line in (raw.strip(b" \t\r") for raw in body.split(b"\n")) if line]


def submit(body: bytes, *, caller: Caller, at: datetime) -> Submission:
    """Seal the body into one row and wake the verifier; what the lines say is judged later, one by one.

    Refuses EmptyBody, TooManyLines and TooMuchPending, with nothing stored.
    """
    count = len(lines_of(body))
    if count == 0:
        raise EmptyBody("The body holds no statement.")
    if count > settings.MAX_SUBMISSION_LINES:
        raise TooManyLines(
            f"The body holds {count} statements; at most {settings.MAX_SUBMISSION_LINES} travel together.",
            limit=settings.MAX_SUBMISSION_LINES,
        )
    due_at = _check_pending(caller)
    identity = uuid.uuid4()
    digest = hashlib.sha256(body).digest()
    sealer = keyring.sealer("hub", keyring.month_of(at))
    submission = Submission(
        id=identity,
        partner_id=caller.partner_id,
        api_key_id=caller.api_key_id,
        may_backfill="signals:backfill" in caller.scopes,
        received_at=at,
        statement_count=count,
        digest=digest,
        sealed=sealer.seal(body, context=context(identity)),
        next_attempt_at=due_at,
    )
    with transaction.atomic():
        # COPY: an INSERT would write megabytes into the text of a query, and PostgreSQL would parse them.
        copy_rows(Submission, _COLUMNS, [_values(submission)])
        record(
            "submission.received",
            actor=f"partner:{caller.slug}",
            at=at,
            subjects=[f"submission:{identity}", f"partner:{caller.slug}"],
            facts={"statements": count, "api_key": caller.api_key_id},
            private={"body": digest},
        )
        wake.verify()
    return submission


def _check_pending(caller: Caller) -> datetime:
    """Refuse what would fill the disk: requests at the same moment may go over it, by one body each.

    Returns the database's time, by which the row is due: this process's may be ahead of it.
    """
    most = caller.limits.max_pending_submissions or settings.MAX_PENDING_SUBMISSIONS
    most_bytes = settings.MAX_PENDING_MIB * 2**20 * most // settings.MAX_PENDING_SUBMISSIONS
    with connection.cursor() as cursor:
        cursor.execute(_PENDING, [caller.partner_id])
        count, size, due_at = cursor.fetchone()
    if count >= most or size >= most_bytes:
        raise TooMuchPending(count, size)
    moment: datetime = due_at
    return moment


# By the partial index on what is pending; the length of a body does not read the body.
_PENDING = """
SELECT count(*), coalesce(sum(octet_length(sealed)), 0)::bigint, clock_timestamp()
  FROM signals_submission WHERE partner_id = %s AND state = 'pending'
"""


def context(submission_id: uuid.UUID) -> bytes:
    """What a sealed body is bound to, so that it opens in its own row only."""
    return b"signals_submission.sealed:" + submission_id.bytes
