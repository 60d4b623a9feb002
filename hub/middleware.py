"""Serve nothing from a database that was put back from a backup, until `manage.py restored` has been run."""

from __future__ import annotations

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse

from hub import problems
from hub.ledger import serving

_ALWAYS = ("/livez", "/readyz", "/metrics", "/static/")


class ServeNothingStale:
    """Answers 503 while the database is behind its mirror; health checks go on answering."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Let the request through, or not."""
        if not request.path.startswith(_ALWAYS) and not serving.may_serve():
            return problems.problem(
                "unavailable", "The hub is being restored and serves nothing meanwhile; try again later.", status=503
            )
        return self.get_response(request)
