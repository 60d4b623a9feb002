"""Many rows at once by COPY: what a thousand-line batch is written with.

The text format, written here: psycopg's adapters look up a dumper for every value, which costs more than the row.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from functools import lru_cache
from uuid import UUID

from django.db import connection, models

_ESCAPES = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"})


def copy_rows(model: type[models.Model], columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Insert `rows`, each in the order of `columns` (database column names), within the caller's transaction.

    Values are None, text, bytes, integers, booleans, UUIDs, aware datetimes, and lists of text or integers;
    anything else is a KeyError. Columns left out take their database default or NULL. Constraints hold as for any
    insert.
    """
    written = "".join(["\t".join([_FORMATS[type(value)](value) for value in row]) + "\n" for row in rows])
    if not written:
        return
    names = ", ".join(f'"{column}"' for column in columns)
    statement = f'COPY "{model._meta.db_table}" ({names}) FROM STDIN'
    # Django translates the errors of `execute` only: a database that goes away in a COPY must be known as just that.
    with connection.wrap_database_errors, connection.cursor() as cursor, cursor.copy(statement) as copy:
        copy.write(written)


def array(items: Iterable[str | bytes]) -> str:
    """Text or bytes as PostgreSQL writes an array of them: one parameter, where psycopg would quote each by itself."""
    return (
        "{" + ",".join([f'"\\\\x{item.hex()}"' if isinstance(item, bytes) else _quoted(item) for item in items]) + "}"
    )


def _list(items: list[str] | list[int]) -> str:
    if not items:
        return "{}"
    return _text("{" + ",".join([_quoted(item) if isinstance(item, str) else str(item) for item in items]) + "}")


def _quoted(item: str) -> str:
    escaped = item.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _text(value: str) -> str:
    if value.isprintable() and "\\" not in value:  # nearly always, and eight times as fast
        return value
    return value.translate(_ESCAPES)


_FORMATS: dict[type, Callable[..., str]] = {
    type(None): lambda _: "\\N",
    bool: lambda value: "t" if value else "f",
    bytes: lambda value: "\\\\x" + value.hex(),
    datetime: lru_cache(maxsize=64)(datetime.isoformat),  # a batch has a handful of moments
    int: str,
    list: _list,
    str: _text,
    UUID: lambda value: f"{value.int:032x}",  # PostgreSQL reads it without hyphens too
}
