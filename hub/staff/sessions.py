"""What every session of the admin is held to: idle and absolute limits, and one generation of second factors."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.conf import settings
from django.contrib.auth import logout
from django.contrib.auth.models import User
from django.db import transaction
from django.http import HttpRequest

from hub.ledger.record import record
from hub.staff import factors, step_up

BEGAN_AT, SEEN_AT, GENERATION = "began_at", "seen_at", "generation"
SPARED = "second_factor_spared"  # single sign-on asked for one, as the settings allow; nothing is fresh by that
BY_ITSELF = "by-itself"  # a page that comes anew, or asks, without anybody having to sit before it
_SEEN_EVERY = timedelta(minutes=1)  # a session is written no more often for having been used


def begin(request: HttpRequest, user: User, *, at: datetime) -> None:
    """Write into a session that just began what it will be held to."""
    request.session[BEGAN_AT] = request.session[SEEN_AT] = at.isoformat()
    request.session[GENERATION] = factors.generation(user)


def go_on(request: HttpRequest, user: User) -> None:
    """Keep this session, which changed its own account's factors; all others of the account end."""
    request.session[GENERATION] = factors.generation(User.objects.select_related("credentials").get(pk=user.pk))


def why_it_is_over(request: HttpRequest, user: User, *, at: datetime) -> str:
    """Why this session may not go on, in a word; empty for one that may, which is noted as used."""
    session = request.session
    if session.get(GENERATION, 0) != factors.generation(user):
        return "factors-changed"
    if settings.SECOND_FACTOR == "required" and not (session.get(step_up.PROVED_AT) or session.get(SPARED)):
        return "no-second-factor"
    began = datetime.fromisoformat(session.setdefault(BEGAN_AT, at.isoformat()))
    seen = datetime.fromisoformat(session.setdefault(SEEN_AT, at.isoformat()))
    if at - began > timedelta(hours=settings.SESSION_HOURS):
        return "too-long"
    if at - seen > timedelta(minutes=settings.SESSION_IDLE_MINUTES):
        return "idle"
    if at - seen > _SEEN_EVERY and not _came_by_itself(request):
        session[SEEN_AT] = at.isoformat()
    return ""


def end(request: HttpRequest, user: User, over: str, *, at: datetime) -> None:
    """End it and say so in the ledger, both or neither."""
    with transaction.atomic():
        subjects = [f"staff:{user.pk}"]
        record("staff.signed-out", actor="system:admin", at=at, subjects=subjects, facts={"because": over})
        logout(request)


def _came_by_itself(request: HttpRequest) -> bool:
    """By a header field from a script, or by the address from a page that comes anew."""
    return f"X-{BY_ITSELF}" in request.headers or BY_ITSELF in request.GET
