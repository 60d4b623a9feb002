"""Sealing and opening under one key per scope and month, and destroying a month for good."""

from __future__ import annotations

import re
from functools import partial

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from hub.vault.envelope import CannotOpen, KeyDestroyed, KeyUnavailable, Run, parse, seal
from hub.vault.key_store import KeyStore
from hub.vault.remembered import Remembered

SCOPE = r"(?:hub|programme:[A-Za-z0-9_-]{1,50})"
_PERIOD = r"(?:\d{4}-(?:0[1-9]|1[0-2])|hold(?:-[a-z0-9-]{1,40})?|always)"
_KEY_ID = re.compile(rf"{SCOPE}/{_PERIOD}", re.ASCII)


class DataKeys:
    """The data keys of one store.

    One key per scope and period, for ever: when a month's key is destroyed, its file becomes a tombstone and sealing
    for that month raises KeyDestroyed. A fresh key would let a late or mistaken write live on in a month that
    everybody, the purge step included, believes to be shredded. Where a period must be shredded and used again, as
    with legal holds, name one period per use (`hold-<case>`).
    """

    def __init__(self, store: KeyStore, *, remember_seconds: float) -> None:
        self.store = store
        self._ciphers: Remembered[bytes, AESGCM] = Remembered(seconds=remember_seconds, size=1024)

    def sealer(self, scope: str, period: str) -> Sealer:
        """What seals for a scope and period; ValueError for words that are none."""
        return Sealer(self, _checked_key_id(scope, period))

    def seal(self, key_id: bytes, plaintext: bytes, context: bytes) -> bytes:
        """Encrypt under this key, which is made if there is none."""
        return seal(self._ciphers.get(key_id, lambda: self._load(key_id, make=True)), key_id, plaintext, context)

    def open(self, sealed: bytes, context: bytes) -> bytes:
        """Decrypt, or raise CannotOpen or KeyDestroyed."""
        return self.run_of(sealed).open(sealed, context)

    def run_of(self, sealed: bytes) -> Run:
        """What opens these bytes and others of their key."""
        parts = parse(sealed)
        cipher = self._ciphers.get(parts.key_id, partial(self._load, parts.key_id, make=False))
        return Run(cipher, parts.head)

    def periods(self, scope: str) -> list[str]:
        """The periods that have a key now, in order."""
        prefix, _, _ = _checked_key_id(scope, "always").rpartition("/")
        files = self.store.below(f"data/{prefix}")
        return [file.name.rpartition("/")[2] for file in files if file.destroyed_at is None]

    def destroy(self, scope: str, period: str) -> bool:
        """Destroy a period's key and forget it here at once; returns whether there was one."""
        key_id = _checked_key_id(scope, period)
        if period == "always":
            raise ValueError("What is kept always has no end: only months and holds can be destroyed.")
        with self._ciphers.lock:  # nobody who read the key before can remember it after
            is_destroyed_now = self.store.destroy(f"data/{key_id}")
            self._ciphers.forget(key_id.encode())
        return is_destroyed_now

    def _load(self, key_id: bytes, *, make: bool) -> AESGCM:
        text = key_id.decode("ascii", "replace")
        if not _KEY_ID.fullmatch(text):
            raise CannotOpen("The sealed bytes name no key of this vault.")
        file = self.store.find(f"data/{text}")
        if file is None and not make:
            raise KeyUnavailable(f"The key {text} is not in the key folder.")
        if file is None:
            file = self.store.find_or_make(f"data/{text}")
        elif make:
            self.store.folder.settle(file.name)  # its maker may not have got that far, and we seal with it now
        if file.destroyed_at is not None:
            raise KeyDestroyed(f"The key {text} was destroyed on {file.destroyed_at:%Y-%m-%d}.")
        return AESGCM(self.store.unwrap(file))


class Opener:
    """Opens one after the other; made for a page and not kept, for what it remembers of a key has no end."""

    __slots__ = ("_keys", "_run")

    def __init__(self, keys: DataKeys) -> None:
        self._keys = keys
        self._run: Run | None = None

    def open(self, sealed: bytes, context: bytes) -> bytes:
        """Decrypt, or raise CannotOpen or KeyDestroyed."""
        run = self._run
        if run is None or not run.holds(sealed):
            run = self._run = self._keys.run_of(sealed)
        return run.open(sealed, context)


class Sealer:
    """Seals for one scope and period; cheap to make, safe to keep and to share between threads."""

    __slots__ = ("_key_id", "_keys")

    def __init__(self, keys: DataKeys, key_id: str) -> None:
        self._keys = keys
        self._key_id = key_id.encode()

    def seal(self, plaintext: bytes, *, context: bytes) -> bytes:
        """Encrypt `plaintext` for one place; `context` names it (`b"signals.statement.jws:<row id>"`).

        Makes the period's key on first use. Raises KeyDestroyed for a period whose key was destroyed.
        """
        return self._keys.seal(self._key_id, plaintext, context)


def _checked_key_id(scope: str, period: str) -> str:
    key_id = f"{scope}/{period}"
    if not _KEY_ID.fullmatch(key_id):
        raise ValueError(f"{scope!r} and {period!r} are no scope and period of the vault.")
    return key_id
