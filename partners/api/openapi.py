"""How the OpenAPI document describes our authentication."""

from __future__ import annotations

from typing import TYPE_CHECKING

from drf_spectacular.extensions import OpenApiAuthenticationExtension

if TYPE_CHECKING:
    from drf_spectacular.openapi import AutoSchema


class ApiKeyScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]  # registers by being defined
    """A bearer token."""

    target_class = "partners.api.authentication.ApiKeyAuthentication"
    name = "apiKey"

    def get_security_definition(self, auto_schema: AutoSchema) -> dict[str, str]:
        """The security scheme object of OpenAPI 3.1."""
        del auto_schema  # the same for every door
        return {"type": "http", "scheme": "bearer", "bearerFormat": "hg_<env>_<id>_<secret>_<crc>"}
