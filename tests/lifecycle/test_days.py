"""Attempts and disclosures lie in days: made ahead, dropped whole or never, and a missing one stops nothing."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from django.core.management import call_command
from django.db import DatabaseError, OperationalError, connection, connections, transaction
from django.db.migrations.recorder import MigrationRecorder
from django.test import override_settings

from signals.lifecycle import days
from signals.models import Attempt, Disclosure, Endpoint, Walk
from tests.companies import now

BEFORE, AFTER = "0005", "0006"


def an_attempt(at: datetime) -> Attempt:
    endpoint = Endpoint.objects.create(
        partner_id=1, programme_id=1, url="", sealed_secret=b"", state="paused", next_attempt_at=at, created_at=at
    )
    return Attempt.objects.create(
        endpoint=endpoint, at=at, webhook_id="msg_1", signal_count=1, is_delivered=True, status=200, latency_ms=5
    )


def a_disclosure(at: datetime) -> Disclosure:
    walk = Walk.objects.create(
        partner_id=1, programme_id=1, channel="pull", epoch=1, generation=1, floor=0, started_at=at
    )
    return Disclosure.objects.create(
        walk=walk, from_position=-1, to_position=0, head=0, count=0, root=b"\0" * 32, at=at
    )


def where(row: Attempt | Disclosure) -> str:
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT tableoid::regclass::text FROM {row._meta.db_table} WHERE id = %s", [row.id])
        [[name]] = cursor.fetchall()
    return str(name)


def tables(like: str, *, alias: str = "default") -> set[str]:
    with connections[alias].cursor() as cursor:
        cursor.execute("SELECT relname FROM pg_class WHERE relkind = 'r' AND relname LIKE %s", [like])
        return {row[0] for row in cursor.fetchall()}


def run_as_owner(*statements: str) -> None:
    with connections["owner"].cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)


@pytest.mark.django_db
def test_each_row_lies_in_its_day_and_knows_its_number() -> None:
    today = now()
    for row in (an_attempt(today), a_disclosure(today)):
        assert isinstance(row.id, int)
        assert where(row) == f"{row._meta.db_table}_{today:%Y%m%d}"
    assert Attempt.objects.get().at == today


@pytest.mark.django_db
def test_a_row_without_a_day_of_its_own_is_kept_all_the_same() -> None:
    for at in (now() + timedelta(days=400), datetime(2025, 6, 2, 12, tzinfo=UTC)):
        assert where(an_attempt(at)) == "signals_attempt_default"
        assert where(a_disclosure(at)) == "signals_disclosure_default"


@pytest.mark.django_db
def test_days_are_made_a_week_ahead_and_only_once() -> None:
    week = {f"signals_disclosure_{now() + timedelta(days=ahead):%Y%m%d}" for ahead in range(8)}
    assert week <= tables("signals_disclosure_2%")
    assert days.make_days() == 0


@pytest.fixture
def own_database(committed_db: None) -> Iterator[None]:
    """Days are made and dropped for real here: a lock on a day is held to the end of a transaction."""
    days._make_days_on.cache_clear()  # an earlier test may have made this day's, in another database
    yield
    days._make_days_on.cache_clear()


def test_a_day_that_came_without_room_stays_where_it_is_and_the_others_are_made(own_database: None) -> None:
    tomorrow, later = now() + timedelta(days=1), now() + timedelta(days=2)
    days._make_days_on.cache_clear()  # an earlier sweep of this process may have been there today
    run_as_owner(*(f"DROP TABLE signals_attempt_{day:%Y%m%d}" for day in (tomorrow, later)))
    stray = an_attempt(tomorrow)
    days.keep_days_ahead(at=now())
    days.keep_days_ahead(at=now())
    assert where(stray) == "signals_attempt_default"
    assert where(an_attempt(later)) == f"signals_attempt_{later:%Y%m%d}"
    run_as_owner("DELETE FROM signals_attempt")


def test_old_days_of_attempts_are_dropped_and_disclosures_are_for_ever(own_database: None) -> None:
    old, recent = now() - timedelta(days=31), now() - timedelta(days=29)
    run_as_owner(
        *(
            f"SELECT signals_make_day('{table}', DATE '{day:%Y-%m-%d}')"
            for table in ("signals_attempt", "signals_disclosure")
            for day in (old, recent)
        )
    )
    gone, kept = an_attempt(old), an_attempt(recent)
    nowhere = an_attempt(old - timedelta(days=100))  # in the default partition
    shown = a_disclosure(old)
    with override_settings(ATTEMPT_DAYS=30):
        assert days.drop_attempts() == 1
        assert days.drop_attempts() == 0
    assert set(Attempt.objects.values_list("id", flat=True)) == {kept.id}
    assert {gone.id, nowhere.id}.isdisjoint(Attempt.objects.values_list("id", flat=True))
    assert where(shown) == f"signals_disclosure_{old:%Y%m%d}"


def test_the_application_can_only_add_and_read_and_cannot_reach_a_day_by_itself(own_database: None) -> None:
    an_attempt(now())
    a_disclosure(now())
    day = f"{now():%Y%m%d}"
    for statement in (
        "DELETE FROM signals_attempt",
        "UPDATE signals_attempt SET settled = false",
        "DELETE FROM signals_disclosure",
        f"SELECT * FROM signals_disclosure_{day}",
        f"DELETE FROM signals_disclosure_{day}",
        f"TRUNCATE signals_disclosure_{day}",
        f"DROP TABLE signals_attempt_{day}",
        "SELECT signals_make_day('signals_attempt', DATE '2030-01-01')",
        "SELECT signals_drop_attempts(0)",
    ):
        with (
            pytest.raises(DatabaseError, match=r"permission denied|must be owner|at least a day"),
            transaction.atomic(),
            connection.cursor() as cursor,
        ):
            cursor.execute(statement)
    for statement in (
        f"TRUNCATE signals_disclosure_{day}",
        f"DELETE FROM signals_disclosure_{day}",
        "TRUNCATE signals_disclosure_default",
        "UPDATE signals_disclosure SET count = 9",
    ):
        with pytest.raises(DatabaseError, match="insert-only"):
            run_as_owner(statement)


def test_no_delivery_waits_for_long_behind_the_making_of_a_day(own_database: None) -> None:
    """Somebody reads every day for minutes: making one gives up by itself, and can be tried again."""
    run_as_owner(f"DROP TABLE signals_attempt_{now() + timedelta(days=7):%Y%m%d}")
    with transaction.atomic(using="owner"):
        run_as_owner("LOCK TABLE signals_attempt_default IN ACCESS SHARE MODE")
        with pytest.raises(OperationalError, match="lock timeout"):
            days.keep_days_ahead(at=now())
        an_attempt(now())
    days.keep_days_ahead(at=now())
    assert f"signals_attempt_{now() + timedelta(days=7):%Y%m%d}" in tables("signals_attempt_2%")


def test_rows_from_before_are_carried_over_each_to_its_day_and_back(own_database: None) -> None:
    today, old = now(), datetime(2025, 6, 2, 23, 59, tzinfo=UTC)
    kept = {an_attempt(at).id: at for at in (today, old)}
    shown = {a_disclosure(at).id: at for at in (today, old)}
    before = (set(Attempt.objects.values_list("id", "at")), set(Disclosure.objects.values_list("id", "at")))
    call_command("migrate", "signals", BEFORE, database="owner", verbosity=0)
    with connections["owner"].cursor() as cursor:
        cursor.execute("SELECT id, at FROM signals_attempt")
        assert kept.items() <= set(cursor.fetchall())
    call_command("prepare_database", verbosity=0)
    assert (set(Attempt.objects.values_list("id", "at")), set(Disclosure.objects.values_list("id", "at"))) == before
    assert shown.items() <= before[1]
    [row] = Attempt.objects.filter(at=old)
    assert where(row) == "signals_attempt_20250602"
    assert an_attempt(today).id > max(kept)
    applied = MigrationRecorder(connections["owner"]).applied_migrations()
    assert any(name.startswith(AFTER) for app, name in applied if app == "signals")
