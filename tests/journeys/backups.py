"""Copy the database away and put the copy in its place, as a backup and a restore do."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connections

from hub.ledger import serving
from tests.cluster import postgres

_ALIASES = ("default", "owner", "ledger")


def back_up() -> str:
    """The name of a copy of the database as it is now."""
    name, source = f"heliograph_backup_{uuid.uuid4().hex[:8]}", _point_at(None)
    with postgres.bootstrap_connection() as connection:
        connection.execute(f'CREATE DATABASE "{name}" TEMPLATE "{source}" OWNER heliograph_owner STRATEGY FILE_COPY')
    return name


@contextmanager
def put_back(name: str) -> Iterator[None]:
    """Within the block the hub works on the copy; afterwards the copy is dropped."""
    original = _point_at(name)
    try:
        yield
    finally:
        _point_at(original)
        with postgres.bootstrap_connection() as connection:
            connection.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')


def _point_at(name: str | None) -> str:
    """Close every connection, and reopen them on another database if one is named; returns the one it was."""
    before = str(connections["default"].settings_dict["NAME"])
    for alias in _ALIASES:
        connections[alias].close()
        connections[alias].settings_dict["NAME"] = name or before
    serving.forget()
    return before
