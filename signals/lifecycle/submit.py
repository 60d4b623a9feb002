"""A partner hands in a batch of statements: accepted durably before anything else happens."""

from __future__ import annotations

import hashlib
import uuid
from datetime import datetime
from operator import attrgetter

from django.conf import settings
from django.db import transaction

from hub.ledger.record import record
from hub.vault import keyring
from partners.public import Caller
from signals import wake
from signals.core.refusals import EmptyBody, TooManyLines
from signals.models import Submission
from signals.models.copying import copy_rows

_COLUMNS = [field.attname for field in Submission._meta.concrete_fields]
_values = attrgetter(*_COLUMNS)


def lines_of(body: bytes) -> list[bytes]:
    """The statements in a body: its lines, without the blank ones and without line ends."""
    return [line for line in (raw.strip(b" \t\r") for raw in body.split(b"\n")) if line]


def submit(body: bytes, *, caller: Caller, at: datetime) -> Submission:
    """Seal the body into one row and wake the verifier; what the lines say is judged later, one by one.

    Refuses EmptyBody and TooManyLines, with nothing stored.
    """
    count = len(lines_of(body))
    if count == 0:
        raise EmptyBody("The body holds no statement.")
    if count > settings.MAX_SUBMISSION_LINES:
        raise TooManyLines(
            f"The body holds {count} statements; at most {settings.MAX_SUBMISSION_LINES} travel together.",
            limit=settings.MAX_SUBMISSION_LINES,
        )
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
        next_attempt_at=at,
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


def context(submission_id: uuid.UUID) -> bytes:
    """What a sealed body is bound to, so that it opens in its own row only."""
    return b"signals_submission.sealed:" + submission_id.bytes
