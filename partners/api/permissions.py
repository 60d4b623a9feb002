"""What a caller may do: any partner, or a partner whose API key has the scope a door asks for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rest_framework.permissions import BasePermission

from partners.core.refusals import MissingScope
from partners.core.scopes import Scope
from partners.public import Caller

if TYPE_CHECKING:
    from rest_framework.request import Request
    from rest_framework.views import APIView


class IsPartner(BasePermission):
    """The request carried a usable API key; otherwise DRF answers 401."""

    def has_permission(self, request: Request, view: APIView) -> bool:
        """True for a Caller."""
        del view  # the same for every door
        return isinstance(request.auth, Caller)


def HasScope(scope: Scope | str) -> type[BasePermission]:  # noqa: N802  it stands where a class stands
    """`permission_classes = [HasScope("feed:read")]`: a partner, else 401; with the scope, else MissingScope."""
    wanted = Scope(scope)

    class _HasScope(IsPartner):
        def has_permission(self, request: Request, view: APIView) -> bool:
            if isinstance(request.auth, Caller) and wanted not in request.auth.scopes:
                raise MissingScope(f"This API key lacks the scope {wanted}.", scope=str(wanted))
            return super().has_permission(request, view)

    return _HasScope
