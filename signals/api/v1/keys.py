"""A partner says that one of its keys is in wrong hands: not with the other doors of keys, for signals fall with it."""

from __future__ import annotations

from typing import Any

from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from partners.api.caller import caller
from partners.api.openapi import refuses
from partners.api.permissions import HasScope
from partners.api.view import Door
from signals.api.v1.serializers import FallenShape, FallShape
from signals.lifecycle.quarantine import revoke_compromised_key


class RevokeKeyView(Door):
    """Revoke as compromised."""

    permission_classes = [HasScope("keys:manage")]

    @extend_schema(
        operation_id="revokeKey",
        summary="Revoke a compromised signing key",
        description=(
            "Quarantines what the hub received under the key since `compromised_at` (all of it, when left out), "
            "undoes the withdrawals and endorsements signed with it since, and takes effect at once. To give a key up "
            "without a compromise, retire it."
        ),
        request=FallShape,
        tags=["keys"],
        responses=FallenShape,
        extensions=refuses("missing-scope", "not-found", "invalid-request", "invalid-time"),
    )
    def post(self, request: Request, kid: str) -> Response:
        """Revoke; the answer names every key that fell with it."""
        who = caller(request)
        form = FallShape(data=request.data)
        form.is_valid(raise_exception=True)
        wanted: dict[str, Any] = form.validated_data
        fallen = revoke_compromised_key(
            kid,
            partner_id=who.partner_id,
            compromised_at=wanted.get("compromised_at"),
            actor=f"partner:{who.slug}",
            at=timezone.now(),
        )
        return Response({"revoked": [key.kid for key in fallen.keys]})
