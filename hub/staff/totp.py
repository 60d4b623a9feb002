"""Codes of an authenticator app (TOTP, RFC 6238): six digits, thirty seconds, SHA-1, as every app reads them."""

from __future__ import annotations

import base64
import hmac
import secrets
from datetime import datetime

import segno
from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.twofactor.totp import TOTP

_SECRET_BYTES = 20  # RFC 4226 §4 R6
_DIGITS = 6
_STEP_SECONDS = 30
_DRIFT = 1  # steps that a phone's clock may be off, either way


def new_secret() -> bytes:
    """160 random bits."""
    return secrets.token_bytes(_SECRET_BYTES)


def matching_step(secret: bytes, code: str, *, at: datetime) -> int | None:
    """The 30 s step since 1970 whose code this is, if it is about now, else None. The caller forbids using it twice."""
    if not (len(code) == _DIGITS and code.isascii() and code.isdigit()):
        return None
    totp, now = _totp(secret), int(at.timestamp()) // _STEP_SECONDS
    found = None
    for step in range(now - _DRIFT, now + _DRIFT + 1):
        if hmac.compare_digest(totp.generate(step * _STEP_SECONDS), code.encode()):
            found = step
    return found


def code_of(secret: bytes, *, at: datetime) -> str:
    """The code that an app shows at this moment."""
    return _totp(secret).generate(int(at.timestamp())).decode()


def address(secret: bytes, *, account: str, hub: str) -> str:
    """The `otpauth:` address that apps read from a QR code."""
    return _totp(secret).get_provisioning_uri(account, hub)


def typed(secret: bytes) -> str:
    """The secret for typing: base32 in groups of four."""
    text = base64.b32encode(secret).decode().rstrip("=")
    return " ".join(text[at : at + 4] for at in range(0, len(text), 4))


def drawn(text: str) -> str:
    """A QR code as an SVG element without a single style or script, so that the pages' policy lets it stand."""
    return segno.make(text, error="m").svg_inline(scale=5, border=2, dark="#000", light="#fff", omitsize=False)


def _totp(secret: bytes) -> TOTP:
    return TOTP(secret, _DIGITS, SHA1(), _STEP_SECONDS)  # noqa: S303  what the apps know
