"""How doors describe themselves for the OpenAPI document: our authentication, and the refusals of each operation."""

from __future__ import annotations

from typing import TYPE_CHECKING

from drf_spectacular.extensions import OpenApiAuthenticationExtension

if TYPE_CHECKING:
    from drf_spectacular.openapi import AutoSchema

REFUSES = "x-heliograph-refuses"  # hub.openapi reads it and puts problem responses in its place


class ApiKeyScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]  # registers by being defined
    """A bearer token."""

    target_class = "partners.api.authentication.ApiKeyAuthentication"
    name = "apiKey"

    def get_security_definition(self, auto_schema: AutoSchema) -> dict[str, str]:
        """The security scheme object of OpenAPI 3.1."""
        del auto_schema  # the same for every door
        return {
            "type": "http",
            "scheme": "bearer",
            "bearerFormat": "hg_<env>_<id>_<secret>_<crc>",
            "description": "An API key of your company, from the hub's operator, bound to scopes and perhaps networks.",
        }


def refuses(*codes: str) -> dict[str, list[str]]:
    """`extend_schema(extensions=refuses("not-found"))`: what this operation may refuse, beside what every one does.

    Every operation may answer `unauthorized`, `rate-limited`, `not-acceptable`, `unavailable`, and with a body
    `malformed-request`, `body-too-large` and `unsupported-media-type`; hub.openapi adds those, and hub.problems knows
    each one's status.
    """
    return {REFUSES: list(codes)}
