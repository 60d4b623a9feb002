"""A database that goes away in the middle of a batch is known as just that, and holds nothing against the batch."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest
from django.db import OperationalError, connection, transaction

from hub.ledger.record import Event, record_many
from signals.lifecycle.verify import claim, verify_next
from signals.models import Submission, Verdict
from signals.models.copying import copy_rows
from tests.builders import a_programme
from tests.cluster import postgres
from tests.companies import a_company, now

pytestmark = pytest.mark.usefixtures("committed_db")


def end_our_session() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        [pid] = cursor.fetchone()
    with postgres.bootstrap_connection() as outside:
        outside.execute("SELECT pg_terminate_backend(%s, 5000)", [pid])


def write_when_cut_off(write: Callable[[], None]) -> None:
    with transaction.atomic():
        end_our_session()
        write()


def test_a_copy_cut_off_is_told_as_a_database_that_went_away() -> None:
    event = Event("submission.received", "partner:acme-social", now(), ("partner:acme-social",))
    verdict = ("00000000-0000-0000-0000-000000000000", 1)
    for write in (partial(copy_rows, Verdict, ["submission_id", "line"], [verdict]), partial(record_many, [event] * 2)):
        with pytest.raises(OperationalError):
            write_when_cut_off(write)
        connection.close()


def test_a_revision_that_waits_for_its_signal_spends_no_attempts() -> None:
    acme = a_company("acme-social", a_programme())
    first = acme.signal()
    acme.submit(acme.sign(first))
    assert claim() is not None, "somebody else is at work on the signal"
    waiting = acme.submit(acme.sign(acme.signal(supersedes=first["jti"])))
    for _ in range(3):
        assert verify_next(at=now()) == set()
        waiting.refresh_from_db()
        assert (waiting.state, waiting.attempts, waiting.lease_token) == ("pending", 0, None)
        Submission.objects.filter(id=waiting.id).update(next_attempt_at=now())
