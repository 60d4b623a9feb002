"""What the identity provider (OpenID Connect Core 1.0) is asked and believed: code flow with PKCE, checked to the end.

Authlib makes the questions and checks the claims, joserfc the signature. What a provider may not choose stands here:
the one algorithm, the issuer, whose token it is, and the browser that asked.
"""

from __future__ import annotations

import hmac
import re
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from authlib.oauth2.base import OAuth2Error
from authlib.oauth2.client import OAuth2Client
from authlib.oidc.core import CodeIDToken
from django.conf import settings
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from hub.refusal import Refusal
from hub.staff.provider_wire import ProviderAway, Wire, document_at, may_be_asked

_KEPT_SECONDS = 600.0  # what the provider says of itself; its keys are read anew for each sign-in
_AWAY_SECONDS = 10.0  # one that did not answer is left alone for so long
_LEEWAY = 60  # seconds that its clock may be off
_LONGEST_SUBJECT = 255  # ASCII characters, Core §2
_KEY_OF: dict[str, dict[str, str]] = {
    "RS256": {"kty": "RSA"},
    "PS256": {"kty": "RSA"},
    "ES256": {"kty": "EC", "crv": "P-256"},
    "EdDSA": {"kty": "OKP", "crv": "Ed25519"},
}
_WORD = re.compile(r"[a-z_]{1,40}")


class NotBelieved(Refusal):
    """What came back from the provider does not hold; `reason` is a word for the log, and no part of what was sent."""

    code = "sign-on-not-believed"

    def __init__(self, reason: str) -> None:
        super().__init__(
            f"What single sign-on answered does not hold ({reason}), so nobody is signed in. "
            "Begin again; if it happens again, tell an operator.",
            reason=reason,
        )
        self.reason = reason


class SaidNo(Refusal):
    """The provider lets this person in to nothing of ours, or they changed their mind there."""

    code = "sign-on-said-no"


@dataclass(frozen=True, slots=True)
class Asked:
    """What one browser asked with, and must bring back."""

    state: str
    nonce: str
    verifier: str

    @classmethod
    def anew(cls) -> Asked:
        """256 random bits each."""
        return cls(secrets.token_urlsafe(32), secrets.token_urlsafe(32), secrets.token_urlsafe(32))


@dataclass(frozen=True, slots=True)
class Identity:
    """Whom the provider vouches for: never a name or a role, which are ours to give."""

    issuer: str
    subject: str
    methods: frozenset[str]  # `amr` and `acr`, RFC 8176 and Core §2: how it made sure


@dataclass(frozen=True, slots=True)
class Described:
    """What the provider says of itself (Discovery 1.0 §3), as far as we use it."""

    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    end_session_endpoint: str  # RP-Initiated Logout 1.0; empty where there is none
    client_authentication: str
    is_named_in_answers: bool  # RFC 9207
    has_our_algorithm: bool


_kept: dict[str, tuple[float, Described | ProviderAway]] = {}


def described() -> Described:
    """What the provider says of itself, not older than ten minutes; raises ProviderAway, for ten seconds at once."""
    issuer = settings.OIDC_ISSUER
    until, known = _kept.get(issuer, (0.0, None))
    if known is None or time.monotonic() >= until:
        try:
            known, lasts = _described(issuer), _KEPT_SECONDS
        except ProviderAway as away:
            known, lasts = away, _AWAY_SECONDS
        _kept[issuer] = (time.monotonic() + lasts, known)
    if isinstance(known, ProviderAway):
        raise ProviderAway(known.reason)
    return known


def forget() -> None:
    """Ask the provider anew what it says of itself."""
    _kept.clear()


def address_to_ask(asked: Asked, *, back: str, prompt: str | None = None) -> str:
    """Where a browser goes to say who it is (Core §3.1.2.1, RFC 7636); raises ProviderAway."""
    provider = described()
    with_prompt = {"prompt": prompt} if prompt else {}
    url, _ = _client(provider, back).create_authorization_url(
        provider.authorization_endpoint,
        state=asked.state,
        code_verifier=asked.verifier,
        nonce=asked.nonce,
        **with_prompt,
    )
    return str(url)


def identity(asked: Asked, answer: Mapping[str, str], *, back: str, at: datetime) -> Identity:
    """Whom the answer to `asked` is about; raises NotBelieved, SaidNo and ProviderAway."""
    if not hmac.compare_digest(asked.state.encode(), answer.get("state", "").encode("utf-8", "replace")):
        raise NotBelieved("another-state")
    provider = described()
    named = answer.get("iss")
    if (provider.is_named_in_answers and named is None) or named not in {None, settings.OIDC_ISSUER}:  # RFC 9207 §2.4
        raise NotBelieved("another-issuer")
    if answer.get("error"):
        raise SaidNo(f"Single sign-on said no ({_word(answer['error'])}). Begin again, or sign in by password.")
    if not answer.get("code"):
        raise NotBelieved("no-code")
    token = _token(provider, answer["code"], asked, back)
    claims = _claims(provider, token, asked, at=at)
    subject, methods, context = claims["sub"], claims.get("amr") or [], claims.get("acr")
    if not (isinstance(subject, str) and subject.isascii() and 0 < len(subject) <= _LONGEST_SUBJECT):
        raise NotBelieved("no-subject")
    found = {each for each in [*methods, context] if isinstance(each, str) and each}
    return Identity(settings.OIDC_ISSUER, subject, frozenset(found))


