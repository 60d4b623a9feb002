"""Finish the OpenAPI document: what the views cannot say one by one. Problems, webhooks, tags, and the front matter."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from http import HTTPStatus
from types import MappingProxyType
from typing import Any

from hub import problems
from hub.openapi_examples import ENDORSEMENT, EXAMPLES, STATEMENT
from partners.api.openapi import REFUSES
from partners.api.view import Kind

Json = dict[str, Any]

_PROBLEM = "Problem"
_METHODS = ("get", "put", "post", "delete", "options", "head", "patch", "trace")
_OPEN_TO_ALL = "/.well-known/"  # doors that ask for no key

_DESCRIPTION = """\
Vetted companies share signed child-safety signals through this hub. A company signs **statements** (JWS) with a key of
its own and submits them; the hub verifies each one and serves it, byte for byte, to the members who are entitled to it,
by pull (`/api/v1/programmes/{slug}/feed`) and by webhook.

Every request carries `Authorization: Bearer hg_…`. Every refusal is a problem document (RFC 9457) whose `code` is
stable and whose `type` leads to its paragraph in [the list of problems](/api/problems). What does not exist and what is
not yours to see look the same. Times are RFC 3339 in UTC; unknown members of a request are refused, and answers may
gain members.
"""

_TAGS = {
    "statements": "Submit signed statements, read the verdicts on them, and ask how the hub reads a value.",
    "opinions": "What members hold of each other's signals, did about them, and what comes of it.",
    "feed": "Follow a programme: a compacted change feed, pulled with a cursor that the reader keeps.",
    "appeals": "Redress: appeal for a person whom a signal hit, and say what was put right.",
    "notices": "What the hub tells you alone, recalls first of all: pulled with a cursor like a programme's feed.",
    "endpoints": "Have the same feed pushed to an address of yours, signed by Standard Webhooks 1.0.",
    "programmes": "Where you share, with whom, and with which keys your fellow members sign.",
    "keys": "Your signing keys, from proposal to retirement or revocation, and your API keys.",
    "ledger": "What the hub's append-only log says about you, with proofs that need not trust the hub.",
    "hub": "The hub's own keys, open to everybody.",
}


_PATH = {
    "slug of programmes": "a programme's slug, as `GET /api/v1/programmes` lists it",
    "slug of partners": "a fellow member's slug, or your own",
    "kid": "RFC 7638 thumbprint of one of your signing keys",
    "key_id": "the public part of an API key's token",
    "disclosures_id": "what a leaf about disclosures names: `disclosures:<id>`",
    "index": "a leaf's place in the log, from 0",
    "endpoint_id": "id of one of your endpoints",
    "reference": "the reference that the appeal was answered with",
    "departure_id": "the reference that the leaver was told: in the last word, a notice, or by the operator",
    "remedy_id": "as the notice `appeal.decided` names it",
    "signal_id": "id of a signal, from a verdict or an item of the feed",
    "submission_id": "id of one of your submissions",
}


def complete(result: Json, generator: object, request: object, public: bool) -> Json:
    """Drf-spectacular's postprocessing hook: the document as it is served and committed."""
    del generator, request, public
    result["info"] |= {
        "title": "Heliograph",
        "description": _DESCRIPTION,
        "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
    }
    result["servers"] = [{"url": "/", "description": "the hub that serves this document"}]
    result["tags"] = [{"name": name, "description": text} for name, text in _TAGS.items()]
    schemas = result["components"]["schemas"]
    schemas[_PROBLEM] = _problem_schema()
    for name, example in EXAMPLES.items():
        schemas[name]["examples"] = [example]
    for path, operation in _operations(result):
        for parameter in operation.get("parameters", ()):
            if parameter["in"] == "path":
                _describe(path, parameter)
        _tell_problems(path, operation, result["components"].setdefault("responses", {}))
    result["components"]["headers"] = _LIMITS
    _show_signed_bodies(result["paths"])
    result["webhooks"] = _webhooks()
    result["components"]["schemas"] = dict(sorted(schemas.items()))
    _drop(result, "x-spec-enum-id")  # spectacular's note to itself
    return result


