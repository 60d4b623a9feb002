"""The hub's own signing keys: which one signs now, what the world may check with, and how they are replaced."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import lru_cache, partial

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from hub.jose import thumbprint, to_base64url
from hub.vault.key_files import KeyFile
from hub.vault.key_store import KeyStore
from hub.vault.keyring import keyring
from hub.vault.remembered import Remembered

OVERLAP = timedelta(days=30)  # how long a replaced key stays in the JWKS for what it signed
SIGNING_OVERLAP = timedelta(days=2)  # how long what must be known by its key is signed with the replaced one too
_REMEMBER_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class HubKey:
    """An Ed25519 key of the hub. `x` is its public half in base64url, `kid` that JWK's RFC 7638 thumbprint."""

    kid: str
    x: str
    used_from: datetime
    private_key: Ed25519PrivateKey = field(repr=False)

    def sign(self, message: bytes) -> bytes:
        """The 64 bytes of an Ed25519 signature (RFC 8032)."""
        return self.private_key.sign(message)


class HubKeys:
    """The signing keys of one shelf of a store, numbered; a new one signs once every process could publish it."""

    def __init__(self, store: KeyStore, *, remember_seconds: float, shelf: str = "signing") -> None:
        self.store = store
        self.shelf = shelf
        self.warm_up = timedelta(seconds=2 * remember_seconds)
        self._files: Remembered[str, list[KeyFile]] = Remembered(seconds=remember_seconds, size=1)
        self._keys: Remembered[str, HubKey] = Remembered(seconds=remember_seconds, size=8)

    def current(self) -> HubKey:
        """The key that signs now, made on first use."""
        file = _in_use(self._all(), datetime.now(UTC))
        return self._keys.get(file.name, lambda: self._load(file))

    def signers(self) -> list[HubKey]:
        """The key that signs now and, for a while, the one it replaced: newest first."""
        now = datetime.now(UTC)
        files = self._all()
        at = files.index(_in_use(files, now))
        replaced = files[at + 1 : at + 2] if files[at].used_from > now - SIGNING_OVERLAP else []
        return [self._keys.get(file.name, partial(self._load, file)) for file in (files[at], *replaced)]

    def public_jwks(self) -> dict[str, list[dict[str, str]]]:
        """Keys to come, in use, and replaced within the overlap, newest first (RFC 7517)."""
        files = self._all()
        now = datetime.now(UTC)
        successors = [None, *files[:-1]]
        told = [file for file, next_one in zip(files, successors, strict=True) if _is_told(next_one, now)]
        return {"keys": [_jwk(file.public) for file in told]}

    def every(self) -> list[str]:
        """The public halves of all there ever were, newest first, in base64url: also those to come and those gone."""
        return [file.public for file in self._all()]

    def rotate(self) -> str:
        """Make the next key and destroy the private halves that no longer sign; returns the new kid.

        While a new key is not in use yet, that one is returned instead, so that asking twice makes one key.
        """
        self._files.forget("")
        newest, *_ = self._all()
        now = datetime.now(UTC)
        if newest.used_from > now:
            return _kid(newest.public)
        for file in self._all()[1:]:
            self.store.destroy(file.name)
        made = self._make(int(newest.name.rpartition("/")[2]) + 1, used_after=self.warm_up)
        self._files.forget("")
        return _kid(made.public)

    def _all(self) -> list[KeyFile]:
        return self._files.get("", self._read)

    def _read(self) -> list[KeyFile]:
        return self.store.below(self.shelf)[::-1] or [self._make(1, used_after=timedelta())]

    def _make(self, number: int, *, used_after: timedelta) -> KeyFile:
        private_key = Ed25519PrivateKey.generate()
        x = to_base64url(private_key.public_key().public_bytes_raw())
        name = f"{self.shelf}/{number:06}"
        return self.store.make(name, private_key.private_bytes_raw(), used_after=used_after, public=x)

    def _load(self, file: KeyFile) -> HubKey:
        private_key = Ed25519PrivateKey.from_private_bytes(self.store.unwrap(file))
        return HubKey(_kid(file.public), file.public, file.used_from, private_key)


def current() -> HubKey:
    """The hub's key that signs now; ask for it each time, for it may be replaced within a minute."""
    return _hub_keys().current()


def signers() -> list[HubKey]:
    """The hub's key that signs now, and for two days also the one it replaced, for those who pinned that one."""
    return _hub_keys().signers()


def public_jwks() -> dict[str, list[dict[str, str]]]:
    """The hub's public keys as a JWK set, for `/.well-known/jwks.json`.

    Without `alg`: some libraries refuse a key whose `alg` is the newer name `Ed25519`, others the older `EdDSA`.
    """
    return _hub_keys().public_jwks()


def rotate() -> str:
    """Make the hub's next signing key and return its kid: published at once, signing a minute later.

    The key it replaces stays in the JWKS for 30 days; its private half is destroyed by the next rotation.
    """
    return _hub_keys().rotate()


def _hub_keys() -> HubKeys:
    return _hub_keys_of(keyring().store)


@lru_cache(maxsize=4)
def _hub_keys_of(store: KeyStore) -> HubKeys:
    return HubKeys(store, remember_seconds=_REMEMBER_SECONDS)


def _in_use(files: list[KeyFile], now: datetime) -> KeyFile:
    return next((file for file in files if file.used_from <= now), files[-1])


def _is_told(successor: KeyFile | None, now: datetime) -> bool:
    return successor is None or now < successor.used_from + OVERLAP


def _jwk(x: str) -> dict[str, str]:
    return {"kty": "OKP", "crv": "Ed25519", "x": x, "kid": _kid(x), "use": "sig"}


def _kid(x: str) -> str:
    return thumbprint({"kty": "OKP", "crv": "Ed25519", "x": x})
