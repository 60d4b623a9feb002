"""A ledger that refuses, and one that can be read, for the tests of partners' verbs."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import pytest
from django.db import connection
from django.db.utils import ProgrammingError
from psycopg.errors import InsufficientPrivilege

from tests.cluster import postgres

Recorded = Callable[[], list[dict[str, Any]]]
LedgerRefuses = Callable[[], AbstractContextManager[None]]


def _as_owner(statement: str) -> None:
    with postgres.bootstrap_connection(connection.settings_dict["NAME"]) as owner:
        owner.execute(statement)


@contextmanager
def _refusing() -> Iterator[None]:
    _as_owner("REVOKE INSERT ON ledger_outbox FROM heliograph_app")
    try:
        with pytest.raises(
            (ProgrammingError, InsufficientPrivilege), match="permission denied for table ledger_outbox"
        ):
            yield
    finally:
        _as_owner("GRANT INSERT ON ledger_outbox TO heliograph_app")


@pytest.fixture
def ledger_refuses() -> LedgerRefuses:
    """`with ledger_refuses():` the outbox cannot be written, and the block is expected to fail of it."""
    return _refusing


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
