"""What sealed bytes look like: version, key id, nonce, ciphertext and tag, bound to the place they were sealed for."""

from __future__ import annotations

import os
from typing import NamedTuple

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

_VERSION = 1
_NONCE = 12  # bytes; NIST SP 800-38D §8.2.2: random nonces are good for 2**32 seals under one key
_TAG = 16
_HEAD = 2  # version, length of the key id


class VaultError(Exception):
    """Something is wrong with a key or with what it sealed; the text never holds a key or a plaintext."""


class CannotOpen(VaultError):
    """The sealed bytes were altered, cut, or moved from the row and column they were sealed for."""


class KeyUnavailable(CannotOpen):
    """The key cannot be reached or read here; says nothing about the sealed bytes, and an operator must act."""


class KeyDestroyed(VaultError):
    """The key was destroyed on purpose: what it sealed is gone for ever, in every backup too."""


class Sealed(NamedTuple):
    """Sealed bytes, taken apart but not yet opened."""

    key_id: bytes
    head: bytes  # what comes before the nonce


def seal(cipher: AESGCM, key_id: bytes, plaintext: bytes, context: bytes) -> bytes:
    """AES-256-GCM (NIST SP 800-38D) under a random nonce; the head and `context` are the associated data.

    `context` names the place: table, column and row. `key_id` is 1 to 255 bytes. Adds 30 bytes and the key id.
    """
    head = bytes((_VERSION, len(key_id))) + key_id
    nonce = os.urandom(_NONCE)
    return head + nonce + cipher.encrypt(nonce, plaintext, head + context)


def parse(sealed: bytes) -> Sealed:
    """Take sealed bytes apart, or raise CannotOpen."""
    if len(sealed) < _HEAD or sealed[0] != _VERSION:
        raise CannotOpen("These bytes were not sealed by this vault.")
    start = _HEAD + sealed[1]
    if len(sealed) < start + _NONCE + _TAG:
        raise CannotOpen("The sealed bytes were cut short.")
    return Sealed(sealed[_HEAD:start], sealed[:start])


class Run:
    """Opens what one key sealed, of which a page holds a thousand in a row: its head is taken apart once."""

    __slots__ = ("_body", "_cipher", "_head", "_nonce")

    def __init__(self, cipher: AESGCM, head: bytes) -> None:
        self._cipher, self._head = cipher, head
        self._nonce = len(head)
        self._body = len(head) + _NONCE

    def holds(self, sealed: bytes) -> bool:
        """Whether these bytes belong to it, as far as their head and length tell."""
        return sealed.startswith(self._head) and len(sealed) >= self._body + _TAG

    def open(self, sealed: bytes, context: bytes) -> bytes:
        """The plaintext of bytes that it holds, or CannotOpen."""
        try:
            return self._cipher.decrypt(sealed[self._nonce : self._body], sealed[self._body :], self._head + context)
        except InvalidTag:
            raise CannotOpen("The sealed bytes were altered, or belong to another place.") from None