def _drop(part: object, name: str) -> None:
    if isinstance(part, dict):
        part.pop(name, None)
    for inner in part.values() if isinstance(part, dict) else part if isinstance(part, list) else ():
        _drop(inner, name)


def _show_signed_bodies(paths: Json) -> None:
    """Spectacular takes raw media types as they are given: neither required nor with an example."""
    paths["/api/v1/departures/{departure_id}/receipt"]["post"]["requestBody"]["required"] = True
    for path, example in (("/api/v1/statements", STATEMENT), ("/api/v1/keys/{kid}/endorse", ENDORSEMENT)):
        body = paths[path]["post"]["requestBody"]
        body["required"] = True
        for media_type, media in body["content"].items():
            media["example"] = example + ("\n" if media_type.endswith("ndjson") else "")


def _operations(document: Json) -> Iterator[tuple[str, Json]]:
    for path, item in document["paths"].items():
        for method in _METHODS:
            if method in item:
                yield path, item[method]


def _describe(path: str, parameter: Json) -> None:
    """A path's parameter: what it is, and what Django's `slug` converter lets through."""
    name = parameter["name"]
    parameter["description"] = _PATH.get(f"{name} of {path.split('/')[3]}") or _PATH[name]
    if parameter["schema"] == {"type": "string"}:
        parameter["schema"] = {"type": "string", "pattern": "^[-a-zA-Z0-9_]+$"}


def _tell_problems(path: str, operation: Json, shared: Json) -> None:
    """One response per status this operation may refuse with, naming the codes and where each is explained."""
    codes = {"unauthorized", "rate-limited", "not-acceptable", "unavailable", *operation.pop(REFUSES, [])}
    if path.startswith(_OPEN_TO_ALL):
        codes -= {"unauthorized", "rate-limited"}
    else:
        if {} in operation.get("security", ()):  # no key is asked for
            codes.discard("unauthorized")
        for response in operation["responses"].values():
            response.setdefault("headers", {}).update(_LIMIT_REFERENCES)
    if "requestBody" in operation:
        codes |= {"body-too-large", "unsupported-media-type"}
        if "application/json" in operation["requestBody"]["content"]:
            codes.add("malformed-request")
    by_status: dict[int, list[str]] = {}
    for code in sorted(codes):
        by_status.setdefault(int(problems.STATUS[code]), []).append(code)
    for status, found in by_status.items():
        name = "-or-".join(found)
        shared.setdefault(name, _problem_response(found, status))
        operation["responses"][str(status)] = {"$ref": f"#/components/responses/{name}"}
    operation["responses"] = dict(sorted(operation["responses"].items()))


def _problem_response(codes: list[str], status: int) -> Json:
    titles = {paragraph.code: paragraph.title for paragraph in problems.paragraphs()}
    lines = [f"- [`{code}`](/api/problems#{code}) {titles[code]}" for code in codes]
    response: Json = {
        "description": "\n".join(lines),
        "content": {
            problems.CONTENT_TYPE: {
                "schema": {
                    "allOf": [
                        {"$ref": f"#/components/schemas/{_PROBLEM}"},
                        {"properties": {"status": {"const": status}, "code": {"enum": codes}}},
                    ]
                },
                "example": _example(codes[0], titles[codes[0]], status),
            }
        },
    }
    if "unauthorized" in codes:
        response["headers"] = {"WWW-Authenticate": {"schema": {"type": "string", "const": "Bearer"}}}
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        response["headers"] = {"Retry-After": _RETRY_AFTER, **_LIMIT_REFERENCES}
    return response


_RETRY_AFTER: Json = {
    "required": True,
    "schema": {"type": "integer", "minimum": 1},
    "description": "whole seconds until what was asked will be admitted",
}
_LIMITS: Json = {
    "RateLimit-Policy": {
        "schema": {"type": "string"},
        "description": (
            "the limits that this request counted towards (draft-ietf-httpapi-ratelimit-headers): up to `q` units in "
            "`w` seconds"
        ),
        "example": '"read";q=400;w=8',
    },
    "RateLimit": {
        "schema": {"type": "string"},
        "description": "how each of them stands: `r` units are left, and `t` seconds from now none is missing",
        "example": '"read";r=399;t=1',
    },
}
_LIMIT_REFERENCES: Json = {name: {"$ref": f"#/components/headers/{name}"} for name in _LIMITS}


