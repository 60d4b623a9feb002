"""Which values are well known to be harmless: asked once for a whole batch."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from django.db import connection

from signals.core import benign
from signals.core.indicators import Reading
from signals.models.copying import array


def harmless(readings: Mapping[int, Reading]) -> dict[int, str]:
    """The lines whose value stands on a warning list, each with the list's name. One query."""
    keys: dict[bytes, list[int]] = {}
    for number, reading in readings.items():
        for key in benign.lookup_keys(reading):
            keys.setdefault(entry_key(key), []).append(number)
    if not keys:
        return {}
    with connection.cursor() as cursor:
        cursor.execute(_NAMED, [array(keys)])
        return {number: name for key, name in cursor.fetchall() for number in keys[bytes(key)]}


def entry_key(key: str) -> bytes:
    """A lookup key as the table holds it."""
    return hashlib.sha256(key.encode("utf-8")).digest()


_NAMED = """
SELECT entry.key, list.name
  FROM signals_warningentry AS entry JOIN signals_warninglist AS list ON list.id = entry.list_id
 WHERE entry.key = ANY(%s::bytea[])
"""
