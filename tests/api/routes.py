"""Every operation of the API, read from the URL configuration, with an address that a request can be sent to."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from django.urls import URLPattern, URLResolver, get_resolver

OPEN = {  # doors that ask for no key, with what they answer to nobody in particular
    "GET /.well-known/jwks.json": 200,
    "GET /api/v1/appeal-status/{reference}": 404,
    "POST /api/v1/departures/{departure_id}/receipt": 404,
}
METHODS = ("get", "post", "put", "patch", "delete")
NOBODYS = {
    "uuid": "0198c5c2-7f00-7a3b-8000-3c5d6e7f8091",
    "slug": "nobodys",
    "kid": "A" * 43,
    "key_id": "0000000000",
    "index": "999999999999",
}


@dataclass(frozen=True, slots=True)
class Operation:
    """One method of one route, such as "GET /api/v1/signals/{signal_id}"."""

    method: str
    route: str

    def __str__(self) -> str:
        return f"{self.method.upper()} {self.route}"

    def at(self, **values: object) -> str:
        """Its address; parameters that the test does not name lead to nobody's things."""
        path = self.route
        for name in [part.split("}")[0] for part in path.split("{")[1:]]:
            path = path.replace(f"{{{name}}}", str(values.get(name) or NOBODYS.get(name) or NOBODYS["uuid"]))
        return path


def operations() -> list[Operation]:
    """Every operation below /api/v1 and /.well-known, whatever the OpenAPI document says."""
    found = [
        Operation(method, route)
        for route, pattern in _patterns("/", get_resolver().url_patterns)
        if route.startswith(("/api/v1/", "/.well-known/"))
        for method in METHODS
        if hasattr(_view_class(pattern), method)
    ]
    return sorted(found, key=str)


def _view_class(pattern: URLPattern) -> Any:
    return pattern.callback.cls  # type: ignore[attr-defined]


def _patterns(prefix: str, patterns: Any) -> Iterator[tuple[str, URLPattern]]:
    for pattern in patterns:
        route = prefix + str(pattern.pattern)
        if isinstance(pattern, URLResolver):
            if not route.startswith("/admin"):
                yield from _patterns(route, pattern.url_patterns)
        else:
            for name in pattern.pattern.converters:
                route = re.sub(rf"<[a-z]+:{name}>", f"{{{name}}}", route)
            yield route, pattern