def _token(provider: Described, code: str, asked: Asked, back: str) -> dict[str, Any]:
    try:
        token: dict[str, Any] = _client(provider, back).fetch_token(
            provider.token_endpoint, grant_type="authorization_code", code=code, code_verifier=asked.verifier
        )
    except OAuth2Error as error:
        raise NotBelieved(_word(error.error)) from None
    except (ValueError, TypeError, KeyError):
        raise NotBelieved("no-token") from None
    if not isinstance(token.get("id_token"), str):
        raise NotBelieved("no-id-token")
    return token


def _claims(provider: Described, token: dict[str, Any], asked: Asked, *, at: datetime) -> CodeIDToken:
    """The claims of an ID token after all of Core §3.1.3.7."""
    options = {
        "iss": {"essential": True, "value": settings.OIDC_ISSUER},
        "aud": {"essential": True, "value": settings.OIDC_CLIENT_ID},
    }
    params = {"nonce": asked.nonce, "client_id": settings.OIDC_CLIENT_ID, "access_token": token.get("access_token")}
    try:
        read = jwt.decode(token["id_token"], _keys(provider), algorithms=[settings.OIDC_ALGORITHM])
        claims = CodeIDToken(read.claims, read.header, options, params)
        claims.validate(now=int(at.timestamp()), leeway=_LEEWAY)
    except JoseError as error:
        raise NotBelieved(_of_jose(error)) from None
    except (ValueError, TypeError, KeyError, AttributeError):
        raise NotBelieved("unreadable") from None
    return claims


def _keys(provider: Described) -> KeySet:
    """Those of the provider's keys that the one algorithm may be checked with."""
    fits = _KEY_OF[settings.OIDC_ALGORITHM]
    published = document_at(provider.jwks_uri).get("keys")
    keys = [key for key in published if isinstance(key, dict)] if isinstance(published, list) else []
    usable = [key for key in keys if fits.items() <= key.items() and key.get("use", "sig") == "sig"]
    return KeySet.import_key_set({"keys": usable})


def _client(provider: Described, back: str) -> OAuth2Client:
    return OAuth2Client(
        Wire(),
        client_id=settings.OIDC_CLIENT_ID,
        client_secret=settings.OIDC_CLIENT_SECRET,
        token_endpoint_auth_method=provider.client_authentication,
        scope="openid",
        redirect_uri=back,
        code_challenge_method="S256",
    )


def _described(issuer: str) -> Described:
    said = document_at(issuer.rstrip("/") + "/.well-known/openid-configuration")
    if said.get("issuer") != issuer:  # Discovery §4.3: to the letter
        raise ProviderAway("calls-itself-otherwise")
    authorize, token, keys = (said.get(name) for name in ("authorization_endpoint", "token_endpoint", "jwks_uri"))
    if not (may_be_asked(authorize) and may_be_asked(token) and may_be_asked(keys)):
        raise ProviderAway("endpoints-missing")
    if "S256" not in said.get("code_challenge_methods_supported", ["S256"]):
        raise ProviderAway("no-pkce")
    ways = said.get("token_endpoint_auth_methods_supported", ["client_secret_basic"])
    way = next((way for way in ("client_secret_basic", "client_secret_post") if way in ways), None)
    if way is None:
        raise ProviderAway("no-client-secret")
    out = said.get("end_session_endpoint")
    return Described(
        authorization_endpoint=str(authorize),
        token_endpoint=str(token),
        jwks_uri=str(keys),
        end_session_endpoint=str(out) if may_be_asked(out) else "",
        client_authentication=way,
        is_named_in_answers=said.get("authorization_response_iss_parameter_supported") is True,
        has_our_algorithm=settings.OIDC_ALGORITHM in said.get("id_token_signing_alg_values_supported", ["RS256"]),
    )


def _of_jose(error: JoseError) -> str:
    claim = getattr(error, "claim", "")
    return f"{_word(error.error)}-{_word(claim)}" if claim else _word(error.error)


def _word(said: object) -> str:
    """A provider's word as it may stand on a page and in the log."""
    return said.replace("_", "-") if isinstance(said, str) and _WORD.fullmatch(said) else "unknown"
