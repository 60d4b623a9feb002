"""The admin's sessions on every request: end what is over, and ask for a fresh second factor where a door needs it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from django.conf import settings
from django.contrib.auth.models import User
from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse
from django.utils import timezone

from hub.refusal import Refusal
from hub.staff import factor_pages, factors, sessions, step_up
from hub.staff.roles import TO_STEP_UP, StepUpNeeded


class StaffSessions:
    """Ends what is over, and asks for a second factor where a door says StepUpNeeded. Stands last."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Look at the session, if there is one, before anybody else does."""
        if settings.SESSION_COOKIE_NAME in request.COOKIES:
            try:
                self._look_at(request)
            except (OperationalError, InterfaceError):  # it went away a moment ago; nobody is let in unlooked at
                return HttpResponse("The hub's database does not answer.", status=503, headers={"Retry-After": "5"})
        return self.get_response(request)

    def _look_at(self, request: HttpRequest) -> None:
        at, user = timezone.now(), request.user
        if not isinstance(user, User):
            return
        over = sessions.why_it_is_over(request, user, at=at)
        if over:
            sessions.end(request, user, over, at=at)
        else:
            setattr(user, TO_STEP_UP, factors.has_any(user) and not step_up.is_fresh(request, at=at))

    def process_view(
        self, request: HttpRequest, _view: Callable[..., HttpResponse], _args: Sequence[Any], _kwargs: dict[str, Any]
    ) -> HttpResponse | None:
        """Check a second factor that came along with whatever is asked; a wrong one is asked for again."""
        if settings.SESSION_COOKIE_NAME not in request.COOKIES or not isinstance(request.user, User):
            return None
        if not (factors.has_any(request.user) and step_up.is_proof_sent(request)):
            return None
        try:
            step_up.step_up(request, request.user, at=timezone.now())
        except Refusal as refusal:
            return factor_pages.ask(request, wrong=refusal.detail)
        return None

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        """A door that needs a fresh second factor: ask for it, with all that was sent, and nothing is lost."""
        return factor_pages.ask(request) if isinstance(exception, StepUpNeeded) else None
