"""A partner's webhook endpoints."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.http import HttpResponse
from django.utils import timezone
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from partners import public
from partners.api.caller import caller
from partners.api.openapi import refuses
from partners.api.permissions import HasScope
from partners.api.view import Door
from partners.public import Caller
from signals import endpoint_health, queries
from signals.api.v1.endpoint_shapes import (
    AddedEndpointShape,
    AttemptsShape,
    ChangedEndpointShape,
    EndpointShape,
    HealthShape,
    NewEndpointShape,
    ReplayShape,
    RotationShape,
)
from signals.api.v1.feed import members_by_slug
from signals.api.v1.pages import refuse_unknown, whole
from signals.api.v1.parameters import SvgRenderer, moment_parameter
from signals.lifecycle import endpoints
from signals.lifecycle.letters import hub_public_keys
from signals.models import Attempt, Endpoint


class EndpointsView(Door):
    """List and add."""

    permission_classes = [HasScope("endpoints:manage")]

    @extend_schema(
        operation_id="listEndpoints",
        summary="List one's webhook endpoints",
        tags=["endpoints"],
        responses=EndpointShape(many=True),
        extensions=refuses("missing-scope"),
    )
    def get(self, request: Request) -> Response:
        """Every endpoint of the caller."""
        at, who = timezone.now(), caller(request)
        return Response(_documents(queries.endpoints(who.partner_id), who=who, at=at))

    @extend_schema(
        operation_id="addEndpoint",
        summary="Add a webhook endpoint",
        tags=["endpoints"],
        request=NewEndpointShape,
        responses={201: AddedEndpointShape},
        extensions=refuses(
            *("missing-scope", "not-found", "membership-suspended", "membership-ended"),
            *("invalid-request", "endpoint-url-refused", "endpoint-tls-refused", "too-many-endpoints"),
        ),
    )
    def post(self, request: Request) -> Response:
        """Add an address; the secret in the answer is shown this once.

        The address is sent an `endpoint.challenge` first, and nothing else until it has answered 2xx with a body that
        repeats the challenge.
        """
        at, who = timezone.now(), caller(request)
        form = NewEndpointShape(data=request.data)
        form.is_valid(raise_exception=True)
        wanted: dict[str, Any] = form.validated_data
        actor = f"partner:{who.slug}"
        if wanted.pop("feed") == "notices":
            added = endpoints.add_notice_endpoint(who.partner_id, **wanted, actor=actor, at=at)
        else:
            member = queries.reading_member(who, wanted.pop("programme"), at=at)
            wanted["filter"] = _filter(wanted.get("filter") or {}, member.programme_id)
            added = endpoints.add_endpoint(member, **wanted, actor=actor, at=at)
        [document] = _documents([added.endpoint], who=who, at=at)
        return Response({**document, "secret": added.secret}, status=201)


class EndpointView(Door):
    """Read, change, remove one."""

    permission_classes = [HasScope("endpoints:manage")]

    @extend_schema(
        operation_id="getEndpoint",
        summary="Read a webhook endpoint",
        tags=["endpoints"],
        responses=EndpointShape,
        extensions=refuses("missing-scope", "not-found"),
    )
    def get(self, request: Request, endpoint_id: UUID) -> Response:
        """One endpoint with its latest attempt."""
        at, who = timezone.now(), caller(request)
        [document] = _documents([queries.endpoint(endpoint_id, partner_id=who.partner_id)], who=who, at=at)
        return Response(document)

    @extend_schema(
        operation_id="changeEndpoint",
        summary="Change, pause or resume a webhook endpoint",
        tags=["endpoints"],
        request=ChangedEndpointShape,
        responses=EndpointShape,
        extensions=refuses(
            *("missing-scope", "not-found", "invalid-request"),
            *("endpoint-url-refused", "endpoint-tls-refused", "endpoint-held"),
        ),
    )
    def patch(self, request: Request, endpoint_id: UUID) -> Response:
        """Change what is named, all of it or nothing. A filter begins a new walk; a new address is challenged first.

        `state` pauses it and lets it go on; what the hub's operator stopped, only the operator starts again.
        """
        at, who = timezone.now(), caller(request)
        found = queries.endpoint(endpoint_id, partner_id=who.partner_id)
        form = ChangedEndpointShape(data=request.data, partial=True)
        form.is_valid(raise_exception=True)
        wanted: dict[str, Any] = form.validated_data
        if "filter" in wanted:
            if found.programme_id is None:
                raise ValidationError({"filter": ["Notices are not filtered."]})
            wanted["filter"] = _filter(wanted["filter"], found.programme_id)
        found = endpoints.change_endpoint(
            endpoint_id, partner_id=who.partner_id, **wanted, actor=f"partner:{who.slug}", at=at
        )
        [document] = _documents([found], who=who, at=at)
        return Response(document)

    @extend_schema(
        operation_id="removeEndpoint",
        summary="Remove a webhook endpoint",
        tags=["endpoints"],
        responses={204: None},
        extensions=refuses("missing-scope", "not-found"),
    )
    def delete(self, request: Request, endpoint_id: UUID) -> HttpResponse:
        """Forget the address and its secret."""
        who = caller(request)
        endpoints.remove_endpoint(
            endpoint_id, partner_id=who.partner_id, actor=f"partner:{who.slug}", at=timezone.now()
        )
        return HttpResponse(status=204)


class EndpointSecretView(Door):
    """Rotate its secret."""

    permission_classes = [HasScope("endpoints:manage")]

    @extend_schema(
        operation_id="rotateEndpointSecret",
        summary="Give a webhook endpoint a new secret",
        tags=["endpoints"],
        request=RotationShape,
        responses=AddedEndpointShape,
        extensions=refuses("missing-scope", "not-found", "invalid-request"),
    )
    def post(self, request: Request, endpoint_id: UUID) -> Response:
        """The new secret is shown this once; both sign until the old one ends, so that nothing is lost in between."""
        at, who = timezone.now(), caller(request)
        queries.endpoint(endpoint_id, partner_id=who.partner_id)
        form = RotationShape(data=request.data)
        form.is_valid(raise_exception=True)
        changed = endpoints.rotate_secret(
            endpoint_id,
            partner_id=who.partner_id,
            old_valid_for=timedelta(seconds=form.validated_data["old_valid_for"]),
            actor=f"partner:{who.slug}",
            at=at,
        )
        [document] = _documents([changed.endpoint], who=who, at=at)
        return Response({**document, "secret": changed.secret})


class EndpointReplayView(Door):
    """Begin anew."""

    permission_classes = [HasScope("endpoints:manage")]

    @extend_schema(
        operation_id="replayEndpoint",
        summary="Begin a new walk of the feed",
        tags=["endpoints"],
        description=(
            "From the start, everything live is sent again and the batch that completes the list says `listed`. From a "
            "time, what changed since is sent, however far back. A paused endpoint stays paused and goes on from there."
        ),
        request=ReplayShape,
        responses=EndpointShape,
        extensions=refuses("missing-scope", "not-found", "invalid-request"),
    )
    def post(self, request: Request, endpoint_id: UUID) -> Response:
        """Its place in the feed is given up for another."""
        at, who = timezone.now(), caller(request)
        queries.endpoint(endpoint_id, partner_id=who.partner_id)
        form = ReplayShape(data=request.data)
        form.is_valid(raise_exception=True)
        row = endpoints.replay(
            endpoint_id,
            partner_id=who.partner_id,
            since=form.validated_data["from"],
            actor=f"partner:{who.slug}",
            at=at,
        )
        [document] = _documents([row], who=who, at=at)
        return Response(document)


class EndpointTestView(Door):
    """Send a test."""

    permission_classes = [HasScope("endpoints:manage")]

    @extend_schema(
        operation_id="testEndpoint",
        summary="Have a test event sent",
        tags=["endpoints"],
        description="An `endpoint.test`, signed like everything else; the attempts tell what came of it.",
        request=None,
        responses={202: EndpointShape},
        extensions=refuses("missing-scope", "not-found", "endpoint-held"),
    )
    def post(self, request: Request, endpoint_id: UUID) -> Response:
        """It is sent at once, also to a paused endpoint; an address not yet verified gets its challenge first."""
        at, who = timezone.now(), caller(request)
        row = endpoints.send_test(endpoint_id, partner_id=who.partner_id, actor=f"partner:{who.slug}", at=at)
        [document] = _documents([row], who=who, at=at)
        return Response(document, status=202)


class EndpointAttemptsView(Door):
    """What came of each POST."""

    permission_classes = [HasScope("endpoints:manage")]

    @extend_schema(
        operation_id="listAttempts",
        summary="List the attempts to reach a webhook endpoint",
        tags=["endpoints"],
        parameters=[
            OpenApiParameter("before", {"type": "string", "format": "date-time"}, description="only older ones"),
            OpenApiParameter("limit", {"type": "integer", "minimum": 1, "maximum": 200, "default": 50}),
        ],
        responses=AttemptsShape,
        extensions=refuses("missing-scope", "not-found", "parameter-invalid"),
    )
    def get(self, request: Request, endpoint_id: UUID) -> Response:
        """Newest first; they are kept for some weeks."""
        row = queries.endpoint(endpoint_id, partner_id=caller(request).partner_id)
        refuse_unknown(request, {"before", "limit"})
        limit = whole(request, "limit", 50, 1, 200)
        rows = endpoint_health.attempts(row, before=moment_parameter(request, "before"), limit=limit)
        shown = [{**_attempt(each), "excerpt": endpoint_health.excerpt(each)} for each in rows]
        return Response({"attempts": shown, "before": rows[-1].at if len(rows) == limit else None})


class EndpointHealthView(Door):
    """How it fares, in numbers."""

    permission_classes = [HasScope("endpoints:manage")]

    @extend_schema(
        operation_id="readEndpointHealth",
        summary="Read how a webhook endpoint fares",
        tags=["endpoints"],
        responses=HealthShape,
        extensions=refuses("missing-scope", "not-found"),
    )
    def get(self, request: Request, endpoint_id: UUID) -> Response:
        """Lag, rates and times of the last 24 hours, and where its circuit breaker stands."""
        row = queries.endpoint(endpoint_id, partner_id=caller(request).partner_id)
        return Response(asdict(endpoint_health.health(row, at=timezone.now())))


class EndpointDrawingView(Door):
    """How it fares, as a drawing."""

    permission_classes = [HasScope("endpoints:manage")]
    renderer_classes = [SvgRenderer]

    @extend_schema(
        operation_id="drawEndpointHealth",
        summary="Draw how a webhook endpoint fares",
        tags=["endpoints"],
        responses={(200, "image/svg+xml"): OpenApiTypes.STR},
        extensions=refuses("missing-scope", "not-found"),
    )
    def get(self, request: Request, endpoint_id: UUID) -> HttpResponse:
        """Attempts by hour of the last day, delivered and failed, as an SVG."""
        row = queries.endpoint(endpoint_id, partner_id=caller(request).partner_id)
        return HttpResponse(endpoint_health.drawing(row, at=timezone.now()), content_type="image/svg+xml")


def _filter(wanted: dict[str, list[str]], programme_id: int) -> dict[str, list[object]]:
    filter_: dict[str, list[object]] = {name: [*sorted(set(values))] for name, values in wanted.items() if values}
    slugs = set(wanted.get("issuers", ()))
    if slugs:
        known = members_by_slug(programme_id)
        if not slugs <= set(known):
            raise ValidationError({"filter": {"issuers": ["An issuer is the slug of a member of the programme."]}})
        filter_["issuers"] = [*sorted(known[slug] for slug in slugs)]
    return filter_


def _documents(rows: Sequence[Endpoint], *, who: Caller, at: datetime) -> list[dict[str, Any]]:
    """The endpoints as their owner sees them, in four queries however many there are."""
    attempts = queries.last_attempts(row.id for row in rows)
    programmes = {member.programme_id: member.programme_slug for member in public.programmes_of(who.partner_id, at=at)}
    issuers = public.slugs({identity for row in rows for identity in row.filter.get("issuers", ())})
    former = queries.old_secrets([row.id for row in rows], at=at)
    return [
        _document(row, programmes.get(row.programme_id or 0), issuers, attempts.get(row.id), former.get(row.id, []))
        for row in rows
    ]


def _document(
    row: Endpoint,
    programme: str | None,
    issuers: Mapping[int, str],
    attempt: Attempt | None,
    former: Sequence[datetime],
) -> dict[str, Any]:
    shown = {name: list(values) for name, values in row.filter.items()}
    if "issuers" in shown:
        shown["issuers"] = sorted(issuers[identity] for identity in shown["issuers"])
    return {
        "id": str(row.id),
        "feed": "notices" if row.programme_id is None else "signals",
        "programme": programme,
        "url": row.url,
        "filter": shown,
        "batch_size": row.max_batch_size,
        "payload": row.payload,
        "posts_per_minute": row.posts_per_minute,
        "signatures": ["v1", "v1a"] if row.has_v1a else ["v1"],
        "public_keys": hub_public_keys() if row.has_v1a else [],
        "has_ca_pem": bool(row.ca_pem),
        "alert_email": row.alert_email,
        "verified_at": row.verified_at,
        "old_secrets_valid_until": former,
        "breaker": row.breaker,
        "is_failing": row.failing_told_at is not None,
        "state": row.state,
        "state_reason": row.state_reason,
        "failures": row.failures,
        "next_attempt_at": row.next_attempt_at,
        "last_success_at": row.last_success_at,
        "created_at": row.created_at,
        "last_attempt": _attempt(attempt) if attempt else None,
    }


def _attempt(attempt: Attempt) -> dict[str, Any]:
    return {
        "at": attempt.at,
        "kind": attempt.kind,
        "webhook_id": attempt.webhook_id,
        "signals": attempt.signal_count,
        "delivered": attempt.is_delivered,
        "status": attempt.status,
        "error": attempt.error,
        "latency_ms": attempt.latency_ms,
        "settled": attempt.settled,
    }
