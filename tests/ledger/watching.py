"""A watch on the database: which columns each transaction of the code under test wrote, and whether it left a leaf."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from django.db import connection, transaction

from tests.cluster import postgres

ROOT = Path(__file__).parents[2]

# Row by row, so that an UPDATE names the columns that really changed. Runs as its owner: the application may not look.
_INSTALL = """
CREATE TABLE watch_written (unit integer, door text, name text, operation text, columns text[]);
CREATE FUNCTION watch_note() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = public AS $$
DECLARE
    before jsonb := CASE WHEN TG_OP = 'INSERT' THEN '{}'::jsonb ELSE to_jsonb(OLD) END;
    after jsonb := CASE WHEN TG_OP = 'DELETE' THEN '{}'::jsonb ELSE to_jsonb(NEW) END;
    door text := current_setting('watch.door', true);
BEGIN
    IF coalesce(door, '') <> '' THEN
        INSERT INTO watch_written
        SELECT nullif(current_setting('watch.unit', true), '')::integer, door, TG_ARGV[0], TG_OP,
               array(SELECT key FROM jsonb_object_keys(before || after) AS key
                      WHERE before -> key IS DISTINCT FROM after -> key);
    END IF;
    RETURN NULL;
END $$;
"""
_TABLES = """
SELECT relname FROM pg_class
 WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p') AND NOT relispartition
   AND relname NOT IN ('watch_written', 'ledger_leaf', 'ledger_frontier', 'ledger_subject', 'django_migrations')
"""


@dataclass(frozen=True, slots=True)
class Write:
    """What one transaction did to one table; `columns` are those whose value changed."""

    unit: int | None  # None: outside every transaction of the code's own
    door: str
    table: str
    operation: str
    columns: frozenset[str]


@dataclass
class Watch:
    """What was written while a door was open, and which functions opened transactions."""

    opened: set[tuple[str, str]] = field(default_factory=set)  # functions that opened a transaction, by path and name
    found: set[Write] = field(default_factory=set)
    unit: int = 0
    depth: int = 0
    base: int = 0  # the depth at which the open door's own transactions begin

    @contextmanager
    def door(self, name: str) -> Iterator[None]:
        """Everything in the block belongs to this door."""
        self.base = self.depth
        _set("watch.door", name)
        try:
            yield
        finally:
            _set("watch.door", "")
            with connection.cursor() as cursor:
                cursor.execute("SELECT DISTINCT unit, door, name, operation, columns FROM watch_written")
                for unit, door, table, operation, columns in cursor.fetchall():
                    self.found.add(Write(unit, door, table, operation, frozenset(columns)))

    def unsaid(self, without_a_leaf: Mapping[str, str]) -> set[str]:
        """Every column (as table.column, or table) that some transaction changed and left no leaf for."""
        said = {(write.door, write.unit) for write in self.found if write.table == "ledger_outbox"}
        return {
            f"{column} by {write.door}"
            for write in self.found
            if (write.door, write.unit) not in said or write.unit is None
            for column in columns_of(write)
            if write.table not in without_a_leaf and column not in without_a_leaf
        }


def columns_of(write: Write) -> set[str]:
    """An inserted or deleted row changes its table; an updated one its columns."""
    if write.operation != "UPDATE":
        return {f"{write.table} ({write.operation.lower()})"}
    return {f"{write.table}.{column}" for column in write.columns}


@contextmanager
def watching(monkeypatch: pytest.MonkeyPatch) -> Iterator[Watch]:
    """Watch the database of the test's module, which is thrown away after it. What the test writes is undone."""
    name = connection.settings_dict["NAME"]
    with postgres.bootstrap_connection(name) as owner:
        if owner.execute("SELECT to_regclass('watch_written')").fetchone() == (None,):
            owner.execute(_INSTALL)
            for (table,) in owner.execute(_TABLES).fetchall():
                owner.execute(
                    f'CREATE TRIGGER watch AFTER INSERT OR UPDATE OR DELETE ON "{table}"'
                    f" FOR EACH ROW EXECUTE FUNCTION watch_note('{table}')"
                )
            owner.execute("GRANT SELECT ON watch_written TO heliograph_app")
    outermost = transaction.atomic()
    outermost._from_testcase = True  # type: ignore[attr-defined]  # what Django's own test cases say: no transaction
    with outermost:
        watch = Watch()
        _count_transactions(watch, monkeypatch)
        yield watch
        transaction.set_rollback(True)
        monkeypatch.undo()


def writers(*rooms: str) -> set[tuple[str, str]]:
    """Every function of these folders and files that opens a transaction, by path and name."""
    found = set()
    for room in rooms:
        for path in sorted((ROOT / room).rglob("*.py")) if (ROOT / room).is_dir() else [ROOT / room]:
            text = path.read_text()
            if "transaction.atomic" in text and "migrations" not in path.parts:
                for node in ast.walk(ast.parse(text)):
                    if isinstance(node, ast.FunctionDef) and "transaction.atomic" in ast.unparse(node):
                        found.add((path.relative_to(ROOT).as_posix(), node.name))
    return found


def _count_transactions(watch: Watch, monkeypatch: pytest.MonkeyPatch) -> None:
    """Number the code's own outermost transactions: savepoints within the test's, commits in production."""
    enter, leave = transaction.Atomic.__enter__, transaction.Atomic.__exit__

    def entering(atomic: transaction.Atomic) -> None:
        enter(atomic)
        watch.depth += 1
        code = sys._getframe(1).f_code
        if code.co_filename.startswith(str(ROOT)):
            watch.opened.add((Path(code.co_filename).relative_to(ROOT).as_posix(), code.co_name))
        if watch.depth == watch.base + 1:
            watch.unit += 1
            _set("watch.unit", str(watch.unit))

    def leaving(atomic: transaction.Atomic, *error: Any) -> None:
        watch.depth -= 1
        try:
            leave(atomic, *error)
        finally:
            if watch.depth == watch.base:
                _set("watch.unit", "")

    monkeypatch.setattr(transaction.Atomic, "__enter__", entering)
    monkeypatch.setattr(transaction.Atomic, "__exit__", leaving)


def _set(name: str, value: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT set_config(%s, %s, false)", [name, value])
