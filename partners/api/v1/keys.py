"""A partner's own signing keys over HTTP: list, propose, endorse, retire. Revoking is signals' door: it quarantines."""

from __future__ import annotations

from collections.abc import Mapping
from typing import IO, Any

from django.conf import settings
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework.parsers import BaseParser
from rest_framework.request import Request
from rest_framework.response import Response

from partners import queries
from partners.api.caller import actor, caller
from partners.api.openapi import refuses
from partners.api.permissions import HasScope
from partners.api.v1 import documents, serializers
from partners.api.view import Door
from partners.core.endorsement import MAX_BYTES
from partners.core.scopes import Scope
from partners.lifecycle.endorse_key import endorse_key
from partners.lifecycle.propose_key import propose_key
from partners.lifecycle.retire_key import retire_key


class Jose(BaseParser):
    """One compact JWS; a byte more than allowed is read, so that the verb can say that it is too large."""

    media_type = "application/jose"

    def parse(
        self, stream: IO[Any], media_type: str | None = None, parser_context: Mapping[str, Any] | None = None
    ) -> dict[str, bytes]:
        """The bytes as they came, as the one member `jws`."""
        del media_type, parser_context
        return {"jws": stream.read(MAX_BYTES + 1)}


class SigningKeys(Door):
    """One's own signing keys."""

    def get_permissions(self) -> list[Any]:
        """Reading and proposing need different scopes."""
        return [HasScope(Scope.KEYS_MANAGE if self.request.method == "POST" else Scope.KEYS_READ)()]

    @extend_schema(
        operation_id="listKeys",
        summary="List one's signing keys",
        tags=["keys"],
        responses=serializers.SigningKeys,
        extensions=refuses("missing-scope"),
    )
    def get(self, request: Request) -> Response:
        """List one's own signing keys, newest first."""
        keys = queries.signing_keys_of(caller(request))
        return Response({"keys": [documents.signing_key(key) for key in keys]})

    @extend_schema(
        operation_id="proposeKey",
        summary="Propose a signing key",
        tags=["keys"],
        request=serializers.Proposal,
        responses={201: serializers.SigningKeyShape},
        extensions=refuses(
            *("missing-scope", "invalid-request", "invalid-key", "private-key-sent", "key-taken", "wrong-state")
        ),
    )
    def post(self, request: Request) -> Response:
        """Propose a signing key. It counts for nothing until an active key endorses it or an operator lets it in."""
        proposal = serializers.Proposal(data=request.data)
        proposal.is_valid(raise_exception=True)
        jwk = proposal.validated_data["jwk"]
        key = propose_key(jwk, partner_slug=caller(request).slug, actor=actor(request), at=timezone.now())
        return Response(documents.signing_key(key), status=201)


class Endorse(Door):
    """Makes a proposed key active."""

    permission_classes = [HasScope(Scope.KEYS_MANAGE)]
    parser_classes = [Jose]

    @extend_schema(
        operation_id="endorseKey",
        summary="Endorse a proposed signing key",
        tags=["keys"],
        request={"application/jose": {"type": "string", "description": "one compact `key-endorsement+jws`"}},
        responses=serializers.SigningKeyShape,
        extensions=refuses("missing-scope", "not-found", "endorsement-refused", "wrong-state"),
    )
    def post(self, request: Request, kid: str) -> Response:
        """Endorse a proposed key with an active one: the body is signed with that one."""
        key = endorse_key(
            _jws(request),
            kid=kid,
            partner_slug=caller(request).slug,
            hub_id=settings.HUB_ID,
            actor=actor(request),
            at=timezone.now(),
        )
        return Response(documents.signing_key(key))


def _jws(request: Request) -> bytes:
    """The body; an empty one never reaches a parser."""
    jws = request.data.get("jws", b"") if isinstance(request.data, dict) else b""
    assert isinstance(jws, bytes)
    return jws


class Retire(Door):
    """Ends a key nobody else ever held."""

    permission_classes = [HasScope(Scope.KEYS_MANAGE)]

    @extend_schema(
        operation_id="retireKey",
        summary="Retire a signing key",
        tags=["keys"],
        request=None,
        responses=serializers.SigningKeyShape,
        extensions=refuses("missing-scope", "not-found", "wrong-state"),
    )
    def post(self, request: Request, kid: str) -> Response:
        """Retire a signing key, or give up a proposal: what was received under it before stays good."""
        slug = caller(request).slug
        key = retire_key(kid, partner_slug=slug, actor=actor(request), at=timezone.now())
        return Response(documents.signing_key(key))
