"""Signing in to the admin, signing out and changing the password: Django's own views, each leaving its leaf.

Whoever has a second factor, or must have one, is signed in only once it is proved or enrolled: until then the session
remembers whose password was right, for ten minutes, and `request.user` is nobody.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from django import forms
from django.conf import settings
from django.contrib.admin.forms import AdminAuthenticationForm
from django.contrib.auth import login
from django.contrib.auth.backends import ModelBackend
from django.contrib.auth.forms import AuthenticationForm, PasswordChangeForm
from django.contrib.auth.models import User
from django.contrib.auth.views import LoginView, PasswordChangeView
from django.db import connection, transaction
from django.http import HttpRequest, HttpResponse, HttpResponseBase, HttpResponseRedirect
from django.urls import reverse
from django.utils import timezone
from django.utils.crypto import constant_time_compare

from hub.ledger.record import record
from hub.staff import factors, failures, identities, sessions, step_up
from hub.staff.models import FailedSignIns, OneTimePassword
from hub.staff.roles import roles_of

MUST_CHANGE = "must_change_password"  # in the session of somebody who came in with a one-time password
HALF = "half_signed_in"  # in the session of somebody who took the first step and whose second factor is missing
CAME_BY = "came_by"  # in a session: what its first step was
_HALF_FOR = timedelta(minutes=10)
_KEPT = timedelta(hours=1)
_NO_ACCOUNT = 0
_BACKEND = "hub.staff.sign_in.StaffBackend"


class Way(StrEnum):
    """What the first step of a sign-in was; so the ledger writes it."""

    PASSWORD = "password"  # noqa: S105  the way, not one
    SIGN_ON = "sign-on"


@dataclass(frozen=True, slots=True)
class Half:
    """Somebody after the first step, and where they are going."""

    user: User
    onwards: str
    by: Way


class StaffBackend(ModelBackend):
    """Django's accounts, read together with what their sessions are held to."""

    def get_user(self, user_id: int) -> User | None:
        """The person of a session, by one query; nobody once the account is switched off."""
        user = User.objects.select_related("credentials").filter(pk=user_id).first()
        return user if user is not None and self.user_can_authenticate(user) else None


class NotNow(AdminAuthenticationForm):
    """The form while nobody is listened to: it says so, and looks at nothing."""

    def clean(self) -> dict[str, object]:
        """The same for every name, whether or not there is such an account."""
        minutes = settings.LOCK_MINUTES
        raise forms.ValidationError(f"Too many failures to sign in. Try again in {minutes} minutes.", code="not-now")


class SignIn(LoginView):
    """The sign-in form of the admin."""

    http_method_names = ["get", "head", "post"]

    def post(self, request: HttpRequest, *args: str, **kwargs: object) -> HttpResponse:
        """Look at the password, unless too many were wrong lately."""
        self.counted = failures.of_sign_in(request, request.POST.get("username", ""))
        if failures.may_try(self.counted, at=timezone.now()):
            return super().post(request, *args, **kwargs)
        answer = super().form_invalid(NotNow(request, data=request.POST))
        answer.status_code = 429
        answer.headers["Retry-After"] = str(60 * settings.LOCK_MINUTES)
        return answer

    def form_valid(self, form: AuthenticationForm) -> HttpResponse:
        """Go on to the second factor, or open the session where there is none and none is needed."""
        user, at = form.get_user(), timezone.now()
        if identities.is_password_closed(user):
            form.add_error(
                None, form.get_invalid_login_error()
            )  # as for a wrong one: it is of no use, and says nothing
            return self.form_invalid(form)
        failures.was_right(self.counted, at=at)
        return arrive(self.request, user, self.get_success_url(), by=Way.PASSWORD, at=at)

    def form_invalid(self, form: AuthenticationForm) -> HttpResponse:
        """Count the failure, then show the form again."""
        count_failure(str(form.data.get("username", "")), at=timezone.now())
        return super().form_invalid(form)


class ChangePassword(PasswordChangeView):
    """The form that changes one's own password; it also ends a one-time password."""

    def form_valid(self, form: PasswordChangeForm) -> HttpResponse:
        """Save it and say so in the ledger, both or neither; every other session of the account ends."""
        pk = form.user.pk
        with transaction.atomic():
            response = super().form_valid(form)
            OneTimePassword.objects.filter(user_id=pk).delete()
            self.request.session.pop(MUST_CHANGE, None)
            record("staff.password-changed", actor=f"staff:{pk}", at=timezone.now(), subjects=[f"staff:{pk}"])
        return response


