"""How the hub speaks with the identity provider: over HTTPS, briefly, a bounded answer, following no redirect."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode, urlsplit

import aiohttp
from authlib.oauth2.auth import ClientAuth
from django.conf import settings

from hub.refusal import Refusal

SECONDS = 8.0  # for one question, from the look-up of the name to the last byte
LARGEST_ANSWER = 256 * 1024  # bytes: discovery and key sets of large providers are a tenth of that


class ProviderAway(Refusal):
    """The identity provider does not answer, or answers nothing that could be read; `reason` is a word for the log."""

    code = "sign-on-unavailable"

    def __init__(self, reason: str) -> None:
        super().__init__(
            "Single sign-on does not answer at the moment. Try again later, or sign in by password.", reason=reason
        )
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Answer:
    """A response, as Authlib's client reads one."""

    status_code: int
    body: bytes

    def json(self) -> object:
        """The document in it; ValueError where there is none."""
        try:
            return json.loads(self.body)
        except RecursionError:
            raise ValueError("nested too deeply") from None

    def raise_for_status(self) -> None:
        """ProviderAway for whatever is no success."""
        if not 200 <= self.status_code < 300:
            raise ProviderAway(f"answered-{self.status_code}")


class Wire:
    """The session that Authlib's client posts through."""

    def post(self, url: str, *, data: Mapping[str, str], headers: Mapping[str, str], auth: ClientAuth) -> Answer:
        """One form, with the client's own credentials as `auth` prepares them."""
        url, prepared, body = auth.prepare("POST", url, dict(headers), urlencode(data))
        return asyncio.run(_asked("POST", url, prepared, body))


def document_at(url: str) -> dict[str, Any]:
    """The JSON object at an address; raises ProviderAway."""
    answer = asyncio.run(_asked("GET", url, {"Accept": "application/json"}, None))
    answer.raise_for_status()
    try:
        found = answer.json()
    except ValueError:
        raise ProviderAway("no-json") from None
    if not isinstance(found, dict):
        raise ProviderAway("no-object")
    return found


def may_be_asked(url: object) -> bool:
    """Whether it is an address we speak to: https, unless the provider itself is one of development."""
    if not isinstance(url, str):
        return False
    try:
        parts = urlsplit(url)
        return parts.scheme in {"https", urlsplit(settings.OIDC_ISSUER).scheme} and bool(parts.hostname)
    except ValueError:
        return False


async def _asked(method: str, url: str, headers: Mapping[str, str], body: str | None) -> Answer:
    if not may_be_asked(url):
        raise ProviderAway("no-https")
    try:
        async with (
            asyncio.timeout(SECONDS),
            aiohttp.ClientSession(trust_env=False, cookie_jar=aiohttp.DummyCookieJar()) as session,
            session.request(
                method, url, headers=headers, data=body, allow_redirects=False, proxy=settings.OIDC_PROXY or None
            ) as response,
        ):
            read = b""
            while more := await response.content.read(LARGEST_ANSWER + 1 - len(read)):
                read += more
                if len(read) > LARGEST_ANSWER:
                    raise ProviderAway("too-large")
            return Answer(response.status, read)
    except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
        raise ProviderAway(type(error).__name__) from error
