"""The life of a webhook address: added, changed, paused, resumed, disabled, removed."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db import transaction

from hub.ledger.record import record
from hub.vault import keyring
from partners import public
from partners.public import MembershipFacts
from signals import wake
from signals.core.refusals import NotFound
from signals.delivery.signing import Secret
from signals.delivery.urls import check_url
from signals.lifecycle.deliver import egress, secret_context
from signals.models import Endpoint


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
    """Register an address; delivery begins with a walk from the start of the feed. Refuses EndpointUrlRefused."""
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
        endpoint.save(force_insert=True)
        _record("endpoint.created", endpoint, member.partner_slug, member.programme_slug, actor=actor, at=at)
        wake.deliver()
    return Added(endpoint, secret)


def change_endpoint(
    endpoint_id: uuid.UUID, *, partner_id: int, url: str | None, batch_size: int | None, actor: str, at: datetime
) -> Endpoint:
    """Point it elsewhere, or let its batches be larger or smaller; its place in the feed stays."""
    with transaction.atomic():
        endpoint = _lock(endpoint_id, partner_id)
        if url is not None:
            endpoint.url = check_url(url, egress())
        if batch_size is not None:
            endpoint.max_batch_size = batch_size
            endpoint.batch_size = min(endpoint.batch_size, batch_size)
        endpoint.save(update_fields=["url", "max_batch_size", "batch_size"])
        _record_by("endpoint.changed", endpoint, actor=actor, at=at)
    return endpoint


def filter_endpoint(
    endpoint_id: uuid.UUID,
    *,
    partner_id: int,
    filter: Mapping[str, Sequence[object]],  # noqa: A002  the word of the API
    actor: str,
    at: datetime,
) -> Endpoint:
    """Give it another filter, which begins a new walk: nothing that the old filter hid may be missing."""
    with transaction.atomic():
        endpoint = _lock(endpoint_id, partner_id)
        endpoint.filter = {name: list(values) for name, values in filter.items() if values}
        endpoint.walk, endpoint.position, endpoint.in_flight_to = None, -1, None
        endpoint.lease_token = endpoint.lease_until = None  # what is in the air settles nothing any more
        endpoint.next_attempt_at = at
        fields = ["filter", "walk", "position", "in_flight_to", "lease_token", "lease_until", "next_attempt_at"]
        endpoint.save(update_fields=fields)
        _record_by("endpoint.changed", endpoint, actor=actor, at=at)
        wake.deliver()
    return endpoint


def pause_endpoint(endpoint_id: uuid.UUID, *, partner_id: int, actor: str, at: datetime) -> Endpoint:
    """Stop POSTs for a while; nothing is lost, for the place in the feed stays."""
    return _set_state(endpoint_id, partner_id, "paused", "endpoint.disabled", actor=actor, at=at)


def disable_endpoint(endpoint_id: uuid.UUID, *, partner_id: int, actor: str, at: datetime) -> Endpoint:
    """Stop POSTs on the hub's side; nothing is lost, for the place in the feed stays."""
    return _set_state(endpoint_id, partner_id, "disabled", "endpoint.disabled", actor=actor, at=at)


def resume_endpoint(endpoint_id: uuid.UUID, *, partner_id: int, actor: str, at: datetime) -> Endpoint:
    """Go on at the place in the feed where it stopped."""
    return _set_state(endpoint_id, partner_id, "active", "endpoint.enabled", actor=actor, at=at)


def remove_endpoint(endpoint_id: uuid.UUID, *, partner_id: int, actor: str, at: datetime) -> Endpoint:
    """Forget the address and its secret for good."""
    return _set_state(endpoint_id, partner_id, "deleted", "endpoint.removed", actor=actor, at=at)


def _set_state(
    endpoint_id: uuid.UUID, partner_id: int, state: str, action: str, *, actor: str, at: datetime
) -> Endpoint:
    with transaction.atomic():
        endpoint = _lock(endpoint_id, partner_id)
        endpoint.state, endpoint.state_reason = state, "" if state == "active" else actor
        endpoint.lease_token = endpoint.lease_until = None
        endpoint.failures, endpoint.next_attempt_at = 0, at
        if state == "deleted":
            endpoint.sealed_secret, endpoint.url = b"", ""
        fields = ["state", "state_reason", "lease_token", "lease_until", "failures", "next_attempt_at"]
        fields += ["sealed_secret", "url"]
        endpoint.save(update_fields=fields)
        _record_by(action, endpoint, actor=actor, at=at)
        wake.deliver()
    return endpoint


def _lock(endpoint_id: uuid.UUID, partner_id: int) -> Endpoint:
    rows = Endpoint.objects.select_for_update(of=("self",)).filter(id=endpoint_id, partner_id=partner_id)
    endpoint = rows.exclude(state="deleted").first()
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
        facts={"state": endpoint.state, "filter": sorted(endpoint.filter), "batch_size": endpoint.max_batch_size},
    )
