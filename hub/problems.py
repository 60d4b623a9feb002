"""Refusal → HTTP problem (RFC 9457): the only file that pairs them with status codes."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import msgspec
from django.conf import settings
from django.core.exceptions import PermissionDenied, RequestDataTooBig
from django.http import Http404, HttpRequest, HttpResponse
from rest_framework import exceptions

from hub.refusal import Refusal, is_plain
from signals.core.refusals import LineRefusal

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
    "endorsement-refused": HTTPStatus.UNPROCESSABLE_ENTITY,
    "endpoint-held": HTTPStatus.CONFLICT,
    "endpoint-tls-refused": HTTPStatus.UNPROCESSABLE_ENTITY,
    "endpoint-url-refused": HTTPStatus.UNPROCESSABLE_ENTITY,
    "internal-error": HTTPStatus.INTERNAL_SERVER_ERROR,
    "invalid-api-key-settings": HTTPStatus.UNPROCESSABLE_ENTITY,
    "invalid-indicator": HTTPStatus.UNPROCESSABLE_ENTITY,
    "invalid-key": HTTPStatus.UNPROCESSABLE_ENTITY,
    "invalid-limits": HTTPStatus.UNPROCESSABLE_ENTITY,
    "invalid-programme": HTTPStatus.UNPROCESSABLE_ENTITY,
    "invalid-request": HTTPStatus.UNPROCESSABLE_ENTITY,
    "invalid-slug": HTTPStatus.UNPROCESSABLE_ENTITY,
    "invalid-time": HTTPStatus.UNPROCESSABLE_ENTITY,
    "key-taken": HTTPStatus.CONFLICT,
    "leaf-not-signed": HTTPStatus.CONFLICT,
    "malformed-request": HTTPStatus.BAD_REQUEST,
    "membership-ended": HTTPStatus.GONE,
    "membership-suspended": HTTPStatus.FORBIDDEN,
    "method-not-allowed": HTTPStatus.METHOD_NOT_ALLOWED,
    "missing-scope": HTTPStatus.FORBIDDEN,
    "not-acceptable": HTTPStatus.NOT_ACCEPTABLE,
    "not-found": HTTPStatus.NOT_FOUND,
    "parameter-invalid": HTTPStatus.BAD_REQUEST,
    "private-key-sent": HTTPStatus.UNPROCESSABLE_ENTITY,
    "rate-limited": HTTPStatus.TOO_MANY_REQUESTS,
    "receipt-refused": HTTPStatus.UNPROCESSABLE_ENTITY,
    "slug-taken": HTTPStatus.CONFLICT,
    "too-many-endpoints": HTTPStatus.CONFLICT,
    "too-many-lines": HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    "too-much-pending": HTTPStatus.TOO_MANY_REQUESTS,
    "unauthorized": HTTPStatus.UNAUTHORIZED,
    "unavailable": HTTPStatus.SERVICE_UNAVAILABLE,
    "unsupported-media-type": HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    "warning-list-unusable": HTTPStatus.UNPROCESSABLE_ENTITY,
    "wrong-state": HTTPStatus.CONFLICT,
}


# ---------------------------------------------------------------- what no room refuses, but HTTP does
class Unauthorized(Refusal):
    """The API key is missing or cannot be used.

    Send `Authorization: Bearer hg_…`. The answer is the same for a mistyped, unknown, expired or revoked key, for one
    used from a network it is not bound to, and while your company is suspended. Ask the hub's operator.
    """

    code = "unauthorized"


class MalformedRequest(Refusal):
    """The request cannot be read.

    Its body is not JSON in UTF-8 or names a member twice, or its headers make no sense together.
    """

    code = "malformed-request"


class InvalidRequest(Refusal):
    """The body's members are not those of this operation.

    A member is missing, unknown, of the wrong type or out of bounds; `pointer` (RFC 6901) says which one.
    """

    code = "invalid-request"


class MethodNotAllowed(Refusal):
    """The address does not know this method.

    The header `Allow` lists those it knows.
    """

    code = "method-not-allowed"


class NotAcceptable(Refusal):
    """The answer cannot be had in a media type that `Accept` names.

    Ask for `application/json`; feeds also come as `application/x-ndjson`.
    """

    code = "not-acceptable"


class Unavailable(Refusal):
    """The hub cannot serve at the moment: its database is away, or is being restored from a backup.

    Try again later with growing pauses, not before `Retry-After`. Repeat what was not answered for: a statement counts
    once, by its `jti`.
    """

    code = "unavailable"


class InternalError(Refusal):
    """Something went wrong in the hub; the fault is the hub's and has been noted.

    A request that was answered so may be repeated: statements count once, by their `jti`. As a verdict it says that the
    hub failed at this statement again and again and gave up on its submission, of which then nothing took effect:
    submit it again later, or tell the hub's operator its id.
    """

    code = "internal-error"


@dataclass(frozen=True, slots=True)
class Paragraph:
    """What the documentation says of one code; one that never ends a request has no `status`."""

    code: str
    title: str
    text: str
    status: HTTPStatus | None
    is_verdict: bool  # on a single statement


def paragraphs() -> list[Paragraph]:
    """Every code a partner may meet, in order: from the docstrings of the refusals that are loaded.

    Where two rooms share a code, the fuller text counts.
    """
    fullest: dict[str, str] = {}
    verdicts: set[str] = set()
    for kind in sorted(_leaves(Refusal), key=lambda kind: (kind.__module__, kind.__qualname__)):
        text = inspect.getdoc(kind) or ""
        if len(text) > len(fullest.get(kind.code, "")):
            fullest[kind.code] = text
        if issubclass(kind, LineRefusal):
            verdicts.add(kind.code)
    found = []
    for code, text in sorted(fullest.items()):
        title, _, rest = text.partition("\n\n")
        found.append(
            Paragraph(code, " ".join(title.split()), " ".join(rest.split()), STATUS.get(code), code in verdicts)
        )
    return found


def _leaves(base: type[Refusal]) -> Iterator[type[Refusal]]:
    for kind in base.__subclasses__():
        told_to_staff = kind.__module__.startswith(
            ("hub.staff", "hub.ledger.export", "signals.cases", "signals.bulk")
        )  # their pages
        if "code" in vars(kind) and not told_to_staff:
            yield kind
        yield from _leaves(kind)


def problem(
    code: str,
    detail: str,
    *,
    status: int,
    pointer: str | None = None,
    headers: dict[str, str] | None = None,
    facts: Mapping[str, object] | None = None,
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
        msgspec.json.encode(document | dict(facts or {})),
        status=status,
        content_type=CONTENT_TYPE,
        headers=headers or {},
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
        code, sentence = _OF_HTTP.get(error.status_code, ("malformed-request", ""))
        return problem(code, sentence or _sentence(error, error.default_detail), status=error.status_code)
    return None


def of_refusal(refusal: Refusal) -> HttpResponse:
    """The problem that a refusal becomes; one that says when to come back says it in the header field too."""
    status = STATUS.get(refusal.code, HTTPStatus.UNPROCESSABLE_ENTITY)
    headers = {"Retry-After": str(refusal.facts["retry_after"])} if "retry_after" in refusal.facts else {}
    return problem(
        refusal.code, refusal.detail, status=status, pointer=refusal.pointer, headers=headers, facts=refusal.facts
    )


def unauthorized() -> HttpResponse:
    """The one answer to every unusable key, whatever exists."""
    return problem(
        "unauthorized", "The API key is missing or cannot be used.", status=401, headers={"WWW-Authenticate": "Bearer"}
    )


def not_found(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    """Django's handler404: a problem for the API, a plain sentence for people."""
    del exception
    if request.path.startswith(_FOR_PROGRAMS):
        return problem("not-found", "There is nothing here that this key may see.", status=404)
    return _plain("Not found.\n", status=404)