def _example(code: str, title: str, status: int) -> Json:
    return {
        "type": f"https://hub.example/api/problems#{code}",
        "title": code.replace("-", " ").capitalize(),
        "status": status,
        "detail": title,
        "code": code,
    }


def _problem_schema() -> Json:
    text: Json = {"type": "string"}
    return {
        "type": "object",
        "description": "A problem document (RFC 9457). Some codes bring further members; each is explained at `type`.",
        "required": ["type", "title", "status", "detail", "code"],
        "properties": {
            "type": {"type": "string", "format": "uri", "description": "the problem's paragraph in the documentation"},
            "title": text,
            "status": {"type": "integer"},
            "detail": {"type": "string", "description": "a sentence for a person; never repeats an indicator's value"},
            "code": {"type": "string", "description": "for programs; stable"},
            "pointer": {"type": "string", "description": "JSON Pointer (RFC 6901) to the member of the body at fault"},
            "parameter": {"type": "string", "description": "the query parameter at fault"},
            "reason": {"type": "string", "description": "with `endorsement-refused`: why, as for statements"},
            "scope": {"type": "string", "description": "with `missing-scope`: the scope that the API key lacks"},
            "limit": {"type": "integer", "description": "with `body-too-large` and `too-many-lines`"},
            "retry_after": {"type": "integer", "description": "with 429: as in `Retry-After`"},
            "violated-policies": {
                "type": "array",
                "items": {"enum": [kind.value for kind in Kind]},
                "description": "with 429: which limits ran out",
            },
            "erase": {"type": "string", "const": "all", "description": "with `membership-ended`"},
            "epoch": {"type": "integer", "description": "with `membership-ended`"},
            "walk": {"type": "integer", "description": "with `membership-ended`"},
        },
    }


# ---------------------------------------------------------------- what the hub sends
_COMMON: Json = {
    "programme": {"type": "string"},
    "channel": {"type": "string", "pattern": "^endpoint:", "description": "one local copy per channel"},
    "epoch": {"type": "integer"},
    "walk": {"type": "integer", "description": "ignore batches of an older (epoch, walk) of this channel"},
    "listed": {"type": "boolean", "description": "drop what this walk did not list"},
}
_ENDPOINT_ID: Json = {"type": "string", "format": "uuid", "description": "id of the endpoint"}
_TO_ENDPOINT: Json = {"endpoint": "5f0c8d3e-2b1a-4c6d-9e8f-0a1b2c3d4e5f"}
_ENVELOPE_EXAMPLE: Json = {"programme": "csea", "channel": "endpoint:5f0c8d3e-2b1a-4c6d-9e8f-0a1b2c3d4e5f"}