def arrive(
    request: HttpRequest, user: User, onwards: str, *, by: Way, at: datetime, is_spared: bool = False
) -> HttpResponse:
    """After the first step: on to the second factor, or in, where there is none and none is needed.

    Whoever is spared it (single sign-on asked for one) has one nonetheless, for what is dangerous asks for it.
    """
    if factors.has_any(user) and is_spared:
        return enter(request, user, factors.Kind.PROVIDER, HttpResponseRedirect(onwards), by=by, at=at)
    if factors.has_any(user) or (settings.SECOND_FACTOR == "required" and roles_of(user)):
        return _half(request, user, onwards, by=by, at=at)
    return enter(request, user, None, HttpResponseRedirect(onwards), by=by, at=at)


def enter(
    request: HttpRequest, user: User, kind: factors.Kind | None, response: HttpResponseBase, *, by: Way, at: datetime
) -> HttpResponse:
    """Open the session of somebody who proved all that they have, and say so in the ledger, both or neither."""
    with transaction.atomic():
        request.session.pop(HALF, None)
        login(request, user, backend=_BACKEND)
        user = User.objects.select_related("credentials").get(pk=user.pk)
        sessions.begin(request, user, at=at)
        request.session[CAME_BY] = by.value
        if kind is factors.Kind.PROVIDER:
            request.session[sessions.SPARED] = True
        elif kind is not None:
            step_up.note_proof(request, at=at)
        if by is Way.PASSWORD and OneTimePassword.objects.filter(user_id=user.pk).exists():
            request.session[MUST_CHANGE] = True
        facts = {"by": by.value, "second_factor": kind.value if kind is not None else "none"}
        record("staff.signed-in", actor=f"staff:{user.pk}", at=at, subjects=[f"staff:{user.pk}"], facts=facts)
    failures.remember_browser(request, response, user.pk)
    assert isinstance(response, HttpResponse)
    return response


def half_signed_in(request: HttpRequest, *, at: datetime) -> Half | None:
    """Who took the first step within the last ten minutes; None for anybody else."""
    half = request.session.get(HALF)
    if half is None or not timedelta() <= at - datetime.fromisoformat(half["at"]) <= _HALF_FOR:
        return None
    user = StaffBackend().get_user(half["user"])
    if user is None or not constant_time_compare(half["password"], user.get_session_auth_hash()):
        return None
    return Half(user, half["onwards"], Way(half["by"]))


def sign_out(request: HttpRequest, *, at: datetime) -> None:
    """Record that this session ends by its owner's wish; call it in the transaction that ends it."""
    if request.user.is_authenticated:
        record("staff.signed-out", actor=f"staff:{request.user.pk}", at=at, subjects=[f"staff:{request.user.pk}"])


def count_failure(username: str, *, at: datetime) -> None:
    """Count a failed sign-in. The name that was typed is kept nowhere: people type passwords there."""
    known = User.objects.filter(username=failures.typed_name(username))
    count_failure_of(known.values_list("pk", flat=True).first(), at=at)


def count_failure_of(known: int | None, *, at: datetime) -> None:
    """Count a failed sign-in by account, or by none, and minute; the 1st, 10th, 100th… leave a leaf.

    So no attack can fill the log.
    """
    account = known or _NO_ACCOUNT
    minute = at.replace(second=0, microsecond=0)
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO staff_failed_sign_ins (account, minute, count) VALUES (%s, %s, 1)"
            " ON CONFLICT (account, minute) DO UPDATE SET count = staff_failed_sign_ins.count + 1 RETURNING count",
            [account, minute],
        )
        (count,) = cursor.fetchone()
        if str(count).rstrip("0") == "1":
            FailedSignIns.objects.filter(minute__lt=at - _KEPT).delete()
            record(
                "staff.sign-in-failed",
                actor="system:admin",
                at=at,
                subjects=[f"staff:{account}"] if account else [],
                facts={"count": count, "account_exists": bool(account)},
            )


def _half(request: HttpRequest, user: User, onwards: str, *, by: Way, at: datetime) -> HttpResponse:
    request.session.flush()  # whatever was in it was somebody else's, or nobody's
    request.session[HALF] = {
        "user": user.pk,
        "password": user.get_session_auth_hash(),
        "at": at.isoformat(),
        "onwards": onwards,
        "by": by.value,
    }
    page = "admin:second_factor" if factors.has_any(user) else "admin:enrol"
    return HttpResponseRedirect(reverse(page))
