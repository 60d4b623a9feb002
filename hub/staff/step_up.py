"""Proving anew who one is before something dangerous: how fresh a session's second factor is, and asking for it."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.conf import settings
from django.contrib.auth.models import User
from django.db import transaction
from django.http import HttpRequest

from hub.ledger.record import record
from hub.refusal import Refusal
from hub.staff import factors, failures
from hub.staff.factors import Kind, Proof
from hub.staff.roles import TO_STEP_UP, StepUpNeeded, needs_step_up

CODE, KEY = "second_factor_code", "second_factor_key"  # what a person types, and what their security key signs
ASKED = "second_factor_asked"  # in the session: what a security key was asked
PROVED_AT = "proved_at"  # in the session: when a second factor was proved last


class TooManyFailures(Refusal):
    """Nobody listens for a while; what was given was not even looked at."""

    code = "too-many-failures"


def require_fresh(request: HttpRequest) -> None:
    """Raise StepUpNeeded unless this person proved a second factor lately, or has none."""
    if needs_step_up(request.user):
        raise StepUpNeeded("This needs a fresh second factor.")


def is_fresh(request: HttpRequest, *, at: datetime) -> bool:
    """Whether this session proved a second factor within the last STEP_UP_MINUTES."""
    proved = proved_at(request)
    return proved is not None and timedelta() <= at - proved <= timedelta(minutes=settings.STEP_UP_MINUTES)


def proved_at(request: HttpRequest) -> datetime | None:
    """When this session proved a second factor last."""
    text = request.session.get(PROVED_AT)
    return datetime.fromisoformat(text) if text else None


def is_proof_sent(request: HttpRequest) -> bool:
    """Whether this request brings a second factor along."""
    return request.method == "POST" and bool(request.POST.get(CODE) or request.POST.get(KEY))


def prove(request: HttpRequest, user: User, *, at: datetime) -> Kind:
    """Check the second factor that came with this request; refuses factors.WrongFactor and TooManyFailures."""
    counted = failures.of_second_factor(request, user.pk)
    if not failures.may_try(counted, at=at):
        raise TooManyFailures(f"Too many failures. Try again in {settings.LOCK_MINUTES} minutes.")
    proof = Proof(request.POST.get(CODE, ""), request.POST.get(KEY, ""), request.session.pop(ASKED, None))
    try:
        kind = factors.prove(user, proof, at=at)
    except factors.WrongFactor:
        failures.note_wrong_factor(user, at=at)
        raise
    failures.was_right(counted, at=at)
    return kind


def step_up(request: HttpRequest, user: User, *, at: datetime) -> Kind:
    """Prove anew in a running session; refuses as `prove` does."""
    kind = prove(request, user, at=at)
    with transaction.atomic():
        facts = {"second_factor": kind.value}
        record("staff.stepped-up", actor=f"staff:{user.pk}", at=at, subjects=[f"staff:{user.pk}"], facts=facts)
        note_proof(request, at=at)
    return kind


def note_proof(request: HttpRequest, *, at: datetime) -> None:
    """From now on this session's second factor is fresh."""
    request.session[PROVED_AT] = at.isoformat()
    setattr(request.user, TO_STEP_UP, False)
