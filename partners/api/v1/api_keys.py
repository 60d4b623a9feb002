"""A partner's own API keys over HTTP: which there are, and a new one in place of an old one."""

from __future__ import annotations

from datetime import timedelta

from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from partners import queries
from partners.api.caller import actor, caller
from partners.api.openapi import refuses
from partners.api.permissions import HasScope
from partners.api.v1 import documents, serializers
from partners.api.view import Door
from partners.core.scopes import Scope
from partners.lifecycle.roll_api_key import roll_api_key


class ApiKeys(Door):
    """One's own API keys."""

    permission_classes = [HasScope(Scope.KEYS_READ)]

    @extend_schema(
        operation_id="listApiKeys",
        summary="List one's API keys",
        tags=["keys"],
        responses=serializers.ApiKeys,
        extensions=refuses("missing-scope"),
    )
    def get(self, request: Request) -> Response:
        """List one's own live API keys, newest first: what each may do, and when it was last used."""
        keys = queries.api_keys_of(caller(request), at=timezone.now())
        return Response({"api_keys": [documents.api_key(key) for key in keys]})


class RollApiKey(Door):
    """A new API key in place of an old one."""

    permission_classes = [HasScope(Scope.KEYS_MANAGE)]

    @extend_schema(
        operation_id="rollApiKey",
        summary="Make a new API key in place of an old one",
        tags=["keys"],
        request=serializers.Roll,
        responses={201: serializers.RolledApiKey},
        extensions=refuses("missing-scope", "not-found", "invalid-request", "wrong-state"),
    )
    def post(self, request: Request, key_id: str) -> Response:
        """Make a new API key that may do the same. Its token is in this answer and nowhere else.

        The old key works for `old_expires_in` seconds more, but manages no keys any more. A key is rolled once. One
        that may do more than the key asked with, or from other networks, is refused.
        """
        roll = serializers.Roll(data=request.data)
        roll.is_valid(raise_exception=True)
        issued = roll_api_key(
            key_id,
            partner_slug=caller(request).slug,
            asked_with=caller(request).api_key_id,
            old_expires_in=timedelta(seconds=roll.validated_data["old_expires_in"]),
            actor=actor(request),
            at=timezone.now(),
        )
        document = {**documents.api_key(issued.row), "token": issued.token, "rolled_from": key_id}
        return Response(document, status=201)
