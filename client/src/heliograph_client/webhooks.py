"""Webhook signatures after Standard Webhooks 1.0: `v1` (HMAC-SHA256, `whsec_…`) and `v1a` (Ed25519, `whpk_…`)."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

TOLERANCE: Final = timedelta(minutes=5)
_MAX_SIGNATURES: Final = 16  # more is no rotation, but somebody who wants us to compute


class WebhookRefused(Exception):
    """Not the hub's request. Codes: missing-header, bad-timestamp, too-old, too-new, no-matching-signature."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


def read_secret(text: str) -> tuple[str, bytes]:
    """("v1", HMAC key) of a `whsec_…`, ("v1a", public key) of a `whpk_…`. `ValueError`, without the text, otherwise."""
    version, prefix = ("v1a", "whpk_") if text.startswith("whpk_") else ("v1", "whsec_")
    try:
        raw = base64.b64decode(text.removeprefix(prefix), validate=True)
    except ValueError:
        raw = b""
    if not text.startswith(prefix) or (len(raw) != 32 if version == "v1a" else not 24 <= len(raw) <= 64):
        raise ValueError("a webhook secret is whsec_ or whpk_ and base64") from None
    return version, raw


def verify(headers: Mapping[str, str], body: bytes, secrets: Iterable[str], *, at: datetime) -> str:
    """The `webhook-id`, if one of the secrets signed these bytes within five minutes of `at`; else `WebhookRefused`.

    `headers` may have any case. Give the old and the new secret while one is being rotated.
    """
    named = {name.lower(): value for name, value in headers.items()}
    try:
        webhook_id, timestamp, signatures = (named[f"webhook-{part}"] for part in ("id", "timestamp", "signature"))
    except KeyError as error:
        raise WebhookRefused("missing-header") from error
    _check_time(timestamp, at=at)
    signed = f"{webhook_id}.{timestamp}.".encode() + body
    given = [entry.partition(",")[::2] for entry in signatures.split(" ")[:_MAX_SIGNATURES]]
    for version, key in [read_secret(secret) for secret in secrets]:
        for given_version, encoded in given:
            if given_version == version and _fits(version, key, signed, encoded):
                return webhook_id
    raise WebhookRefused("no-matching-signature")


def _check_time(timestamp: str, *, at: datetime) -> None:
    if not (timestamp.isascii() and timestamp.isdigit() and len(timestamp) <= 12):  # until the year 33658
        raise WebhookRefused("bad-timestamp")
    age = at.timestamp() - int(timestamp)
    if age > TOLERANCE.total_seconds():
        raise WebhookRefused("too-old")
    if age < -TOLERANCE.total_seconds():
        raise WebhookRefused("too-new")


def _fits(version: str, key: bytes, signed: bytes, encoded: str) -> bool:
    try:
        signature = base64.b64decode(encoded, validate=True)
        if version == "v1":
            return hmac.compare_digest(hmac.digest(key, signed, hashlib.sha256), signature)
        Ed25519PublicKey.from_public_bytes(key).verify(signature, signed)
    except (ValueError, InvalidSignature):
        return False
    return True
