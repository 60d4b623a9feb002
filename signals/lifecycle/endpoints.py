"""The life of a webhook address: added, changed, paused, resumed, disabled, removed."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal

from django.db import connection, transaction

from hub.ledger.record import record
from hub.vault import keyring
from partners import public
from partners.public import MembershipFacts
from signals import wake
from signals.core.endpoints import HELD, STATE_OF, Stop
from signals.core.refusals import EndpointHeld, NotFound, TooManyEndpoints
from signals.delivery.signing import Secret
from signals.delivery.urls import check_url
from signals.lifecycle.deliver import egress, secret_context
from signals.models import Endpoint

MAX_ENDPOINTS: Final = 20  # of one partner in one programme: each costs a rendering and a POST for every change


@dataclass(frozen=True, slots=True)
class Added:
    """A new endpoint and its secret, which is shown this once."""

    endpoint: Endpoint
    secret: str


def add_endpoint(
    member: MembershipFacts,
    *,
    url: str,
    filter: Mapping[str, Sequence[object]],  # noqa: A002  the word of the API
    batch_size: int,
    actor: str,
    at: datetime,
) -> Added:
    """Register an address; delivery begins with a walk from the start of the feed.

    Refuses EndpointUrlRefused, and TooManyEndpoints beyond 20 per partner and programme.
    """
    identity = uuid.uuid4()
    secret = Secret.new().text
    endpoint = Endpoint(
        id=identity,
        partner_id=member.partner_id,
        programme_id=member.programme_id,
        url=check_url(url, egress()),
        sealed_secret=keyring.sealer("hub", "always").seal(secret.encode("ascii"), context=secret_context(identity)),
        filter={name: list(values) for name, values in filter.items() if values},
        batch_size=batch_size,
        max_batch_size=batch_size,
        next_attempt_at=at,
        created_at=at,
    )
    with transaction.atomic():
        _take_turn(member)
        own = Endpoint.objects.filter(partner_id=member.partner_id, programme_id=member.programme_id)
        if own.exclude(state="deleted").count() >= MAX_ENDPOINTS:
            raise TooManyEndpoints(f"There are {MAX_ENDPOINTS} endpoints in this programme already; remove one first.")
        endpoint.save(force_insert=True)
        _record("endpoint.created", endpoint, member.partner_slug, member.programme_slug, actor=actor, at=at)
        wake.deliver()
    return Added(endpoint, secret)


def change_endpoint(
    endpoint_id: uuid.UUID,
    *,
    partner_id: int,
    url: str | None = None,
    batch_size: int | None = None,
    filter: Mapping[str, Sequence[object]] | None = None,  # noqa: A002  the word of the API
    state: Literal["active", "paused"] | None = None,
    actor: str,
    at: datetime,
) -> Endpoint:
    """What its partner may change, all of it or nothing; None leaves a thing as it is.

    With another address or size of batches its place in the feed stays, also while it is paused. A filter begins a new
    walk: nothing that the old one hid may be missing. Refuses EndpointUrlRefused, and EndpointHeld for pausing or
    resuming what the operator stopped.
    """
    with transaction.atomic():
        endpoint = _lock(endpoint_id, partner_id)
        if state is not None and endpoint.state_reason in HELD:
            raise EndpointHeld("The hub's operator stopped this endpoint, and only the operator starts it again.")
        if url is not None:
            endpoint.url = check_url(url, egress())
        if batch_size is not None:
            endpoint.max_batch_size = batch_size
            endpoint.batch_size = min(endpoint.batch_size, batch_size)
        if filter is not None:
            endpoint.filter = {name: list(values) for name, values in filter.items() if values}
            endpoint.walk, endpoint.position, endpoint.in_flight_to = None, -1, None
            endpoint.lease_token = endpoint.lease_until = None  # what is in the air settles nothing any more
            endpoint.next_attempt_at = at
        if any(wish is not None for wish in (url, batch_size, filter)):
            endpoint.save(update_fields=_CHANGEABLE)
            _record_by("endpoint.changed", endpoint, actor=actor, at=at)
            wake.deliver()
        if state is not None:
            _put(endpoint, Stop.PAUSED_BY_PARTNER if state == "paused" else None, actor=actor, at=at)
    return endpoint


def pause_endpoint(endpoint_id: uuid.UUID, *, partner_id: int, actor: str, at: datetime) -> Endpoint:
    """The operator stops POSTs for a while; nothing is lost, for the place in the feed stays."""
    return _set(endpoint_id, partner_id, Stop.PAUSED_BY_OPERATOR, actor=actor, at=at)


def disable_endpoint(endpoint_id: uuid.UUID, *, partner_id: int, actor: str, at: datetime) -> Endpoint:
    """The operator stops POSTs until the partner has mended something; the place in the feed stays."""
    return _set(endpoint_id, partner_id, Stop.DISABLED_BY_OPERATOR, actor=actor, at=at)


def resume_endpoint(endpoint_id: uuid.UUID, *, partner_id: int, actor: str, at: datetime) -> Endpoint:
    """The operator lets it go on at the place in the feed where it stopped, whoever stopped it."""
    return _set(endpoint_id, partner_id, None, actor=actor, at=at)


def remove_endpoint(endpoint_id: uuid.UUID, *, partner_id: int, actor: str, at: datetime) -> Endpoint:
    """Forget the address and its secret for good."""
    return _set(endpoint_id, partner_id, Stop.REMOVED, actor=actor, at=at)


def stop_again(endpoint_id: uuid.UUID, *, reason: Stop, actor: str, at: datetime) -> Endpoint:
    """After a restore: stop it as it had been stopped, or as HUB_RESTORED, which only the operator's word outweighs."""
    with transaction.atomic():
        endpoint = _lock(endpoint_id)
        weightier = HELD if reason.value in HELD else {*HELD, Stop.HUB_RESTORED.value}
        if endpoint.state_reason not in {reason.value, *weightier}:
            _put(endpoint, reason, actor=actor, at=at)
    return endpoint


