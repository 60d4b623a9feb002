"""A partner's webhook endpoints."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from django.http import HttpResponse
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from partners import public
from partners.api.caller import caller
from partners.api.openapi import refuses
from partners.api.permissions import HasScope
from partners.api.view import Door
from partners.public import Caller
from signals import queries
from signals.api.v1.feed import members_by_slug
from signals.api.v1.serializers import AddedEndpointShape, ChangedEndpointShape, EndpointShape, NewEndpointShape
from signals.lifecycle import endpoints
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
            *("invalid-request", "endpoint-url-refused", "too-many-endpoints"),
        ),
    )
    def post(self, request: Request) -> Response:
        """Add an address; the secret in the answer is shown this once."""
        at, who = timezone.now(), caller(request)
        form = NewEndpointShape(data=request.data)
        form.is_valid(raise_exception=True)
        wanted: dict[str, Any] = form.validated_data
        member = queries.reading_member(who, wanted["programme"], at=at)
        added = endpoints.add_endpoint(
            member,
            url=wanted["url"],
            filter=_filter(wanted.get("filter") or {}, member.programme_id),
            batch_size=wanted["batch_size"],
            actor=f"partner:{who.slug}",
            at=at,
        )
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
        extensions=refuses("missing-scope", "not-found", "invalid-request", "endpoint-url-refused", "endpoint-held"),
    )
    def patch(self, request: Request, endpoint_id: UUID) -> Response:
        """Change what is named, all of it or nothing. A filter begins a new walk.

        `state` pauses it and lets it go on; what the hub's operator stopped, only the operator starts again.
        """
        at, who = timezone.now(), caller(request)
        found = queries.endpoint(endpoint_id, partner_id=who.partner_id)
        form = ChangedEndpointShape(data=request.data, partial=True)
        form.is_valid(raise_exception=True)
        wanted: dict[str, Any] = form.validated_data
        if "filter" in wanted:
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
    """The endpoints as their owner sees them, in three queries however many there are."""
    attempts = queries.last_attempts(row.id for row in rows)
    programmes = {member.programme_id: member.programme_slug for member in public.programmes_of(who.partner_id, at=at)}
    issuers = public.slugs({identity for row in rows for identity in row.filter.get("issuers", ())})
    return [_document(row, programmes[row.programme_id], issuers, attempts.get(row.id)) for row in rows]


def _document(row: Endpoint, programme: str, issuers: Mapping[int, str], attempt: Attempt | None) -> dict[str, Any]:
    shown = {name: list(values) for name, values in row.filter.items()}
    if "issuers" in shown:
        shown["issuers"] = sorted(issuers[identity] for identity in shown["issuers"])
    return {
        "id": str(row.id),
        "programme": programme,
        "url": row.url,
        "filter": shown,
        "batch_size": row.max_batch_size,
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
        "signals": attempt.signal_count,
        "delivered": attempt.is_delivered,
        "status": attempt.status,
        "error": attempt.error,
        "latency_ms": attempt.latency_ms,
    }
