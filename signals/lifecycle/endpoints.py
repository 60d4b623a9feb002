"""The life of a webhook address: added, changed, paused, resumed, disabled, removed."""

from __future__ import annotations

import sys
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Literal, TypedDict, Unpack

from django.db import connection, transaction

from hub.ledger.mirror import current_epoch
from hub.ledger.record import record
from hub.vault import keyring
from partners import public
from partners.public import MembershipFacts
from signals import wake
from signals.core.breaker import Breaker
from signals.core.endpoints import HELD, STATE_OF, Stop
from signals.core.notices import NoticeKind
from signals.core.refusals import EndpointHeld, EndpointTlsRefused, NotFound, TooManyEndpoints
from signals.delivery.signing import Secret
from signals.delivery.tls import Tls, UnusableTls, context_of
from signals.delivery.urls import check_url
from signals.lifecycle.deliver import egress
from signals.lifecycle.letters import channel_of, secret_context
from signals.lifecycle.notice_feed import notice_position_at, start_notices
from signals.lifecycle.notices import notify
from signals.lifecycle.walk import NEVER_LISTED, START, a_walk, position_at
from signals.models import Endpoint, FormerSecret, Head, Walk

MAX_ENDPOINTS: Final = 20  # of one partner for one feed: each costs a rendering and a POST for every change
MAX_OVERLAP: Final = timedelta(days=7)
OVERLAP: Final = timedelta(days=1)
_MAX_FORMER: Final = 4  # secrets that sign beside the new one: every one lengthens the header


class Terms(TypedDict, total=False):
    """How a partner wants to be delivered to; what is left out stays, or is the default of a new endpoint."""

    batch_size: int  # signals in one POST, 1 to 1,000
    payload: Literal["full", "thin"]
    posts_per_minute: int | None  # None: as fast as it answers
    signatures: Sequence[str]  # "v1" always, "v1a" if wanted
    ca_pem: str  # roots that its certificate must lead to; empty: the system's
    alert_email: str


@dataclass(frozen=True, slots=True)
class Added:
    """An endpoint and a new secret of its, which is shown this once."""

    endpoint: Endpoint
    secret: str


def add_endpoint(
    member: MembershipFacts,
    *,
    url: str,
    filter: Mapping[str, Sequence[object]],  # noqa: A002  the word of the API
    actor: str,
    at: datetime,
    **terms: Unpack[Terms],
) -> Added:
    """Register an address; once it has repeated a challenge, delivery begins with a walk from the start of the feed.

    Refuses EndpointUrlRefused, EndpointTlsRefused, and TooManyEndpoints beyond 20 per partner and programme.
    """
    return _add(
        _Owner(member.partner_id, member.partner_slug, member.programme_id, member.programme_slug),
        url=url,
        filter=filter,
        terms=terms,
        actor=actor,
        at=at,
    )


def add_notice_endpoint(partner_id: int, *, url: str, actor: str, at: datetime, **terms: Unpack[Terms]) -> Added:
    """Register an address that is sent its partner's notices; the same challenge first, the same refusals."""
    owner = _Owner(partner_id, public.partner(partner_id).slug, None, "notices")
    return _add(owner, url=url, filter={}, terms=terms, actor=actor, at=at)


@dataclass(frozen=True, slots=True)
class _Owner:
    """Whose endpoint it is, and of which feed: a programme's, or without one the partner's notices."""

    partner_id: int
    partner_slug: str
    programme_id: int | None
    feed: str  # the programme's slug, or "notices"


def _add(
    owner: _Owner,
    *,
    url: str,
    filter: Mapping[str, Sequence[object]],  # noqa: A002  the word of the API
    terms: Terms,
    actor: str,
    at: datetime,
) -> Added:
    identity = uuid.uuid4()
    secret = Secret.new().text
    endpoint = Endpoint(
        id=identity,
        partner_id=owner.partner_id,
        programme_id=owner.programme_id,
        url=check_url(url, egress()),
        sealed_secret=_sealed(secret, identity),
        filter=_filter(filter),
        next_attempt_at=at,
        created_at=at,
    )
    _agree(endpoint, terms, at=at)
    with transaction.atomic():
        _take_turn(owner)
        own = Endpoint.objects.filter(partner_id=owner.partner_id, programme_id=owner.programme_id)
        if own.exclude(state="deleted").count() >= MAX_ENDPOINTS:
            raise TooManyEndpoints(f"There are {MAX_ENDPOINTS} endpoints for this feed already; remove one first.")
        endpoint.save(force_insert=True)
        _record("endpoint.created", endpoint, owner.partner_slug, owner.feed, actor=actor, at=at)
        wake.deliver()
    return Added(endpoint, secret)


