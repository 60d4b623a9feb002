"""Refusal → HTTP problem (RFC 9457): the only file that pairs them with status codes."""

from __future__ import annotations

import logging
from http import HTTPStatus
from typing import Any

import msgspec
from django.conf import settings
from django.core.exceptions import PermissionDenied, RequestDataTooBig
from django.http import Http404, HttpRequest, HttpResponse
from rest_framework import exceptions

from hub.refusal import Refusal

logger = logging.getLogger(__name__)

CONTENT_TYPE = "application/problem+json"

# Every refusal that can end a request. Those of single statements never do: they are verdicts, told in a document.
STATUS: dict[str, HTTPStatus] = {
    "bad-gzip": HTTPStatus.BAD_REQUEST,
    "body-too-large": HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    "cannot-move": HTTPStatus.CONFLICT,
    "cursor-expired": HTTPStatus.GONE,
    "cursor-filter-changed": HTTPStatus.BAD_REQUEST,
    "cursor-invalid": HTTPStatus.BAD_REQUEST,
    "empty-body": HTTPStatus.BAD_REQUEST,
    "endpoint-url-refused": HTTPStatus.UNPROCESSABLE_ENTITY,
    "invalid-indicator": HTTPStatus.UNPROCESSABLE_ENTITY,
    "invalid-request": HTTPStatus.UNPROCESSABLE_ENTITY,
    "key-taken": HTTPStatus.CONFLICT,
    "malformed-request": HTTPStatus.BAD_REQUEST,
    "membership-ended": HTTPStatus.GONE,
    "membership-suspended": HTTPStatus.FORBIDDEN,
    "method-not-allowed": HTTPStatus.METHOD_NOT_ALLOWED,
    "missing-scope": HTTPStatus.FORBIDDEN,
    "not-acceptable": HTTPStatus.NOT_ACCEPTABLE,
    "not-found": HTTPStatus.NOT_FOUND,
    "parameter-invalid": HTTPStatus.BAD_REQUEST,
    "slug-taken": HTTPStatus.CONFLICT,
    "too-many-lines": HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    "unauthorized": HTTPStatus.UNAUTHORIZED,
    "unavailable": HTTPStatus.SERVICE_UNAVAILABLE,
    "unsupported-media-type": HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    "warning-list-unusable": HTTPStatus.UNPROCESSABLE_ENTITY,
    "wrong-state": HTTPStatus.CONFLICT,
}


def problem(
    code: str,
    detail: str,
    *,
    status: int,
    pointer: str | None = None,
    headers: dict[str, str] | None = None,
    **facts: Any,
) -> HttpResponse:
    """A problem document: `type` leads to its paragraph in the documentation, `code` is for programs."""
    document: dict[str, Any] = {
        "type": f"{settings.PUBLIC_URL}/api/problems#{code}",
        "title": code.replace("-", " ").capitalize(),
        "status": status,
        "detail": detail,
        "code": code,
    }
    if pointer is not None:
        document["pointer"] = pointer
    return HttpResponse(
        msgspec.json.encode(document | facts), status=status, content_type=CONTENT_TYPE, headers=headers or {}
    )


def handle(error: Exception, context: dict[str, Any]) -> HttpResponse | None:
    """DRF's exception handler: refusals and DRF's own errors as problems; anything else is a bug and propagates."""
    del context
    if isinstance(error, Refusal):
        return of_refusal(error)
    if isinstance(error, Http404 | exceptions.NotFound):
        return problem("not-found", "There is nothing here that this key may see.", status=404)
    if isinstance(error, RequestDataTooBig):
        return problem("body-too-large", "The body is too large.", status=413)
    if isinstance(error, exceptions.NotAuthenticated | exceptions.AuthenticationFailed):
        return unauthorized()
    if isinstance(error, exceptions.PermissionDenied | PermissionDenied):
        return problem("missing-scope", _sentence(error, "The key lacks the scope for this."), status=403)
    if isinstance(error, exceptions.ValidationError):
        pointer, detail = _first_fault(error.detail)
        return problem("invalid-request", detail, status=422, pointer=pointer)
    if isinstance(error, exceptions.APIException):
        code = _DRF_CODES.get(error.status_code, "malformed-request")
        return problem(code, _sentence(error, error.default_detail), status=error.status_code)
    return None


def of_refusal(refusal: Refusal) -> HttpResponse:
    """The problem that a refusal becomes."""
    status = STATUS.get(refusal.code, HTTPStatus.UNPROCESSABLE_ENTITY)
    return problem(refusal.code, refusal.detail, status=status, pointer=refusal.pointer, **refusal.facts)


def unauthorized() -> HttpResponse:
    """The one answer to every unusable key, whatever exists."""
    return problem(
        "unauthorized", "The API key is missing or cannot be used.", status=401, headers={"WWW-Authenticate": "Bearer"}
    )


def not_found(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    """Django's handler404: a problem for the API, a plain sentence for people."""
    del exception
    if request.path.startswith(("/api/", "/.well-known/")):
        return problem("not-found", "There is nothing here that this key may see.", status=404)
    return HttpResponse("Not found.\n", status=404, content_type="text/plain; charset=utf-8")


def server_error(request: HttpRequest) -> HttpResponse:
    """Django's handler500: says nothing of what went wrong; the log does."""
    del request
    return problem("internal-error", "Something went wrong in the hub; it has been noted.", status=500)


_DRF_CODES = {400: "malformed-request", 405: "method-not-allowed", 406: "not-acceptable", 415: "unsupported-media-type"}


def _sentence(error: Exception, fallback: object) -> str:
    detail = getattr(error, "detail", None)
    return str(detail) if isinstance(detail, str) else str(fallback)


def _first_fault(detail: Any, path: str = "") -> tuple[str | None, str]:
    """The first fault of DRF's nested error detail, with its JSON Pointer."""
    if isinstance(detail, dict):
        name, inner = next(iter(detail.items()))
        return _first_fault(inner, path if name == "non_field_errors" else f"{path}/{name}")
    if isinstance(detail, list):
        for number, inner in enumerate(detail):
            if inner:
                return _first_fault(inner, path if isinstance(inner, str) else f"{path}/{number}")
    return path or None, str(detail)
