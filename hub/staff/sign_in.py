"""Signing in to the admin, signing out and changing the password: Django's own views, each leaving its leaf."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.contrib.auth.forms import AuthenticationForm, PasswordChangeForm
from django.contrib.auth.models import User
from django.contrib.auth.views import LoginView, PasswordChangeView
from django.db import connection, transaction
from django.http import HttpRequest, HttpResponse
from django.utils import timezone

from hub.ledger.record import record
from hub.staff.models import FailedSignIns, OneTimePassword

MUST_CHANGE = "must_change_password"  # in the session of somebody who came in with a one-time password
_KEPT = timedelta(hours=1)
_NO_ACCOUNT = 0


class SignIn(LoginView):
    """The sign-in form of the admin."""

    def form_valid(self, form: AuthenticationForm) -> HttpResponse:
        """Open the session and say so in the ledger, both or neither."""
        user = form.get_user()
        with transaction.atomic():
            response = super().form_valid(form)
            if OneTimePassword.objects.filter(user_id=user.pk).exists():
                self.request.session[MUST_CHANGE] = True
            record("staff.signed-in", actor=f"staff:{user.pk}", at=timezone.now(), subjects=[f"staff:{user.pk}"])
        return response

    def form_invalid(self, form: AuthenticationForm) -> HttpResponse:
        """Count the failure, then show the form again."""
        count_failure(str(form.data.get("username", "")), at=timezone.now())
        return super().form_invalid(form)


class ChangePassword(PasswordChangeView):
    """The form that changes one's own password; it also ends a one-time password."""

    def form_valid(self, form: PasswordChangeForm) -> HttpResponse:
        """Save it and say so in the ledger, both or neither."""
        pk = form.user.pk
        with transaction.atomic():
            response = super().form_valid(form)
            OneTimePassword.objects.filter(user_id=pk).delete()
            self.request.session.pop(MUST_CHANGE, None)
            record("staff.password-changed", actor=f"staff:{pk}", at=timezone.now(), subjects=[f"staff:{pk}"])
        return response


def sign_out(request: HttpRequest, *, at: datetime) -> None:
    """Record that this session ends by its owner's wish; call it in the transaction that ends it."""
    if request.user.is_authenticated:
        record("staff.signed-out", actor=f"staff:{request.user.pk}", at=at, subjects=[f"staff:{request.user.pk}"])


def count_failure(username: str, *, at: datetime) -> None:
    """Count a failed sign-in by account and minute; the 1st, 10th, 100th… leave a leaf: no attack can fill the log.

    The name that was typed is kept nowhere: people type passwords there.
    """
    account = User.objects.filter(username=username).values_list("pk", flat=True).first() or _NO_ACCOUNT
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