def bad_request(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    """Django's handler400: a wrong Host header, for instance."""
    del request, exception
    return problem("malformed-request", "The request cannot be read.", status=400)


def server_error(request: HttpRequest) -> HttpResponse:
    """Django's handler500: says nothing of what went wrong; the log does."""
    if request.path.startswith(_FOR_PROGRAMS):
        return problem("internal-error", "Something went wrong in the hub; it has been noted.", status=500)
    return _plain("Something went wrong in the hub; it has been noted.\n", status=500)


_FOR_PROGRAMS = ("/api/", "/.well-known/")
_OF_HTTP = {  # sentences of our own: DRF's repeat what was sent
    405: ("method-not-allowed", "The address does not know this method."),
    406: ("not-acceptable", "The answer cannot be had in a media type that Accept names."),
    415: ("unsupported-media-type", "The address does not take a body of this media type."),
}


def _plain(text: str, *, status: int) -> HttpResponse:
    return HttpResponse(text, status=status, content_type="text/plain; charset=utf-8")


def _sentence(error: Exception, fallback: object) -> str:
    detail = getattr(error, "detail", None)
    return str(detail) if isinstance(detail, str) else str(fallback)


def _first_fault(detail: object, path: str = "") -> tuple[str | None, str]:
    """The first fault of DRF's nested error detail, with its JSON Pointer. Names and values that were sent stay out."""
    if isinstance(detail, dict):
        name, inner = next(iter(detail.items()))
        is_shown = isinstance(name, int) or (name != "non_field_errors" and is_plain(str(name)))
        return _first_fault(inner, f"{path}/{name}" if is_shown else path)
    if isinstance(detail, list):
        for number, inner in enumerate(detail):
            if inner:
                return _first_fault(inner, path if isinstance(inner, str) else f"{path}/{number}")
    if getattr(detail, "code", "") == "invalid_choice":
        return path or None, "The value is none of those that this member takes."
    return path or None, str(detail)
