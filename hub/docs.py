"""The pages for people who come with a browser: the front, the API's documentation, the problems one by one."""

from __future__ import annotations

import re
from functools import cache

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.html import escape
from django.utils.safestring import SafeString, mark_safe
from django.views.decorators.cache import cache_control
from django.views.decorators.http import require_safe
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.renderers import OpenApiYamlRenderer

from hub import problems as refusals

_CODE = re.compile(r"`([^`]+)`")


@require_safe
@cache_control(max_age=300)
def front(request: HttpRequest) -> HttpResponse:
    """What this is, and where to go."""
    return render(request, "hub/front.html", {"hub_id": settings.HUB_ID})


@require_safe
@cache_control(max_age=300)
def api(request: HttpRequest) -> HttpResponse:
    """The API's documentation: Swagger UI from the installed package, fed by our own openapi.yaml."""
    return render(request, "hub/api.html")


@require_safe
@cache_control(max_age=300)
def openapi(request: HttpRequest) -> HttpResponse:
    """The API for programs: OpenAPI 3.1 as YAML (RFC 9512)."""
    del request
    return HttpResponse(openapi_as_yaml(), content_type="application/yaml")


@cache
def openapi_as_yaml() -> bytes:
    """The document, made once per process; docs/openapi.yaml is the same, and a test holds it to this."""
    document = SchemaGenerator().get_schema(request=None, public=True)  # type: ignore[no-untyped-call]
    return bytes(OpenApiYamlRenderer().render(document, renderer_context={}))  # type: ignore[no-untyped-call]


@require_safe
@cache_control(max_age=300)
def problems(request: HttpRequest) -> HttpResponse:
    """Every problem the API may answer with; a problem document's `type` ends in one of these anchors."""
    paragraphs = [
        {
            "code": paragraph.code,
            "status": paragraph.status,
            "is_verdict": paragraph.is_verdict,
            "title_html": _html(paragraph.title),
            "text": paragraph.text,
            "text_html": _html(paragraph.text),
        }
        for paragraph in refusals.paragraphs()
    ]
    return render(request, "hub/problems.html", {"paragraphs": paragraphs})


def problems_as_markdown() -> str:
    """The same as docs/problems.md; `manage.py write_problems` writes it, and a test holds it to this."""
    lines = [
        "# Problems",
        "",
        "Every refusal has a stable `code`. Whole requests are answered with a problem document",
        "(`application/problem+json`, RFC 9457) whose `type` leads to the same paragraph on the hub's own page",
        "`/api/problems`; single statements of a submission get the code in their verdict.",
        "",
        "This page is written by `manage.py write_problems` from the docstrings of the refusals.",
    ]
    for paragraph in refusals.paragraphs():
        where = f"{paragraph.status.value} {paragraph.status.phrase}" if paragraph.status else ""
        verdict = "verdict on a statement" if paragraph.is_verdict else ""
        lines += ["", f"## {paragraph.code}", "", f"*{' or '.join(filter(None, (where, verdict)))}*", ""]
        lines += [f"**{paragraph.title}**", *(["", paragraph.text] if paragraph.text else [])]
    return "\n".join(lines) + "\n"


def _html(text: str) -> SafeString:
    """A docstring's text as HTML: escaped, with `code` in backticks."""
    return mark_safe(_CODE.sub(r"<code>\1</code>", escape(text)))  # noqa: S308  escaped first; the tags are ours