def change_endpoint(
    endpoint_id: uuid.UUID,
    *,
    partner_id: int,
    url: str | None = None,
    filter: Mapping[str, Sequence[object]] | None = None,  # noqa: A002  the word of the API
    state: Literal["active", "paused"] | None = None,
    actor: str,
    at: datetime,
    **terms: Unpack[Terms],
) -> Endpoint:
    """What its partner may change, all of it or nothing; None leaves a thing as it is.

    With another address or other terms its place in the feed stays, also while it is paused; a new address is sent a
    challenge first. A filter begins a new walk: nothing that the old one hid may be missing. Refuses
    EndpointUrlRefused, EndpointTlsRefused, and EndpointHeld for pausing or resuming what the operator stopped.
    """
    with transaction.atomic():
        endpoint = _lock(endpoint_id, partner_id)
        if state is not None and endpoint.state_reason in HELD:
            raise EndpointHeld("The hub's operator stopped this endpoint, and only the operator starts it again.")
        if url is not None and url != endpoint.url:
            endpoint.url, endpoint.verified_at, endpoint.refused_size = check_url(url, egress()), None, None
            endpoint.lease_token = endpoint.lease_until = None  # the old address's answer must not verify the new one
            endpoint.next_attempt_at = at
        _agree(endpoint, terms, at=at)
        if filter is not None:
            endpoint.filter = _filter(filter)
            _walk_anew(endpoint, None, START, at=at)
        if url is not None or filter is not None or terms:
            endpoint.save(update_fields=_CHANGEABLE)
            _record_by("endpoint.changed", endpoint, actor=actor, at=at)
            wake.deliver()
        if state is not None:
            _put(endpoint, Stop.PAUSED_BY_PARTNER if state == "paused" else None, actor=actor, at=at)
    return endpoint


def rotate_secret(
    endpoint_id: uuid.UUID, *, partner_id: int, old_valid_for: timedelta = OVERLAP, actor: str, at: datetime
) -> Added:
    """Give it a new secret; the old one signs beside it for a while, at most seven days, so that nothing is lost.

    ValueError for another duration. With more than four old ones the oldest ends now.
    """
    if not timedelta() <= old_valid_for <= MAX_OVERLAP:
        raise ValueError("An old secret stays valid for zero to seven days.")
    secret = Secret.new().text
    with transaction.atomic():
        endpoint = _lock(endpoint_id, partner_id)
        former = FormerSecret.objects.filter(endpoint=endpoint)
        kept = former.filter(valid_until__gt=at).order_by("-id").values_list("pk", flat=True)[: _MAX_FORMER - 1]
        former.exclude(pk__in=list(kept)).delete()
        if old_valid_for:
            FormerSecret.objects.create(
                endpoint=endpoint, sealed=endpoint.sealed_secret, valid_until=at + old_valid_for
            )
        endpoint.sealed_secret = _sealed(secret, endpoint.id)
        endpoint.save(update_fields=["sealed_secret"])
        _record_by("endpoint.secret-rotated", endpoint, actor=actor, at=at)
        notify(partner_id, NoticeKind.ENDPOINT_SECRET_ROTATED, {"endpoint": str(endpoint.id)}, at=at)
    return Added(endpoint, secret)


def replay(endpoint_id: uuid.UUID, *, partner_id: int, since: datetime | None, actor: str, at: datetime) -> Endpoint:
    """Begin a new walk of its feed: from the start (None), or with what changed at or after a moment.

    What it had not taken yet is sent too. However far back: where tombstones of that time have been forgotten, it is
    the start. A paused or disabled endpoint stays so and goes on from there. What is in the air settles nothing any
    more.
    """
    with transaction.atomic():
        endpoint = _lock(endpoint_id, partner_id)
        walk, position = None, START
        if since is not None:
            walk, position = _place_at(endpoint, since, at=at)
        _walk_anew(endpoint, walk, position, at=at)
        endpoint.save(update_fields=_CHANGEABLE)
        _record_by("endpoint.replayed", endpoint, actor=actor, at=at)
        wake.deliver()
    return endpoint


