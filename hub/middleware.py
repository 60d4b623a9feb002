"""Serve nothing while the database is away, or is behind its mirror until `manage.py restored` has been run."""

from __future__ import annotations

import logging
from collections.abc import Callable

from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse

from hub import problems
from hub.ledger import serving
from hub.ledger.tile_store import StoreAway

logger = logging.getLogger(__name__)

_ALWAYS = ("/livez", "/readyz", "/metrics", "/static/")
_AWAY = (OperationalError, InterfaceError)  # psycopg's pool times out as an OperationalError too
_RETRY_AFTER = {"Retry-After": "5"}


class ServeNothingStale:
    """Answers 503 when there is no database, or an old one; health checks go on answering."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Let the request through, or not."""
        if not request.path.startswith(_ALWAYS):
            try:
                may_serve = serving.may_serve()
            except _AWAY as error:
                return _unavailable(error)
            if not may_serve:
                detail = "The hub is being restored and serves nothing meanwhile; try again later."
                return problems.problem("unavailable", detail, status=503, headers=_RETRY_AFTER)
        return self.get_response(request)

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        """A database or store that went away while a view asked it: nothing was stored that was not answered for."""
        del request
        if isinstance(exception, StoreAway):
            detail = "The ledger's files cannot be read at the moment; try again later."
            return problems.problem("unavailable", detail, status=503, headers=_RETRY_AFTER)
        return _unavailable(exception) if isinstance(exception, _AWAY) else None


def _unavailable(error: Exception) -> HttpResponse:
    logger.warning("database.away", extra={"reason": type(error).__name__})
    detail = "The hub's database does not answer at the moment; try again in a few seconds."
    return problems.problem("unavailable", detail, status=503, headers=_RETRY_AFTER)
