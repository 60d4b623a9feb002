"""The pages for people who come with a browser: the front, the API's documentation, the problems one by one."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse


def front(request: HttpRequest) -> HttpResponse:
    """The hub itself has no public face: show the way to the documentation."""
    del request
    return HttpResponseRedirect(reverse("api-docs"))


def api(request: HttpRequest) -> HttpResponse:
    """The API's documentation."""
    del request
    return HttpResponse("See /api/openapi.yaml\n", content_type="text/plain")


def problems(request: HttpRequest) -> HttpResponse:
    """Every problem the API may answer with."""
    del request
    return HttpResponse("See /api/openapi.yaml\n", content_type="text/plain")