def send_test(endpoint_id: uuid.UUID, *, partner_id: int, actor: str, at: datetime) -> Endpoint:
    """Have an event without content sent to it, at once, also while it is paused; the attempt tells what came of it.

    Nothing of the hub's changes, so nothing is recorded. Refuses EndpointHeld for one that is disabled, and to its
    partner for one that the operator paused.
    """
    with transaction.atomic():
        endpoint = _lock(endpoint_id, partner_id)
        if endpoint.state == "disabled":
            raise EndpointHeld("This endpoint is disabled; resume it first.")
        if endpoint.state_reason in HELD and actor.startswith("partner:"):
            raise EndpointHeld("The hub's operator stopped this endpoint, and only the operator starts it again.")
        endpoint.test_asked_at = endpoint.next_attempt_at = at
        endpoint.save(update_fields=["test_asked_at", "next_attempt_at"])
        wake.deliver()
    return endpoint


def _place_at(endpoint: Endpoint, since: datetime, *, at: datetime) -> tuple[Walk | None, int]:
    """A walk of what came at or after a moment, and where it begins; None where it begins at the start."""
    if endpoint.programme_id is None:
        after = min(notice_position_at(endpoint.partner_id, since), _taken_to(endpoint, generation=0))
        if after == START:
            return None, START
        return start_notices(endpoint.partner_id, channel=channel_of(endpoint), at=at, floor=NEVER_LISTED).walk, after
    programme = public.programme_by_id(endpoint.programme_id)
    member = public.membership(endpoint.partner_id, programme.slug, at=at)
    head = Head.objects.filter(programme_id=programme.id).first()
    if member is None or head is None:
        return None, START
    after = min(position_at(programme.id, since), _taken_to(endpoint, generation=member.generation))
    if after < max(head.purged_to, 0):
        return None, START
    walk = a_walk(member, channel=channel_of(endpoint), filter=endpoint.filter, floor=NEVER_LISTED, at=at)
    walk.save(force_insert=True)
    return walk, after


def _taken_to(endpoint: Endpoint, *, generation: int) -> int:
    """Up to where its partner has taken everything: nobody passes over a tombstone of what it holds, even by asking.

    START while its walk has not listed yet, or is over; without bound where it was never sent anything.
    """
    walk = endpoint.walk
    if walk is None:
        feed = {"partner_id": endpoint.partner_id, "programme_id": endpoint.programme_id}
        return START if Walk.objects.filter(**feed, channel=channel_of(endpoint)).exists() else sys.maxsize
    is_over = walk.epoch != current_epoch() or walk.generation != generation
    return START if is_over or endpoint.position < walk.floor else endpoint.position


def _walk_anew(endpoint: Endpoint, walk: Walk | None, position: int, *, at: datetime) -> None:
    """Put it at the beginning of a walk; None: the deliverer begins one, and what is in the air settles nothing."""
    endpoint.walk, endpoint.position, endpoint.in_flight_to = walk, position, None
    endpoint.lease_token = endpoint.lease_until = None
    endpoint.next_attempt_at = at


def _agree(endpoint: Endpoint, terms: Terms, *, at: datetime) -> None:
    if "batch_size" in terms:
        endpoint.max_batch_size, endpoint.refused_size = terms["batch_size"], None
        endpoint.batch_size = min(endpoint.batch_size, terms["batch_size"]) if endpoint.walk else terms["batch_size"]
    if "payload" in terms:
        endpoint.payload = terms["payload"]
    if "posts_per_minute" in terms:
        endpoint.posts_per_minute = terms["posts_per_minute"]
    if "alert_email" in terms:
        endpoint.alert_email = terms["alert_email"]
    if "ca_pem" in terms:
        endpoint.ca_pem = _checked_roots(terms["ca_pem"])
    if "signatures" in terms:
        has_v1a = "v1a" in terms["signatures"]
        if endpoint.has_v1a and not has_v1a:
            endpoint.v1a_until = at + OVERLAP  # as with a secret: who still checks the old way has a day
        endpoint.has_v1a = has_v1a


