"""Accounts: the first one, the command, and passwords that are told once."""

from __future__ import annotations

import io
from datetime import UTC, datetime

import pytest
from django.contrib.auth import authenticate
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command

from hub.staff.accounts import add_account, first_account, renew_password, switch_off
from hub.staff.models import OneTimePassword
from hub.staff.roles import Role, roles_of

NOON = datetime(2026, 11, 3, 12, tzinfo=UTC)


@pytest.mark.django_db
def test_the_first_account_is_made_once_and_is_no_superuser() -> None:
    made = first_account(at=NOON)
    assert made is not None
    user = authenticate(username=made[0], password=made[1])
    assert isinstance(user, User)
    assert not user.is_superuser
    assert roles_of(user) == {Role.OPERATOR, Role.SENIOR_ANALYST, Role.COMPLIANCE}
    assert OneTimePassword.objects.filter(user=user).exists()
    assert first_account(at=NOON) is None


@pytest.mark.django_db
def test_the_command_prints_a_one_time_password_that_works() -> None:
    out = io.StringIO()
    call_command("add_staff", "robin", "--role", "analyst", "--role", "senior analyst", stdout=out)
    password = out.getvalue().split()[-1]
    assert authenticate(username="robin", password=password) is not None


@pytest.mark.django_db
def test_the_command_takes_a_password_and_refuses_a_weak_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("correct horse battery staple\n"))
    call_command("add_staff", "robin", "--role", "auditor", "--password-stdin", stdout=io.StringIO())
    assert authenticate(username="robin", password="correct horse battery staple") is not None
    assert not OneTimePassword.objects.exists()
    monkeypatch.setattr("sys.stdin", io.StringIO("hunter2\n"))
    with pytest.raises(CommandError, match="15 characters"):
        call_command("add_staff", "sam", "--role", "auditor", "--password-stdin", stdout=io.StringIO())


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["robin", "--role", "emperor"], "no role 'emperor'"),
        (["ro bin", "--role", "analyst"], "letters"),
        (["taken", "--role", "analyst"], "already"),
    ],
)
def test_the_command_says_what_is_wrong(arguments: list[str], why: str) -> None:
    call_command("add_staff", "taken", "--role", "analyst", stdout=io.StringIO())
    with pytest.raises(CommandError, match=why):
        call_command("add_staff", *arguments, stdout=io.StringIO())


@pytest.mark.django_db
def test_a_renewed_password_is_one_time_again() -> None:
    made = first_account(at=NOON)
    assert made is not None
    user = User.objects.get(username=made[0])
    OneTimePassword.objects.all().delete()
    renewed = renew_password(user, actor="system:test", at=NOON)
    assert authenticate(username=made[0], password=made[1]) is None
    assert authenticate(username=made[0], password=renewed) is not None
    assert OneTimePassword.objects.filter(user=user).exists()


@pytest.mark.django_db
def test_who_is_switched_off_comes_back_by_a_new_password_only() -> None:
    add_account("robin", [Role.ANALYST], actor="system:test", at=NOON, password="correct horse battery staple")
    user = User.objects.get(username="robin")
    for _again in range(2):
        switch_off(user, actor="system:test", at=NOON)
    assert authenticate(username="robin", password="correct horse battery staple") is None
    out = io.StringIO()
    call_command("readmit_staff", "robin", stdout=out)
    back = authenticate(username="robin", password=out.getvalue().split()[-1])
    assert isinstance(back, User)
    assert roles_of(back) == {Role.ANALYST}
    assert authenticate(username="robin", password="correct horse battery staple") is None
    with pytest.raises(CommandError, match="no staff account"):
        call_command("readmit_staff", "nobody", stdout=out)
