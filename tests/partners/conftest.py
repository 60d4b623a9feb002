"""A ledger that refuses, and one that can be read, for the tests of partners' verbs."""

from __future__ import annotations

import atexit
import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import psycopg
import pytest
from django.db import connection
from django.db.utils import ProgrammingError
from psycopg.errors import InsufficientPrivilege

from tests.cluster import postgres

Recorded = Callable[[], list[dict[str, Any]]]
LedgerRefuses = Callable[[], AbstractContextManager[None]]


_owner: list[tuple[str, psycopg.Connection]] = []  # one for a run: opening it takes ten times what it is asked for


def _as_owner(statement: str) -> None:
    database = connection.settings_dict["NAME"]
    if _owner and _owner[0][0] == database:
        try:
            _owner[0][1].execute(statement)
        except psycopg.OperationalError:  # some tests restart the server, or end everybody's sessions
            _owner[0][1].close()
        else:
            return
    _owner[:] = [(database, postgres.bootstrap_connection(database))]
    atexit.register(_owner[0][1].close)
    _owner[0][1].execute(statement)


@contextmanager
def _refusing(table: str) -> Iterator[None]:
    _as_owner(f"REVOKE INSERT ON {table} FROM heliograph_app")
    try:
        with pytest.raises((ProgrammingError, InsufficientPrivilege), match=f"permission denied for table {table}"):
            yield
    finally:
        _as_owner(f"GRANT INSERT ON {table} TO heliograph_app")


@pytest.fixture
def ledger_refuses() -> LedgerRefuses:
    """`with ledger_refuses():` the outbox cannot be written, and the block is expected to fail of it."""
    return lambda: _refusing("ledger_outbox")


@pytest.fixture
def no_leaf_to_come() -> LedgerRefuses:
    """`with no_leaf_to_come():` a disclosure cannot wait for its leaf, and the block is expected to fail of it."""
    return lambda: _refusing("signals_unsummed")


@pytest.fixture
def recorded(db: None) -> Iterator[Recorded]:
    """The events written so far in this test's transaction, oldest first; the application may not read them itself."""
    _as_owner("GRANT SELECT ON ledger_outbox TO heliograph_app")

    def events() -> list[dict[str, Any]]:
        with connection.cursor() as cursor:
            cursor.execute("SELECT event FROM ledger_outbox ORDER BY id")
            return [json.loads(row[0]) for row in cursor.fetchall()]

    yield events
    _as_owner("REVOKE SELECT ON ledger_outbox FROM heliograph_app")
