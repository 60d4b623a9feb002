"""Security keys (WebAuthn Level 2): what the browser is asked, and whether what a key signed is right.

Thin over Yubico's `fido2`, which checks the ceremonies of §7.1 and §7.2; the counter of §6.1.1 is for the caller.
"""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from fido2.server import Fido2Server
from fido2.webauthn import (
    AttestedCredentialData,
    AuthenticationResponse,
    PublicKeyCredentialRpEntity,
    PublicKeyCredentialUserEntity,
    UserVerificationRequirement,
)

State = dict[str, Any]  # what the session keeps between the question and the answer


class NotProven(Exception):
    """The answer is none to this question, or not by this key."""


@dataclass(frozen=True, slots=True)
class Signed:
    """A credential that proved itself, and its counter."""

    credential_id: bytes
    sign_count: int


def origin() -> str | None:
    """The one origin at which keys work here; None where the hub has no name, for WebAuthn knows no addresses.

    A hub on this machine alone (`http://127.0.0.1:8000`) is also `http://localhost:8000`, and keys work there.
    """
    parts = urlsplit(settings.PUBLIC_URL)
    host = parts.hostname or ""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return f"{parts.scheme}://{parts.netloc}"
    if not address.is_loopback:
        return None
    return f"{parts.scheme}://localhost" + (f":{parts.port}" if parts.port else "")


def ask_to_register(user_handle: bytes, name: str, known: Iterable[bytes]) -> tuple[str, State]:
    """The options of `navigator.credentials.create` as JSON, and what to keep until the answer comes."""
    user = PublicKeyCredentialUserEntity(id=user_handle, name=name, display_name=name)
    credentials = [AttestedCredentialData(credential) for credential in known]
    options, state = _server().register_begin(
        user, credentials, user_verification=UserVerificationRequirement.DISCOURAGED
    )
    return json.dumps(dict(options)["publicKey"]), state


def registered(state: State, answer: str) -> tuple[bytes, Signed]:
    """The attested credential data of a new key; raises NotProven."""
    try:
        proved = _server().register_complete(state, _read(answer))
    except (ValueError, KeyError, TypeError, AssertionError) as error:
        raise NotProven("The security key's answer does not fit the question.") from error
    credential = proved.credential_data
    if credential is None:
        raise NotProven("The security key named no credential.")
    return bytes(credential), Signed(credential.credential_id, proved.counter)


def ask_to_sign(known: Iterable[bytes]) -> tuple[str, State]:
    """The options of `navigator.credentials.get` as JSON, and what to keep until the answer comes."""
    credentials = [AttestedCredentialData(credential) for credential in known]
    options, state = _server().authenticate_begin(
        credentials, user_verification=UserVerificationRequirement.DISCOURAGED
    )
    return json.dumps(dict(options)["publicKey"]), state


def signed(state: State, answer: str, known: Iterable[bytes]) -> Signed:
    """Which of these credentials signed the question; raises NotProven."""
    credentials = [AttestedCredentialData(credential) for credential in known]
    try:
        read = AuthenticationResponse.from_dict(_read(answer))
        proved = _server().authenticate_complete(state, credentials, read)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise NotProven("The security key's answer does not fit the question.") from error
    return Signed(proved.credential_id, read.response.authenticator_data.counter)


def _server() -> Fido2Server:
    here = origin()
    if here is None:
        raise NotProven("This hub has no name: security keys need one.")
    party = PublicKeyCredentialRpEntity(id=urlsplit(here).hostname, name="Heliograph")
    return Fido2Server(party, verify_origin=lambda said: said == here)


def _read(answer: str) -> Mapping[str, Any]:
    document = json.loads(answer)
    if not isinstance(document, dict):
        raise TypeError("A credential is a JSON object.")
    return document