def _checked_roots(ca_pem: str) -> str:
    if ca_pem:
        try:
            context_of(Tls(ca_pem=ca_pem))
        except UnusableTls:
            raise EndpointTlsRefused("The CA bundle is not a PEM of certificates.", pointer="/ca_pem") from None
    return ca_pem


def _filter(wanted: Mapping[str, Sequence[object]]) -> dict[str, list[object]]:
    return {name: list(values) for name, values in wanted.items() if values}


def _sealed(secret: str, endpoint_id: uuid.UUID) -> bytes:
    return keyring.sealer("hub", "always").seal(secret.encode("ascii"), context=secret_context(endpoint_id))


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
    *(
        "url",
        "verified_at",
        "max_batch_size",
        "batch_size",
        "refused_size",
        "filter",
        "walk",
        "position",
        "in_flight_to",
    ),
    *("payload", "posts_per_minute", "alert_email", "ca_pem", "has_v1a", "v1a_until"),
    *("lease_token", "lease_until", "next_attempt_at"),
]
_NOTICES = {
    "active": NoticeKind.ENDPOINT_RESUMED,
    "paused": NoticeKind.ENDPOINT_PAUSED,
    "disabled": NoticeKind.ENDPOINT_DISABLED,
    "deleted": NoticeKind.ENDPOINT_DISABLED,
}
_ACTIONS = {"active": "endpoint.enabled", "deleted": "endpoint.removed"}  # else it was switched off


def _set(endpoint_id: uuid.UUID, partner_id: int, stop: Stop | None, *, actor: str, at: datetime) -> Endpoint:
    with transaction.atomic():
        return _put(_lock(endpoint_id, partner_id), stop, actor=actor, at=at)


def _put(endpoint: Endpoint, stop: Stop | None, *, actor: str, at: datetime) -> Endpoint:
    """Stop a locked endpoint, or with None let it go on."""
    endpoint.state, endpoint.state_reason = (STATE_OF[stop], stop.value) if stop is not None else ("active", "")
    endpoint.lease_token = endpoint.lease_until = None
    endpoint.failures, endpoint.breaker, endpoint.breaker_since = 0, Breaker.CLOSED.value, None
    endpoint.failing_since = endpoint.failing_told_at = endpoint.failing_mailed_at = None
    endpoint.next_attempt_at = at
    if endpoint.state_reason in HELD:
        endpoint.test_asked_at = None
    if stop is Stop.REMOVED:
        endpoint.sealed_secret, endpoint.url, endpoint.alert_email = b"", "", ""
        FormerSecret.objects.filter(endpoint=endpoint).delete()
    fields = ["state", "state_reason", "lease_token", "lease_until", "failures", "breaker", "breaker_since"]
    fields += ["failing_since", "failing_told_at", "failing_mailed_at", "next_attempt_at", "test_asked_at"]
    endpoint.save(update_fields=[*fields, "sealed_secret", "url", "alert_email"])
    _record_by(_ACTIONS.get(endpoint.state, "endpoint.disabled"), endpoint, actor=actor, at=at)
    if not actor.startswith("partner:"):  # what a partner does itself, it knows
        facts = {"endpoint": str(endpoint.id), "state": endpoint.state, "reason": endpoint.state_reason}
        notify(endpoint.partner_id, _NOTICES[endpoint.state], facts, at=at)
    wake.deliver()
    return endpoint


def _take_turn(owner: _Owner) -> None:
    """One after the other adds endpoints to a feed, so that two at once cannot both be the last that fits."""
    turn = f"heliograph endpoints {owner.partner_id} {owner.programme_id}"
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
    feed = "notices" if endpoint.programme_id is None else public.programme_by_id(endpoint.programme_id).slug
    _record(action, endpoint, partner.slug, feed, actor=actor, at=at)


def _record(action: str, endpoint: Endpoint, partner: str, feed: str, *, actor: str, at: datetime) -> None:
    of_programme = [] if endpoint.programme_id is None else [f"programme:{feed}"]
    record(
        action,
        actor=actor,
        at=at,
        subjects=[f"endpoint:{endpoint.id}", f"partner:{partner}", *of_programme],
        facts={
            "state": endpoint.state,
            "reason": endpoint.state_reason,
            "filter": sorted(endpoint.filter),
            "batch_size": endpoint.max_batch_size,
            "payload": endpoint.payload,
        },
    )
