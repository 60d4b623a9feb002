"""What every door of the API has in common: its methods, the limits of who asks, and that no cache keeps an answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar, cast

from django.conf import settings
from rest_framework.exceptions import AuthenticationFailed, NotAuthenticated
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from hub.refusal import Refusal
from partners.api.guessing import guessing
from partners.core.limits import Charge, Kind, Level, Rate, header_fields, seconds_to_wait
from partners.core.refusals import RateLimited
from partners.limits import counting
from partners.public import Caller

__all__ = ["AGAIN", "Door", "Kind", "OpenDoor", "RateLimited", "charge_stranger"]

AGAIN = "heliograph.again"  # in the ASGI scope of a second look at a request that waits: it was counted the first time
_READS = {"GET", "HEAD"}
_OF_REQUESTS = {Kind.SUBMIT, Kind.READ, Kind.MANAGE}


class Door(APIView):
    """One address. OPTIONS is not among its methods: the OpenAPI document describes it, to everybody alike.

    Every request of a partner is counted once its key is known, before anything else is asked of the request.
    """

    http_method_names = ["get", "post", "patch", "delete", "head"]
    counts_as: ClassVar[Kind | None] = None  # None: what reads counts as `read`, everything else as `manage`

    def initialize_request(self, request: object, *args: object, **kwargs: object) -> Request:
        """Begin with no level known."""
        self._levels: list[Level] = []
        return super().initialize_request(request, *args, **kwargs)  # type: ignore[arg-type]  # DRF's own HttpRequest

    def perform_authentication(self, request: Request) -> None:
        """Who asks, unless too many failed from there; then whether they have asked too much."""
        if _is_again(request) or not self.authentication_classes:
            super().perform_authentication(request)
            return
        guessing.refuse(request.META)
        super().perform_authentication(request)
        if isinstance(request.auth, Caller):
            guessing.trust(request.META)
            kind = self.counts_as or (Kind.READ if request.method in _READS else Kind.MANAGE)
            self.charge(request.auth, {kind: 1})

    def charge(self, caller: Caller, costs: Mapping[Kind, int]) -> None:
        """Take from the caller's buckets, all or nothing; refuses RateLimited."""
        charges = [Charge(kind, _rate(kind, caller), cost) for kind, cost in costs.items()]
        levels = counting.take(f"partner {caller.partner_id}", charges)
        self._levels += levels
        wait = seconds_to_wait(levels)
        if wait:
            raise RateLimited([level.kind for level in levels if level.retry_after > 0], seconds=wait)

    def handle_exception(self, exc: Exception) -> Response:
        """Count the 401s, and for the monitor what was refused because it was too much."""
        if isinstance(exc, NotAuthenticated | AuthenticationFailed) and not _is_again(self.request):
            self._levels = guessing.note(self.request.META)
            wait = seconds_to_wait(self._levels)
            if wait:
                exc = RateLimited([Kind.UNAUTHORIZED], seconds=wait)
        if isinstance(exc, Refusal):
            for kind in cast("Sequence[str]", exc.facts.get("violated-policies", ())):
                counting.count_refusal(Kind(kind))
        return super().handle_exception(exc)

    def finalize_response(self, request: Request, response: Response, *args: object, **kwargs: object) -> Response:
        """Answers hold what one partner may see; a view that thinks otherwise says so itself."""
        finished = super().finalize_response(request, response, *args, **kwargs)
        finished.headers.setdefault("Cache-Control", "no-store")
        for name, value in header_fields(self._levels).items():
            finished.headers[name] = value
        return finished


class OpenDoor(Door):
    """An address that asks for no API key: whoever has its unguessable reference may come, so often per address.

    Every request counts, whatever it finds, so that a reference that there is and one that there is not look the same.
    """

    authentication_classes = []
    permission_classes = [AllowAny]

    def perform_authentication(self, request: Request) -> None:
        """Nobody is asked who they are; refuses RateLimited."""
        super().perform_authentication(request)
        self._levels = guessing.take_open(request.META)
        _check_not_too_often(self._levels)


def charge_stranger(meta: Mapping[str, str]) -> None:
    """The same for a page that is no door of the API; refuses RateLimited."""
    _check_not_too_often(guessing.take_open(meta))


def _check_not_too_often(levels: Sequence[Level]) -> None:
    wait = seconds_to_wait(levels)
    if wait:
        raise RateLimited([Kind.UNAUTHORIZED], seconds=wait)


def _is_again(request: Request) -> bool:
    return AGAIN in getattr(request._request, "scope", {})


def _rate(kind: Kind, caller: Caller) -> Rate:
    rate = Rate(*settings.LIMITS[kind])
    if kind in _OF_REQUESTS:
        return rate.scaled_to(caller.limits.requests_per_second)
    wanted = caller.limits.statements_per_second
    if kind is Kind.STATEMENTS or wanted is None:
        return rate.scaled_to(wanted)
    ordinary, _ = settings.LIMITS[Kind.STATEMENTS]
    return rate.scaled_to(rate.per_second * wanted / ordinary)
