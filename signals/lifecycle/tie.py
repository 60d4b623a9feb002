"""Keep, blind, what ties a signal to others; it changes nothing of the signal and is computed anew at any time."""

from __future__ import annotations

from collections.abc import Mapping
from uuid import UUID

from hub.vault.keyring import keyring
from signals.core import ties
from signals.core.indicators import Reading
from signals.models import Ties
from signals.models.copying import copy_rows


def ties_of(scope: str, reading: Reading, *, issuer_id: int, incident: str | None) -> list[int]:
    """The keys to keep, under the newest index key of the scope ("programme:csea"); often none."""
    found = ties.ties(reading, issuer_id=issuer_id, incident=incident)
    return [as_key(digest) for digest in keyring().index.digests(scope, found)] if found else []


def as_key(digest: bytes) -> int:
    """The first eight bytes of a blind index as PostgreSQL's bigint: enough to tell ties apart, never a value."""
    return int.from_bytes(digest[:8], "big", signed=True)


def write_new(kept: Mapping[UUID, list[int]]) -> None:
    """Keep the ties of signals that have none yet, within the caller's transaction."""
    copy_rows(Ties, ["signal_id", "keys"], ((identity, keys) for identity, keys in kept.items() if keys))


def write_anew(kept: Mapping[UUID, list[int]]) -> None:
    """Keep them in place of those there are, within the caller's transaction."""
    Ties.objects.filter(signal_id__in=list(kept)).delete()
    write_new(kept)
