"""The vault's front door: seal, open, blind indexes, named secrets, and destroying a month for good."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path

from django.conf import settings

from hub.vault.data_keys import DataKeys, Opener, Sealer
from hub.vault.envelope import CannotOpen, KeyDestroyed, KeyUnavailable, parse
from hub.vault.folder import KeyFolder
from hub.vault.index_keys import BlindIndex, IndexKeys, IndexRotation
from hub.vault.key_store import KeyStore
from hub.vault.providers import KeyProvider, provider_for
from hub.vault.remembered import Remembered

__all__ = ["BlindIndex", "CannotOpen", "IndexRotation", "KeyDestroyed", "KeyUnavailable", "Opener", "Sealer"]

_REMEMBER_SECONDS = 30.0  # a destroyed key is forgotten everywhere within this
_SECRET = re.compile(r"[a-z0-9-]{1,64}", re.ASCII)


class Keyring:
    """Every kind of key in one folder under one provider. The functions below use the one that the settings name."""

    def __init__(
        self, folder: KeyFolder, provider: KeyProvider, *, remember_seconds: float = _REMEMBER_SECONDS
    ) -> None:
        self.store = KeyStore(folder, provider)
        self.data = DataKeys(self.store, remember_seconds=remember_seconds)
        self.index = IndexKeys(self.store, remember_seconds=remember_seconds)
        self._secrets: Remembered[str, bytes] = Remembered(seconds=remember_seconds, size=256)

    def secret(self, name: str) -> bytes:
        """32 random bytes for one purpose, made on first use, the same ever after."""
        return self._secrets.get(name, lambda: self._load_secret(name))

    def _load_secret(self, name: str) -> bytes:
        if not _SECRET.fullmatch(name):
            raise ValueError(f"{name!r} is no name for a secret: small letters, digits and hyphens.")
        return self.store.unwrap(self.store.find_or_make(f"secret/{name}"))


def keyring() -> Keyring:
    """The keyring that the settings name."""
    return _keyring(str(settings.KEYS_DIR), settings.KEY_ENCRYPTION_KEY, settings.IS_PRODUCTION)


@lru_cache(maxsize=4)
def _keyring(keys_dir: str, key_encryption_key: str, is_production: bool) -> Keyring:
    place = Path(keys_dir)
    provider = provider_for(place, key_encryption_key, is_production=is_production)
    return Keyring(KeyFolder(place), provider)


def sealer(scope: str, period: str) -> Sealer:
    """What seals for a scope ("hub", "programme:<slug>") and a period ("2026-11", "hold", "hold-<word>", "always").

    The period is the month in which what is sealed expires: that month's end is when its key is destroyed.
    """
    return keyring().data.sealer(scope, period)


def open_sealed(sealed: bytes, *, context: bytes) -> bytes:
    """The plaintext of what `Sealer.seal` returned for the same `context`.

    Raises CannotOpen (altered, or sealed for another place; its kind KeyUnavailable: the key cannot be read here) or
    KeyDestroyed (gone for ever).
    """
    return keyring().data.open(sealed, context)


def opener() -> Opener:
    """What opens a page, one after the other, as `open_sealed` does; a key is looked up once for a run of its bytes."""
    return Opener(keyring().data)


def destroy_period(scope: str, period: str) -> bool:
    """Destroy the key of a month or a hold: what it sealed cannot be opened again, in no backup of the database either.

    Returns whether a key was destroyed now. This process forgets the key at once, the others within 30 seconds; what
    they seal meanwhile is lost with the rest. A tombstone stays, so that no second key is ever made for the period.
    Not undone by a rollback: call it after the transaction that records it.
    """
    return keyring().data.destroy(scope, period)


def period_of(sealed: bytes) -> str:
    """The period whose key sealed these bytes ("2026-11", "hold-7f3a"); raises CannotOpen for bytes not sealed here."""
    return parse(sealed).key_id.decode("ascii", "replace").rpartition("/")[2]


def list_periods(scope: str) -> list[str]:
    """The periods of a scope that have a key now, in order: months first, then `always` and holds."""
    return keyring().data.periods(scope)


def month_of(at: datetime) -> str:
    """The month of a moment, in UTC: "2026-11"."""
    if at.tzinfo is None:
        raise ValueError("A moment needs its time zone.")
    at = at.astimezone(UTC)
    return f"{at.year:04}-{at.month:02}"


def blind_index(scope: str, value: bytes) -> BlindIndex:
    """What a new row stores to be found by: the value's HMAC-SHA-256 under the scope's newest index key in use."""
    return keyring().index.newest(scope, value)


def blind_indexes(scope: str, value: bytes) -> list[BlindIndex]:
    """The same under every live key, newest first: look-ups, gates and uniqueness ask them all."""
    return keyring().index.every(scope, value)


def live_index_keys(scope: str) -> list[str]:
    """The ids of the scope's live index keys, newest first, read afresh; several mean that a rotation is under way."""
    return [key.key_id for key in keyring().index.live_now(scope)]


def begin_index_rotation(scope: str) -> IndexRotation:
    """Make a new index key for the scope; while a rotation is under way, describe that one instead.

    Look-ups ask the new key at once; `blind_index` writes with it from `written_from` (a minute later), when every
    process has learned of it. The signals command waits for that, re-computes the rows whose key id is in `old`, in
    chunks, each in its own transaction (open the sealed value, store `blind_index(scope, value)`), and from
    `may_retire_from` on calls `retire_index_key` when a count finds no row left under the old id. Uniqueness during a
    rotation is a question to all `blind_indexes` under the caller's lock: a unique constraint sees one key only.
    Killed anywhere, it is resumed by running it again.
    """
    return keyring().index.begin_rotation(scope)


def retire_index_key(scope: str, key_id: str) -> None:
    """Destroy an older index key that no row uses any more; asking twice changes nothing.

    Raises ValueError for the newest key, for an unknown one, and in the first two minutes of a rotation, while some
    process might still write with the old key.
    """
    keyring().index.retire(scope, key_id)


def secret(name: str) -> bytes:
    """32 random bytes for one purpose ("cursor", "webhook-id"), made on first use, the same ever after."""
    return keyring().secret(name)
