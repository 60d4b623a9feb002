"""What record() promises its callers: a row per event, in their transaction, or an error that says why not."""

from __future__ import annotations

import contextlib
import uuid
from datetime import UTC, datetime, timedelta, timezone

import msgspec
import pytest
from django.db import ProgrammingError, connection, connections, transaction
from django.db.transaction import TransactionManagementError

from hub.ledger import leaf
from hub.ledger.record import Event, _ids, erase_salts, record, record_many

NOON = datetime(2026, 11, 3, 12, tzinfo=UTC)
SIGNAL = "signal:0191b7a4-0000-4000-8000-000000000001"


def waiting() -> list[dict[str, object]]:
    with connections["ledger"].cursor() as cursor:
        cursor.execute("SELECT event FROM ledger_outbox ORDER BY id")
        return [msgspec.json.decode(row[0]) for row in cursor.fetchall()]


@pytest.fixture
def empty_outbox(committed_db: None) -> None:
    with connections["ledger"].cursor() as cursor:
        cursor.execute("DELETE FROM ledger_outbox")


def test_an_event_waits_in_the_outbox_once_its_transaction_commits(empty_outbox: None) -> None:
    with transaction.atomic():
        record(
            "statement.refused",
            actor="partner:acme-social",
            at=NOON.astimezone(timezone(timedelta(hours=2))),
            subjects=[SIGNAL, "partner:acme-social", SIGNAL],
            facts={"code": "schema", "pointer": '/a\\b\t"ü', "line": 3},
        )
        assert waiting() == []
    assert waiting() == [
        {
            "action": "statement.refused",
            "actor": "partner:acme-social",
            "at": "2026-11-03T12:00:00.000000Z",
            "commitments": {},
            "facts": {"code": "schema", "pointer": '/a\\b\t"ü', "line": 3},
            "subjects": [SIGNAL, "partner:acme-social"],
        }
    ]


def test_nothing_is_recorded_when_the_transaction_rolls_back(empty_outbox: None) -> None:
    class Stop(Exception):
        pass

    with contextlib.suppress(Stop), transaction.atomic():
        record("signal.withdrawn", actor="partner:acme", at=NOON, subjects=[SIGNAL], private={"reason": "x"})
        raise Stop
    assert waiting() == []


def test_many_events_keep_their_order(empty_outbox: None) -> None:
    with transaction.atomic():
        record_many([Event("signal.published", "system:publisher", NOON, facts={"n": n}) for n in range(2000)])
    assert [event["facts"] for event in waiting()] == [{"n": n} for n in range(2000)]


def test_outside_a_transaction_nothing_can_be_recorded(committed_db: None) -> None:
    with pytest.raises(TransactionManagementError):
        record("signal.withdrawn", actor="partner:acme", at=NOON)


@pytest.mark.django_db
@pytest.mark.parametrize(
    "event",
    [
        Event("signal.eaten", "system:publisher", NOON),
        Event("signal.withdrawn", "acme", NOON),
        Event("signal.withdrawn", "partner:a b", NOON),
        Event("signal.withdrawn", "partner:acme", NOON, ("just-words",)),
        Event("signal.withdrawn", "partner:acme", NOON.replace(tzinfo=None)),
        Event("signal.withdrawn", "partner:acme", NOON, facts={"weight": 0.5}),  # type: ignore[dict-item]  # what a caller without types may do
        Event("signal.withdrawn", "partner:acme", NOON, facts={"n": 2**53}),
        Event("signal.withdrawn", "partner:acme", NOON, facts={"note": "x" * 65_300}),
        Event("signal.withdrawn", "partner:acme", NOON, facts={"half": "\ud800"}),
        Event("signal.withdrawn", "partner:acme", NOON, private={"value": "without a subject"}),
    ],
)
def test_an_event_that_could_never_be_a_leaf_is_refused_at_once(event: Event) -> None:
    with pytest.raises(ValueError, match=r"."):
        record_many([event])


@pytest.mark.django_db
def test_private_values_leave_salted_commitments_that_erasing_the_salts_closes_for_good() -> None:
    record(
        "value.searched",
        actor="staff:7",
        at=NOON,
        subjects=[SIGNAL, "programme:csea"],
        private={"value": "canary@acme.example"},
    )
    with connection.cursor() as cursor:
        cursor.execute("SELECT event, field, subject, salt FROM ledger_salt ORDER BY subject")
        rows = cursor.fetchall()
    assert [(field, subject) for _, field, subject, _ in rows] == [("value", "programme:csea"), ("value", SIGNAL)]
    assert rows[0][3] == rows[1][3]
    assert len(rows[0][3]) == leaf.SALT_BYTES
    assert erase_salts(["signal:other"]) == 0
    assert erase_salts([SIGNAL]) == 2, "the salt that another subject shares goes too"


@pytest.mark.django_db
def test_the_application_cannot_read_back_what_it_recorded() -> None:
    record("signal.withdrawn", actor="partner:acme", at=NOON)
    with connection.cursor() as cursor, pytest.raises(ProgrammingError, match="permission denied"):
        cursor.execute("SELECT id FROM ledger_outbox")


def test_ids_are_version_7_and_rise_within_a_process() -> None:
    ids = [*_ids(3), *_ids(10_000), *_ids(1)]
    assert ids == sorted(ids)
    assert {(uuid.UUID(key).version, uuid.UUID(key).variant) for key in ids} == {(7, uuid.RFC_4122)}
