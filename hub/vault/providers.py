"""Where the key-encryption key lives: a file, the environment, or, by another KeyProvider, a key management service."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
import secrets
from abc import ABC, abstractmethod
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple, Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from django.core.exceptions import ImproperlyConfigured

from hub.vault.envelope import KeyUnavailable
from hub.vault.folder import KeyFolder, make_private_folder, sync_folder

_KEY_BYTES = 32
_NONCE = 12


class Wrapped(NamedTuple):
    """A key encrypted under a key-encryption key, and that one's id."""

    kek: str
    body: bytes


class KeyProvider(Protocol):
    """Wraps and unwraps 32-byte keys; the key-encryption key itself need never leave it.

    A key management service fits by encrypting and decrypting remotely: `context` becomes its encryption context, `ids`
    its key's version names. The hub unwraps a key at most twice a minute per process, so a remote call is affordable.
    """

    def ids(self) -> list[str]:
        """The key-encryption keys that can unwrap, newest first; the first one wraps."""

    def wrap(self, key: bytes, *, context: bytes) -> Wrapped:
        """Encrypt a key under the newest key-encryption key, bound to `context`."""

    def unwrap(self, wrapped: Wrapped, *, context: bytes) -> bytes:
        """The key, or KeyUnavailable."""


class _LocalKeys(ABC):
    """Key-encryption keys in this process's memory, used as AES-256-GCM."""

    where: str

    @abstractmethod
    def _keys(self) -> dict[str, bytes]:
        """Key-encryption keys by id, newest first; never empty."""

    def ids(self) -> list[str]:
        """See KeyProvider."""
        return list(self._keys())

    def wrap(self, key: bytes, *, context: bytes) -> Wrapped:
        """See KeyProvider."""
        kek, secret = next(iter(self._keys().items()))
        nonce = os.urandom(_NONCE)
        return Wrapped(kek, nonce + AESGCM(secret).encrypt(nonce, key, context))

    def unwrap(self, wrapped: Wrapped, *, context: bytes) -> bytes:
        """See KeyProvider."""
        secret = self._keys().get(wrapped.kek)
        if secret is None:
            raise KeyUnavailable(
                f"A key is wrapped under the key-encryption key {wrapped.kek}, which is not in {self.where}. "
                "Put it back; it may go only when `manage.py rotate_key_encryption_key` says that nothing needs it."
            )
        try:
            return AESGCM(secret).decrypt(wrapped.body[:_NONCE], wrapped.body[_NONCE:], context)
        except (InvalidTag, ValueError):
            raise KeyUnavailable("A key file was altered: it does not open under its key-encryption key.") from None


class EnvironmentKeys(_LocalKeys):
    """Key-encryption keys in HELIOGRAPH_KEY_ENCRYPTION_KEY: base64 of 32 bytes each, comma-separated, newest first."""

    where = "HELIOGRAPH_KEY_ENCRYPTION_KEY"

    def __init__(self, text: str) -> None:
        self._parsed = {kek_id(key): key for key in map(_decoded, text.split(","))}

    def _keys(self) -> dict[str, bytes]:
        return self._parsed


class FileKeys(_LocalKeys):
    """Key-encryption keys as files `kek/<id>.key` in the key folder; the one made last is the newest.

    Good for development and for one machine. In production prefer the environment or a KMS, or at least a mount of its
    own for `kek/`: a copy of the whole key folder opens everything.
    """

    def __init__(self, folder: KeyFolder, *, may_create: bool) -> None:
        self.folder = folder
        self.place = folder.root / "kek"
        self.where = str(self.place)
        self.may_create = may_create

    def create(self) -> str:
        """Make another key-encryption key and return its id; from now on it wraps every new key."""
        with self.folder.lock():
            return self._create()

    def delete(self, kek: str) -> None:
        """Overwrite and remove one that wraps nothing any more."""
        path = self.place / f"{kek}.key"
        with path.open("r+b", buffering=0) as file:
            file.write(secrets.token_bytes(path.stat().st_size))
            os.fsync(file.fileno())
        path.unlink()
        sync_folder(self.place)

    def _keys(self) -> dict[str, bytes]:
        keys = self._read()
        if not keys and self.may_create:
            with self.folder.lock():
                if not self._read():
                    self._create()
            keys = self._read()
        if not keys:
            raise KeyUnavailable(
                "There is no key-encryption key. "
                f"Run `manage.py create_key_encryption_key` once to make one in {self.place}, or "
                "set HELIOGRAPH_KEY_ENCRYPTION_KEY to the base64 of 32 random bytes (`openssl rand -base64 32`)."
            )
        return keys

    def _read(self) -> dict[str, bytes]:
        found: list[tuple[str, str, bytes]] = []
        for path in self.place.glob("*.key"):
            try:
                document = json.loads(path.read_bytes())
                key = base64.b64decode(document["key"], validate=True)
                made_at = str(document["made_at"])
            except FileNotFoundError:
                continue  # deleted since the listing
            except (ValueError, KeyError, TypeError):
                raise KeyUnavailable(f"{path} is not a key-encryption key file.") from None
            if len(key) != _KEY_BYTES or path.stem != kek_id(key):
                raise KeyUnavailable(f"{path} does not hold the key that its name says.")
            found.append((made_at, path.stem, key))
        return {kek: key for _, kek, key in sorted(found, reverse=True)}

    def _create(self) -> str:
        key = secrets.token_bytes(_KEY_BYTES)
        document = {"made_at": datetime.now(UTC).isoformat(), "key": base64.b64encode(key).decode()}
        make_private_folder(self.place)
        path = self.place / f"{kek_id(key)}.key"
        temporary = self.place / f".{path.name}.new"
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            json.dump(document, file)
            file.flush()
            os.fsync(file.fileno())
        temporary.rename(path)
        sync_folder(self.place)
        sync_folder(self.folder.root)
        return path.stem


def kek_id(key: bytes) -> str:
    """16 hex digits that name a key-encryption key without telling it, the same wherever the key is kept."""
    return hmac.digest(key, b"heliograph key-encryption key id", hashlib.sha256)[:8].hex()


def _decoded(text: str) -> bytes:
    try:
        key = base64.b64decode(text.strip(), validate=True)
    except ValueError:  # binascii.Error is one, and so is a letter outside ASCII
        key = b""
    if len(key) != _KEY_BYTES:
        raise ImproperlyConfigured(
            "HELIOGRAPH_KEY_ENCRYPTION_KEY must be the base64 of 32 random bytes (`openssl rand -base64 32`), "
            "or several of them separated by commas, newest first."
        )
    return key


def provider_for(keys_dir: Path, key_encryption_key: str, *, is_production: bool) -> KeyProvider:
    """The provider the settings ask for; in production an unprepared key folder is refused, never filled afresh."""
    folder = KeyFolder(keys_dir)
    if is_production and not folder.is_prepared():
        raise KeyUnavailable(
            f"{keys_dir} is not a key folder of this hub. "
            "If this is the first start, run `manage.py create_key_encryption_key`; "
            "otherwise mount or restore the folder, for starting without it would lose everything sealed so far."
        )
    if key_encryption_key:
        return EnvironmentKeys(key_encryption_key)
    return FileKeys(folder, may_create=not is_production)