_CHANGEABLE = [
    *("url", "max_batch_size", "batch_size", "filter", "walk", "position", "in_flight_to"),
    *("lease_token", "lease_until", "next_attempt_at"),
]
_ACTIONS = {"active": "endpoint.enabled", "deleted": "endpoint.removed"}  # else it was switched off


def _set(endpoint_id: uuid.UUID, partner_id: int, stop: Stop | None, *, actor: str, at: datetime) -> Endpoint:
    with transaction.atomic():
        return _put(_lock(endpoint_id, partner_id), stop, actor=actor, at=at)


def _put(endpoint: Endpoint, stop: Stop | None, *, actor: str, at: datetime) -> Endpoint:
    """Stop a locked endpoint, or with None let it go on."""
    endpoint.state, endpoint.state_reason = (STATE_OF[stop], stop.value) if stop is not None else ("active", "")
    endpoint.lease_token = endpoint.lease_until = None
    endpoint.failures, endpoint.next_attempt_at = 0, at
    if stop is Stop.REMOVED:
        endpoint.sealed_secret, endpoint.url = b"", ""
    fields = ["state", "state_reason", "lease_token", "lease_until", "failures", "next_attempt_at"]
    endpoint.save(update_fields=[*fields, "sealed_secret", "url"])
    _record_by(_ACTIONS.get(endpoint.state, "endpoint.disabled"), endpoint, actor=actor, at=at)
    wake.deliver()
    return endpoint


def _take_turn(member: MembershipFacts) -> None:
    """One after the other adds endpoints to a programme, so that two at once cannot both be the last that fits."""
    turn = f"heliograph endpoints {member.partner_id} {member.programme_id}"
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [turn])


def _lock(endpoint_id: uuid.UUID, partner_id: int | None = None) -> Endpoint:
    rows = Endpoint.objects.select_for_update(of=("self",)).filter(id=endpoint_id).exclude(state="deleted")
    endpoint = (rows if partner_id is None else rows.filter(partner_id=partner_id)).first()
    if endpoint is None:
        raise NotFound("There is nothing here that this key may see.")
    return endpoint


def _record_by(action: str, endpoint: Endpoint, *, actor: str, at: datetime) -> None:
    partner = public.partner(endpoint.partner_id)
    programme = public.programme_by_id(endpoint.programme_id)
    _record(action, endpoint, partner.slug, programme.slug, actor=actor, at=at)


def _record(action: str, endpoint: Endpoint, partner: str, programme: str, *, actor: str, at: datetime) -> None:
    record(
        action,
        actor=actor,
        at=at,
        subjects=[f"endpoint:{endpoint.id}", f"partner:{partner}", f"programme:{programme}"],
        facts={
            "state": endpoint.state,
            "reason": endpoint.state_reason,
            "filter": sorted(endpoint.filter),
            "batch_size": endpoint.max_batch_size,
        },
    )