def _webhooks() -> Json:
    tombstone = {
        "id": "0198c5c2-7f00-7a3b-8000-3c5d6e7f8091",
        "revision": 4,
        "state": "withdrawn",
        "changed_at": "2026-11-02T09:30:00.000000Z",
    }
    changed = {**tombstone, "revision": 3, "state": "published"}
    return {
        "feed.batch": _webhook(
            "The next entries of a feed",
            "As many entries as fit a batch, in order, with what a page of the feed has. Apply entries by revision, "
            "store `webhook-id` together with what you applied, then answer 2xx. Anything else, or no answer within "
            "the time-out, and the batch is made anew and sent again with growing pauses; 410 closes the endpoint.",
            {"items": {"type": "array", "items": {"$ref": "#/components/schemas/ItemShape"}}},
            {"type": "feed.batch", **_ENVELOPE_EXAMPLE, "epoch": 1, "walk": 17, "listed": False, "items": [tombstone]},
        ),
        "notice.batch": _webhook(
            "What the hub tells you alone",
            "To an endpoint whose `feed` is `notices`: the next notices in order, with what a page of them has. Take "
            "what is recalled out of every copy by revision, pass over kinds that you do not know, store `webhook-id` "
            "together with the effects, then answer 2xx. Sent to suspended partners too.",
            {"items": {"type": "array", "items": {"$ref": "#/components/schemas/NoticeShape"}}},
            {
                "type": "notice.batch",
                "channel": _ENVELOPE_EXAMPLE["channel"],
                "epoch": 1,
                "walk": 19,
                "listed": False,
                "items": [EXAMPLES["NoticeShape"]],
            },
        ),
        "feed.changes": _webhook(
            "What changed in a feed, and not what it is",
            "To an endpoint whose `payload` is `thin`, instead of `feed.batch`: ids, revisions, states and times only. "
            "Pull what you need; never take it for the whole of an entry.",
            {"items": {"type": "array", "items": {"$ref": "#/components/schemas/ItemShape"}}},
            {"type": "feed.changes", **_ENVELOPE_EXAMPLE, "epoch": 1, "walk": 17, "listed": False, "items": [changed]},
        ),
        "endpoint.challenge": _webhook(
            "Show that you read what is sent to this address",
            "The first thing that a new or changed address gets, and nothing else until it has answered 2xx with a "
            "body that repeats `challenge`.",
            {"endpoint": _ENDPOINT_ID, "challenge": {"type": "string", "pattern": "^[A-Za-z0-9_-]{16,128}$"}},
            {"type": "endpoint.challenge", **_TO_ENDPOINT, "challenge": "pWqk3bX0sYh2m7uQ9dTzLr5cVn8eJ4aF"},
        ),
        "endpoint.test": _webhook(
            "A test that you asked for",
            "Verify it and answer 2xx; there is nothing to do.",
            {"endpoint": _ENDPOINT_ID},
            {"type": "endpoint.test", **_TO_ENDPOINT},
        ),
        "membership.ended": _webhook(
            "Your membership has ended",
            "The last word to an endpoint: erase everything that this channel ever brought, and sign for it at "
            "`POST /api/v1/departures/{departure_id}/receipt` by `due_at`. Repeated until a 2xx.",
            {"erase": {"type": "string", "const": "all"}},
            {
                "type": "membership.ended",
                **_ENVELOPE_EXAMPLE,
                "epoch": 1,
                "walk": 17,
                "listed": False,
                "erase": "all",
                "departure": "6f1c1f52-9a51-4c1e-8f0e-2f2b8a1d7c3e",
                "due_at": "2026-12-02T09:00:00+00:00",
            },
            {
                "departure": {"type": "string", "format": "uuid", "description": "what the receipt is to name"},
                "due_at": {"type": "string", "format": "date-time"},
            },
        ),
    }


def _webhook(
    summary: str, description: str, members: Json, example: Json, optional: Mapping[str, object] = MappingProxyType({})
) -> Json:
    common = {name: shape for name, shape in _COMMON.items() if name in example}
    required = {"type": {"type": "string", "const": example["type"]}, **common, **members}
    properties = {**required, **optional}
    return {
        "post": {
            "operationId": example["type"],
            "summary": summary,
            "description": description,
            "tags": ["endpoints"],
            "security": [],
            "parameters": [
                _header(
                    "webhook-id", "the same for every attempt at one place of the feed; each is made anew, so skip none"
                ),
                _header("webhook-timestamp", "Unix seconds of this attempt; refuse more than five minutes either way"),
                _header(
                    "webhook-signature",
                    "Standard Webhooks 1.0: `v1,` and the base64 HMAC-SHA256 of `id.timestamp.body` under the secret "
                    "that was shown when the endpoint was added, and `v1a,` (Ed25519 by the hub's key) where you "
                    "asked for it; several are separated by blanks",
                ),
            ],
            "requestBody": {
                "required": True,
                "content": {
                    "application/json": {
                        "schema": {"type": "object", "required": sorted(required), "properties": properties},
                        "example": example,
                    }
                },
            },
            "responses": {
                "2XX": {"description": "Understood, and applied and stored where there was anything to apply."},
                "410": {"description": "Never again: the endpoint is disabled."},
                "413": {"description": "Smaller batches, please: the next one is half as large."},
            },
        }
    }


def _header(name: str, description: str) -> Json:
    return {"name": name, "in": "header", "required": True, "schema": {"type": "string"}, "description": description}
