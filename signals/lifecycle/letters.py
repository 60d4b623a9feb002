"""The letters an endpoint is sent: challenge, test, last word and batch; by which id, and signed how."""

from __future__ import annotations

import base64
import hmac
import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from uuid import UUID

from django.conf import settings

from hub.vault import hub_keys, keyring
from signals.core.endpoints import Letter
from signals.delivery import payload, signing
from signals.delivery.outcome import Request
from signals.delivery.tls import Tls
from signals.lifecycle.walk import START, Place
from signals.models import Departure, Endpoint, FormerSecret, Walk


@dataclass(frozen=True, slots=True)
class Post:
    """One body on its way to one endpoint."""

    endpoint: Endpoint
    token: UUID
    letter: Letter
    webhook_id: str
    body: bytes | tuple[bytes, ...]  # a batch in parts
    at: datetime
    to: int = START  # of a batch: where the endpoint stands once it is delivered
    count: int = 0

    @property
    def whole(self) -> bytes:
        """The body in one piece."""
        return self.body if isinstance(self.body, bytes) else b"".join(self.body)

    @property
    def expects(self) -> str:
        """What the answer must repeat; only a challenge asks for it."""
        return challenge_of(self.endpoint) if self.letter is Letter.CHALLENGE else ""


def request_of(post: Post, former: Mapping[UUID, Sequence[bytes]]) -> Request:
    """The signed request: by the endpoint's secret, by those it replaced lately, and by the hub's key if asked."""
    endpoint = post.endpoint
    sealed = [bytes(endpoint.sealed_secret), *former.get(endpoint.id, ())]
    opened = (keyring.open_sealed(each, context=secret_context(endpoint.id)) for each in sealed)
    keys: list[signing.Secret | signing.PrivateKey] = [
        signing.Secret.from_text(text.decode("ascii")) for text in opened
    ]
    if endpoint.has_v1a or (endpoint.v1a_until is not None and endpoint.v1a_until > post.at):
        keys += [signing.PrivateKey(key.private_key) for key in hub_keys.signers()]
    return Request(
        url=endpoint.url,
        body=post.body,
        sign=partial(signing.sign, keys, webhook_id=post.webhook_id, at=post.at, body=post.body),
        timeout=timedelta(seconds=min(settings.DELIVERY_TIMEOUT_SECONDS, settings.LEASE_SECONDS / 2 - 1)),
        tls=Tls(ca_pem=endpoint.ca_pem or None, certificate_pem=settings.DELIVERY_CLIENT_CERTIFICATE or None),
    )


def hub_public_keys() -> list[str]:
    """The `whpk_…` keys that `v1a` is to be checked with, newest first."""
    return [signing.PrivateKey(key.private_key).public.text for key in hub_keys.signers()]


def former_secrets(endpoint_ids: Iterable[UUID], *, at: datetime) -> dict[UUID, list[bytes]]:
    """The replaced secrets that still sign, sealed, by endpoint; newest first."""
    rows = FormerSecret.objects.filter(endpoint_id__in=list(endpoint_ids), valid_until__gt=at).order_by("-id")
    found: dict[UUID, list[bytes]] = {}
    for row in rows:
        found.setdefault(row.endpoint_id, []).append(bytes(row.sealed))
    return found


def channel_of(endpoint: Endpoint) -> str:
    """The name of an endpoint's channel: one local copy at the partner per channel."""
    return f"endpoint:{endpoint.id}"


def secret_context(endpoint_id: UUID) -> bytes:
    """What a sealed webhook secret is bound to."""
    return b"signals_endpoint.sealed_secret:" + endpoint_id.bytes


def answer_context(endpoint_id: UUID) -> bytes:
    """What the sealed beginning of a receiver's answer is bound to."""
    return b"signals_attempt:" + endpoint_id.bytes


def challenge_of(endpoint: Endpoint) -> str:
    """What an endpoint must repeat to show that it reads what is sent to this address: 32 characters of base64url."""
    about = b"\0".join((endpoint.id.bytes, endpoint.url.encode("utf-8")))
    digest = hmac.digest(keyring.secret("endpoint-challenge"), about, "sha256")
    return base64.urlsafe_b64encode(digest[:24]).decode("ascii")


def challenge(endpoint: Endpoint, token: UUID, *, at: datetime) -> Post:
    """Ask an address to show that it reads what it is sent and wants it."""
    body = payload.challenge(endpoint=str(endpoint.id), challenge=challenge_of(endpoint))
    return Post(endpoint, token, Letter.CHALLENGE, _fresh_id(), body, at)


def test(endpoint: Endpoint, token: UUID, *, at: datetime) -> Post:
    """An event without content, signed like every other."""
    return Post(endpoint, token, Letter.TEST, _fresh_id(), payload.test(endpoint=str(endpoint.id)), at)


def _fresh_id() -> str:
    """An id of a letter that is no part of a feed: each attempt is one of its own."""
    return f"msg_{secrets.token_urlsafe(24)}"


def farewell(
    endpoint: Endpoint, token: UUID, slug: str, walk: Walk, departure: Departure | None, *, at: datetime
) -> Post:
    """The last word to a partner that has left: erase everything that this channel brought, by whatever walk."""
    owed = {"departure": str(departure.id), "due_at": departure.due_at.isoformat()} if departure is not None else {}
    body = payload.farewell(programme=slug, channel=channel_of(endpoint), epoch=walk.epoch, walk=walk.pk, **owed)
    webhook_id = batch_id(endpoint, f"{slug} farewell", Place(walk, endpoint.position))
    return Post(endpoint, token, Letter.FAREWELL, webhook_id, body, at, to=endpoint.position)


def batch_id(endpoint: Endpoint, programme_slug: str, place: Place) -> str:
    """The webhook-id of the batch after a place: the same for every attempt to deliver it."""
    return signing.webhook_id(
        keyring.secret("webhook-id"),
        endpoint=str(endpoint.id),
        programme=programme_slug,
        epoch=place.walk.epoch,
        walk=place.walk.pk,
        from_position=place.position,
    )
