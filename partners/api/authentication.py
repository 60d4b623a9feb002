"""Who is calling: reads a request's bearer token and answers with a Caller, or with one kind of 401 for everything."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, NamedTuple

from django.conf import settings
from django.contrib.auth.models import AnonymousUser
from django.db import connection
from django.db.models import Q
from django.utils import timezone
from rest_framework.authentication import BaseAuthentication  # never rest_framework.views: it reads our settings
from rest_framework.exceptions import AuthenticationFailed

from hub.client_address import client_address, is_within, networks
from partners.api.failures import failures
from partners.core.credentials import Credential, is_secret, parse
from partners.core.states import PartnerState
from partners.lifecycle.issue_api_key import token_environment
from partners.models import ApiKey
from partners.public import Caller, OwnLimits

if TYPE_CHECKING:
    from rest_framework.request import Request

SCHEME = "Bearer"
DETAIL = "This request carries no usable API key."
USED_EVERY = timedelta(minutes=1)
_NO_DIGEST = bytes(32)


class ApiKeyAuthentication(BaseAuthentication):
    """`Authorization: Bearer hg_…`; `request.auth` becomes a Caller and `request.user` stays anonymous."""

    def authenticate(self, request: Request) -> tuple[AnonymousUser, Caller] | None:
        """None without the header (public doors are open); raises AuthenticationFailed for any unusable key."""
        if "HTTP_AUTHORIZATION" not in request.META:
            return None
        caller = caller_of(request.META, at=timezone.now())
        if caller is None:
            raise AuthenticationFailed(DETAIL)
        return AnonymousUser(), caller

    def authenticate_header(self, request: Request) -> str:
        """The challenge of a 401 (RFC 6750 §3)."""
        del request  # the same for everybody
        return SCHEME


def caller_of(meta: Mapping[str, str], *, at: datetime) -> Caller | None:
    """The caller behind a request's WSGI-style headers, or None: one query, and one more at most once a minute.

    A mistyped token costs no query. Beyond that the same work is done whatever exists: unknown id, wrong secret,
    expired, revoked, wrong network, suspended partner.
    """
    scheme, _, token = meta.get("HTTP_AUTHORIZATION", "").partition(" ")
    credential = parse(token.strip(), environment=token_environment()) if scheme.lower() == SCHEME.lower() else None
    if credential is None:
        return None
    row = _find(credential.id)
    reason = _why_unusable(row, credential, meta, at=at)
    if row is None or reason is not None:
        failures.note(credential.id, reason or "unknown", partner_slug=row.partner_slug if row else None, at=at)
        return None
    _note_use(row, at=at)
    return Caller(
        partner_id=row.partner_id,
        slug=row.partner_slug,
        api_key_id=row.id,
        scopes=frozenset(row.scopes),
        is_probationary=row.is_probationary,
        limits=OwnLimits(row.requests_per_second, row.statements_per_second, row.max_pending_submissions),
    )


class _Key(NamedTuple):
    """A stored key and its partner, as a request is judged by them."""

    id: str
    partner_id: int
    secret_digest: bytes
    scopes: list[str]
    networks: list[str]
    expires_at: datetime | None
    revoked_at: datetime | None
    last_used_at: datetime | None
    partner_slug: str
    partner_state: str
    is_probationary: bool
    requests_per_second: int | None
    statements_per_second: int | None
    max_pending_submissions: int | None


# Every request asks this, and composing it anew would cost more than asking it.
_FIND = """
SELECT key.id, key.partner_id, key.secret_digest, key.scopes, key.networks, key.expires_at, key.revoked_at,
       key.last_used_at, partner.slug, partner.state, partner.is_probationary,
       partner.requests_per_second, partner.statements_per_second, partner.max_pending_submissions
  FROM partners_apikey AS key JOIN partners_partner AS partner ON partner.id = key.partner_id
 WHERE key.id = %s
"""


def _find(key_id: str) -> _Key | None:
    with connection.cursor() as cursor:
        cursor.execute(_FIND, [key_id])
        row = cursor.fetchone()
    return None if row is None else _Key._make(row)


def _why_unusable(row: _Key | None, credential: Credential, meta: Mapping[str, str], *, at: datetime) -> str | None:
    is_right = is_secret(credential.secret, bytes(row.secret_digest) if row else _NO_DIGEST)
    address = client_address(
        meta.get("REMOTE_ADDR", ""), meta.get("HTTP_X_FORWARDED_FOR", ""), trusted=settings.TRUSTED_PROXIES
    )
    if row is None:
        return "unknown"
    checks = {
        "wrong-secret": not is_right,
        "revoked": row.revoked_at is not None,
        "expired": row.expires_at is not None and row.expires_at <= at,
        "wrong-network": bool(row.networks) and not is_within(address, networks(tuple(row.networks))),
        "partner-not-active": row.partner_state != PartnerState.ACTIVE,
    }
    return next((reason for reason, is_so in checks.items() if is_so), None)


def _note_use(row: _Key, *, at: datetime) -> None:
    if row.last_used_at is None or at - row.last_used_at >= USED_EVERY:
        stale = Q(last_used_at__isnull=True) | Q(last_used_at__lte=at - USED_EVERY)
        ApiKey.objects.filter(stale, pk=row.id).update(last_used_at=at)
