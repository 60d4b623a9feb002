"""Somebody's own count of what they were shown, at the head of every page, and the reminder to look away.

The counts are rows of the person's own; the stretch without a break lives in the session and ends with it.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from django.conf import settings
from django.contrib.auth.models import User
from django.http import HttpRequest

from signals.cases import own
from signals.core import breaks
from signals.core.breaks import Stretch

_STRETCH = "stretch"  # in the session
_EVERY = timedelta(minutes=1)  # a session is written no more often for looking on


def looked_at(request: HttpRequest, violation: str, *, at: datetime) -> None:
    """The page of a signal is about to be shown."""
    if not isinstance(request.user, User):
        return
    if own.is_sensitive(violation):
        own.note_shown(request.user.pk, looked_at=1, at=at)
    before = stretch(request)
    if before is None or not timedelta() <= at - before.last < _EVERY:
        _keep(request, breaks.go_on(before, at=at))


def revealed(request: HttpRequest, count: int = 1, *, at: datetime) -> None:
    """So many values are about to be shown, which is written down already."""
    if isinstance(request.user, User):
        own.note_shown(request.user.pk, revealed=count, at=at)
        _keep(request, breaks.go_on(stretch(request), at=at, revealed=count))


def is_due(request: HttpRequest, *, at: datetime) -> bool:
    """Whether to remind this person now."""
    length = timedelta(minutes=settings.BREAK_AFTER_MINUTES)
    return breaks.is_due(stretch(request), at=at, reveals=settings.BREAK_AFTER_REVEALS, length=length)


def had(request: HttpRequest) -> None:
    """They are back from a break."""
    request.session.pop(_STRETCH, None)


def later(request: HttpRequest, *, at: datetime) -> None:
    """They go on for a while; this is kept nowhere but in their session."""
    running = stretch(request)
    if running is not None:
        _keep(request, breaks.later(running, at=at))


def stretch(request: HttpRequest) -> Stretch | None:
    """The work without a break that this session is in."""
    kept = request.session.get(_STRETCH)
    if kept is None:
        return None
    began, last, count, quiet = kept
    return Stretch(_moment(began), _moment(last), count, _moment(quiet) if quiet else None)


def _keep(request: HttpRequest, running: Stretch) -> None:
    quiet = running.quiet_until.isoformat() if running.quiet_until is not None else ""
    request.session[_STRETCH] = [running.began.isoformat(), running.last.isoformat(), running.revealed, quiet]


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text)
