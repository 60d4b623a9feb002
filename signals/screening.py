"""Which values are well known to be harmless: asked once for a whole batch."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from signals.core import benign
from signals.core.indicators import Reading
from signals.models import WarningEntry


def harmless(readings: Mapping[int, Reading]) -> dict[int, str]:
    """The lines whose value stands on a warning list, each with the list's name. One query."""
    keys: dict[bytes, list[int]] = {}
    for number, reading in readings.items():
        for key in benign.lookup_keys(reading):
            keys.setdefault(entry_key(key), []).append(number)
    if not keys:
        return {}
    hits = WarningEntry.objects.filter(key__in=list(keys)).values_list("key", "list__name")
    return {number: name for key, name in hits for number in keys[bytes(key)]}


def entry_key(key: str) -> bytes:
    """A lookup key as the table holds it."""
    return hashlib.sha256(key.encode("utf-8")).digest()
