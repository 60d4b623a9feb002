"""A partner's programmes and the fellow members in them over HTTP."""

from __future__ import annotations

from django.conf import settings
from django.utils import timezone
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response

from hub.vault import hub_keys
from partners import queries
from partners.api.caller import caller
from partners.api.openapi import refuses
from partners.api.permissions import IsPartner
from partners.api.v1 import documents, serializers
from partners.api.v1.cacheable import cacheable
from partners.api.view import Door

_IF_NONE_MATCH = OpenApiParameter("If-None-Match", str, OpenApiParameter.HEADER, description="the ETag one holds")
_NOT_MODIFIED = OpenApiResponse(description="The answer whose ETag was sent still stands.")


class Programmes(Door):
    """The programmes one is or was in."""

    permission_classes = [IsPartner]

    @extend_schema(
        operation_id="listProgrammes",
        summary="List one's programmes",
        tags=["programmes"],
        responses=serializers.Programmes,
    )
    def get(self, request: Request) -> Response:
        """List one's programmes and one's standing in each, ended memberships too; and who the two of us are."""
        now, who = timezone.now(), caller(request)
        memberships = queries.memberships_of(who)
        return Response(
            {
                "hub": settings.HUB_ID,
                "partner": who.slug,
                "programmes": [documents.programme(membership, at=now) for membership in memberships],
            }
        )


class Programme(Door):
    """One programme."""

    permission_classes = [IsPartner]

    @extend_schema(
        operation_id="getProgramme",
        summary="Read a programme",
        tags=["programmes"],
        responses=serializers.ProgrammeShape,
        extensions=refuses("not-found"),
    )
    def get(self, request: Request, slug: str) -> Response:
        """Read one programme's words and retention, and one's standing in it."""
        membership = queries.membership_of(caller(request), slug)
        return Response(documents.programme(membership, at=timezone.now()))


class Members(Door):
    """The fellow members of a programme."""

    permission_classes = [IsPartner]

    @extend_schema(
        operation_id="listMembers",
        summary="List a programme's members",
        tags=["programmes"],
        responses=serializers.Members,
        extensions=refuses("not-found"),
    )
    def get(self, request: Request, slug: str) -> Response:
        """List the members of a programme in which one is active."""
        members = queries.fellow_members(caller(request), slug)
        return Response({"members": [documents.member(membership) for membership in members]})


class PartnerJwks(Door):
    """A fellow member's public keys."""

    permission_classes = [IsPartner]

    @extend_schema(
        operation_id="getPartnerKeys",
        summary="Read a fellow member's public keys",
        tags=["programmes"],
        parameters=[_IF_NONE_MATCH],
        responses={200: serializers.PublishedJwks, 304: _NOT_MODIFIED},
        extensions=refuses("not-found"),
    )
    def get(self, request: Request, slug: str) -> Response:
        """Read the keys, past ones with their validity too, of a fellow member of some programme, or one's own."""
        keys = queries.published_keys(caller(request), slug)
        document = {"keys": [documents.published_jwk(key) for key in keys]}
        return cacheable(request, document, cache_control="private, max-age=60")


class HubJwks(Door):
    """The hub's own public keys, open to the world."""

    authentication_classes = []
    permission_classes = [AllowAny]

    @extend_schema(
        operation_id="getHubKeys",
        summary="Read the hub's own public keys",
        tags=["hub"],
        parameters=[_IF_NONE_MATCH],
        responses={200: serializers.HubJwks, 304: _NOT_MODIFIED},
    )
    def get(self, request: Request) -> Response:
        """Read the hub's own keys."""
        return cacheable(request, hub_keys.public_jwks(), cache_control="public, max-age=300")
