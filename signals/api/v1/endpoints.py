"""A partner's webhook endpoints."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.http import HttpResponse
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from partners import public
from partners.api.caller import caller
from partners.api.permissions import HasScope
from signals import queries
from signals.api.v1.feed import issuer_ids, members_by_slug
from signals.api.v1.problems import problems
from signals.api.v1.serializers import AddedEndpointShape, ChangedEndpointShape, EndpointShape, NewEndpointShape
from signals.lifecycle import endpoints
from signals.models import Attempt, Endpoint


class EndpointsView(APIView):
    """List and add."""

    permission_classes = [HasScope("endpoints:manage")]

    @extend_schema(
        operation_id="listEndpoints",
        summary="List one's webhook endpoints",
        responses={200: EndpointShape(many=True), **problems(401, 403)},
    )
    def get(self, request: Request) -> Response:
        """Every endpoint of the caller."""
        found = queries.endpoints(caller(request).partner_id)
        attempts = queries.last_attempts(row.id for row in found)
        return Response([_document(row, attempts.get(row.id)) for row in found])

    @extend_schema(
        operation_id="addEndpoint",
        summary="Add a webhook endpoint",
        request=NewEndpointShape,
        responses={201: AddedEndpointShape, **problems(400, 401, 403, 404, 410, 415, 422)},
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
            filter=_filter(wanted.get("filter") or {}, member.programme_id, at=at),
            batch_size=wanted["batch_size"],
            actor=f"partner:{who.slug}",
            at=at,
        )
        return Response({**_document(added.endpoint, None), "secret": added.secret}, status=201)


class EndpointView(APIView):
    """Read, change, remove one."""

    permission_classes = [HasScope("endpoints:manage")]

    @extend_schema(
        operation_id="getEndpoint",
        summary="Read a webhook endpoint",
        responses={200: EndpointShape, **problems(401, 403, 404)},
    )
    def get(self, request: Request, endpoint_id: UUID) -> Response:
        """One endpoint with its latest attempt."""
        found = queries.endpoint(endpoint_id, partner_id=caller(request).partner_id)
        return Response(_document(found, queries.last_attempts([found.id]).get(found.id)))

    @extend_schema(
        operation_id="changeEndpoint",
        summary="Change, pause or resume a webhook endpoint",
        request=ChangedEndpointShape,
        responses={200: EndpointShape, **problems(400, 401, 403, 404, 415, 422)},
    )
    def patch(self, request: Request, endpoint_id: UUID) -> Response:
        """Change what is named, in one request as several verbs."""
        at, who = timezone.now(), caller(request)
        found = queries.endpoint(endpoint_id, partner_id=who.partner_id)
        form = ChangedEndpointShape(data=request.data, partial=True)
        form.is_valid(raise_exception=True)
        wanted: dict[str, Any] = form.validated_data
        by: dict[str, Any] = {"partner_id": who.partner_id, "actor": f"partner:{who.slug}", "at": at}
        if "url" in wanted or "batch_size" in wanted:
            found = endpoints.change_endpoint(
                endpoint_id, url=wanted.get("url"), batch_size=wanted.get("batch_size"), **by
            )
        if "filter" in wanted:
            filter_ = _filter(wanted["filter"], found.programme_id, at=at)
            found = endpoints.filter_endpoint(endpoint_id, filter=filter_, **by)
        if wanted.get("state") == "paused":
            found = endpoints.pause_endpoint(endpoint_id, **by)
        elif wanted.get("state") == "active":
            found = endpoints.resume_endpoint(endpoint_id, **by)
        return Response(_document(found, queries.last_attempts([found.id]).get(found.id)))

    @extend_schema(
        operation_id="removeEndpoint",
        summary="Remove a webhook endpoint",
        responses={204: None, **problems(401, 403, 404)},
    )
    def delete(self, request: Request, endpoint_id: UUID) -> HttpResponse:
        """Forget the address and its secret."""
        who = caller(request)
        endpoints.remove_endpoint(
            endpoint_id, partner_id=who.partner_id, actor=f"partner:{who.slug}", at=timezone.now()
        )
        return HttpResponse(status=204)


def _filter(wanted: dict[str, list[str]], programme_id: int, *, at: Any) -> dict[str, list[object]]:
    filter_: dict[str, list[object]] = {name: sorted(set(values)) for name, values in wanted.items() if values}
    if "issuers" in filter_:
        filter_["issuers"] = list(issuer_ids(wanted["issuers"], members_by_slug(programme_id, at=at)))
    return filter_


def _document(row: Endpoint, attempt: Attempt | None) -> dict[str, Any]:
    names = {member.partner_id: member.partner_slug for member in public.members(row.programme_id, at=row.created_at)}
    shown = {name: list(values) for name, values in row.filter.items()}
    if "issuers" in shown:
        shown["issuers"] = sorted(names[identity] for identity in shown["issuers"])
    return {
        "id": str(row.id),
        "programme": public.programme_by_id(row.programme_id).slug,
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
