"""What people hold in their hands, in software: an authenticator app, and a security key that signs (WebAuthn)."""

from __future__ import annotations

import hashlib
import json
import re
import secrets
from base64 import b32decode, urlsafe_b64encode
from dataclasses import dataclass, field
from datetime import datetime
from html import unescape
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, SECP256R1, EllipticCurvePrivateKey, generate_private_key
from cryptography.hazmat.primitives.hashes import SHA256
from django.contrib.auth.models import User
from fido2 import cbor

from hub.staff import factors, totp

PARTY, ORIGIN = "testserver", "http://testserver"


@dataclass
class App:
    """Shows six digits."""

    secret: bytes

    def code(self, at: datetime) -> str:
        return totp.code_of(self.secret, at=at)


def an_app_of(user: User, *, at: datetime) -> tuple[App, list[str]]:
    """An app that the account has as its second factor, and the recovery codes that came with it."""
    app = App(totp.new_secret())
    return app, factors.add_app(user, app.secret, app.code(at), at=at)


def app_on(page: str) -> App:
    """The app that has read the page for enrolling: it types the secret."""
    [typed] = re.findall(r"<code>([A-Z2-7 ]+)</code>", page)
    text = typed.replace(" ", "")
    return App(b32decode(text + "=" * (-len(text) % 8)))


def asked_on(page: str, what: str) -> dict[str, Any]:
    """The question to a security key on a page: `create` or `sign`."""
    [options] = re.findall(rf'data-{what}="([^"]*)"', page)
    asked: dict[str, Any] = json.loads(unescape(options))
    return asked


@dataclass
class Key:
    """A security key with one credential, as a browser would speak for it."""

    private: EllipticCurvePrivateKey = field(default_factory=lambda: generate_private_key(SECP256R1()))
    identity: bytes = field(default_factory=lambda: secrets.token_bytes(16))
    count: int = 0
    origin: str = ORIGIN
    party: str = PARTY

    def create(self, asked: dict[str, Any]) -> str:
        """§6.3.2, answered with the attestation `none`."""
        numbers = self.private.public_key().public_numbers()
        cose = {1: 2, 3: -7, -1: 1, -2: numbers.x.to_bytes(32, "big"), -3: numbers.y.to_bytes(32, "big")}
        credential = bytes(16) + len(self.identity).to_bytes(2, "big") + self.identity + cbor.encode(cose)
        attestation = {"fmt": "none", "attStmt": {}, "authData": self._said(0x41) + credential}
        client = self._client("webauthn.create", asked)
        return self._answer({"clientDataJSON": _text(client), "attestationObject": _text(cbor.encode(attestation))})

    def sign(self, asked: dict[str, Any]) -> str:
        """§6.3.3."""
        said, client = self._said(0x01), self._client("webauthn.get", asked)
        signature = self.private.sign(said + hashlib.sha256(client).digest(), ECDSA(SHA256()))
        parts = {"clientDataJSON": client, "authenticatorData": said, "signature": signature}
        return self._answer({name: _text(part) for name, part in parts.items()})

    def _said(self, flags: int) -> bytes:
        self.count += 1
        return hashlib.sha256(self.party.encode()).digest() + bytes([flags]) + self.count.to_bytes(4, "big")

    def _client(self, kind: str, asked: dict[str, Any]) -> bytes:
        said = {"type": kind, "challenge": asked["challenge"], "origin": self.origin, "crossOrigin": False}
        return json.dumps(said).encode()

    def _answer(self, response: dict[str, str]) -> str:
        identity = _text(self.identity)
        document = {"id": identity, "rawId": identity, "type": "public-key", "response": response}
        return json.dumps(document | {"clientExtensionResults": {}})


def _text(raw: bytes) -> str:
    return urlsafe_b64encode(raw).decode().rstrip("=")
