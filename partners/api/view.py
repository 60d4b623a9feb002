"""What every door of the API has in common: the methods it may know, and that no cache keeps an answer unasked."""

from __future__ import annotations

from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView


class Door(APIView):
    """One address. OPTIONS is not among its methods: the OpenAPI document describes it, to everybody alike."""

    http_method_names = ["get", "post", "patch", "delete", "head"]

    def finalize_response(self, request: Request, response: Response, *args: object, **kwargs: object) -> Response:
        """Answers hold what one partner may see; a view that thinks otherwise says so itself."""
        finished = super().finalize_response(request, response, *args, **kwargs)
        finished.headers.setdefault("Cache-Control", "no-store")
        return finished
