"""Blind indexes: how an encrypted value is found again by equality, and how the keys for that are replaced."""

from __future__ import annotations

import hmac
import re
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from hub.vault.data_keys import SCOPE
from hub.vault.envelope import KeyUnavailable
from hub.vault.key_store import KeyStore
from hub.vault.remembered import Remembered

_KEY_ID = re.compile(rf"({SCOPE})#([1-9]\d{{0,5}})", re.ASCII)


class BlindIndex(NamedTuple):
    """The HMAC-SHA-256 of a value, and the key it was taken with (`programme:csea#1`, at most 67 characters)."""

    key_id: str
    digest: bytes


class IndexKey(NamedTuple):
    """One live index key and the moment from which new rows are written with it."""

    key_id: str
    key: bytes
    used_from: datetime


class IndexRotation(NamedTuple):
    """How a scope's index keys are being replaced; `old` are the ids that rows must leave."""

    key_id: str
    old: tuple[str, ...]
    written_from: datetime
    may_retire_from: datetime


class IndexKeys:
    """The index keys of one store, numbered per scope; all live ones are asked, the newest in use writes."""

    def __init__(self, store: KeyStore, *, remember_seconds: float) -> None:
        self.store = store
        self.warm_up = timedelta(seconds=2 * remember_seconds)  # by then every process knows a new key
        self._live: Remembered[str, list[IndexKey]] = Remembered(seconds=remember_seconds, size=256)

    def newest(self, scope: str, value: bytes) -> BlindIndex:
        """Under the newest key that is in use."""
        key = self._in_use(scope)
        return BlindIndex(key.key_id, hmac.digest(key.key, value, "sha256"))

    def digests(self, scope: str, values: Iterable[bytes]) -> list[bytes]:
        """Of several values, under the newest key that is in use, which is looked up once."""
        key = self._in_use(scope).key
        return [hmac.digest(key, value, "sha256") for value in values]

    def _in_use(self, scope: str) -> IndexKey:
        keys = self.live(scope)
        if len(keys) == 1:
            return keys[0]
        now = datetime.now(UTC)
        return next((key for key in keys if key.used_from <= now), keys[-1])

    def every(self, scope: str, value: bytes) -> list[BlindIndex]:
        """Under every live key, newest first."""
        return [BlindIndex(key.key_id, hmac.digest(key.key, value, "sha256")) for key in self.live(scope)]

    def live(self, scope: str) -> list[IndexKey]:
        """The live keys as this process remembers them, newest first; the first of all is made here."""
        return self._live.get(scope, lambda: self._load(scope))

    def live_now(self, scope: str) -> list[IndexKey]:
        """The live keys as they stand in the folder."""
        self._live.forget(scope)
        return self.live(scope)

    def begin_rotation(self, scope: str) -> IndexRotation:
        """Make the next key, unless a rotation is under way; two that begin at once make one key."""
        live = self.live_now(scope)
        if len(live) == 1:
            self.store.find_or_make(_name(scope, _number(live[0].key_id) + 1), used_after=self.warm_up)
            live = self.live_now(scope)
        newest, *old = live
        may_retire_from = newest.used_from + self.warm_up
        return IndexRotation(newest.key_id, tuple(key.key_id for key in old), newest.used_from, may_retire_from)

    def retire(self, scope: str, key_id: str) -> None:
        """Destroy an older key that no row uses any more."""
        match = _KEY_ID.fullmatch(key_id)
        newest = self.live_now(scope)[0]
        if match is None or match[1] != scope or _number(key_id) >= _number(newest.key_id):
            raise ValueError(f"{key_id} is not an index key of {scope} older than {newest.key_id}.")
        settled_at = newest.used_from + self.warm_up
        if datetime.now(UTC) < settled_at:
            raise ValueError(
                f"Until {settled_at:%H:%M:%S} UTC some process may still write with {key_id}; ask again then."
            )
        with self._live.lock:
            self.store.destroy(_name(scope, _number(key_id)))
            self._live.forget(scope)

    def _load(self, scope: str) -> list[IndexKey]:
        self.store.find_or_make(_name(scope, 1))
        files = reversed(self.store.below(f"index/{scope}"))
        live = [file for file in files if file.destroyed_at is None]
        if not live:
            raise KeyUnavailable(f"Every index key of {scope} was retired; restore the key folder.")
        return [
            IndexKey(f"{scope}#{int(file.name.rpartition('/')[2])}", self.store.unwrap(file), file.used_from)
            for file in live
        ]


def _name(scope: str, number: int) -> str:
    if not re.fullmatch(SCOPE, scope, re.ASCII):
        raise ValueError(f"{scope!r} is no scope of the vault.")
    return f"index/{scope}/{number:06}"


def _number(key_id: str) -> int:
    return int(key_id.rpartition("#")[2])
