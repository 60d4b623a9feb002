"""The ledger's own signing keys: they sign checkpoints and nothing else; no webhook and no document bears them."""

from __future__ import annotations

from functools import lru_cache

from hub.vault.hub_keys import HubKey, HubKeys
from hub.vault.key_store import KeyStore
from hub.vault.keyring import keyring

_REMEMBER_SECONDS = 30.0


def signers() -> list[HubKey]:
    """The key that signs checkpoints now, and for two days after a rotation also the one it replaced: newest first.

    Both sign meanwhile, so that who knows only the old key learns of the new one from a log that it still can check.
    """
    return _keys().signers()


def every_public() -> list[str]:
    """The public halves of all keys there ever were, newest first, in base64url: old checkpoints need old keys."""
    return _keys().every()


def rotate() -> str:
    """Make the next key and return its kid: published at once, signing a minute later, beside the old one at first."""
    return _keys().rotate()


def _keys() -> HubKeys:
    return _keys_of(keyring().store)


@lru_cache(maxsize=4)
def _keys_of(store: KeyStore) -> HubKeys:
    return HubKeys(store, remember_seconds=_REMEMBER_SECONDS, shelf="checkpoints")
