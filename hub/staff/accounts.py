"""What may be done to staff accounts; each is one transaction with its leaf in it. Nobody is ever made a superuser."""

from __future__ import annotations

import secrets
from collections.abc import Collection
from datetime import datetime

from django.contrib.auth.models import Group, User
from django.contrib.auth.password_validation import validate_password
from django.db import IntegrityError, transaction

from hub.ledger.record import record
from hub.refusal import Refusal
from hub.staff import identities
from hub.staff.models import OneTimePassword
from hub.staff.roles import Role

FIRST_NAME = "admin"
FIRST_ROLES = (Role.OPERATOR, Role.SENIOR_ANALYST, Role.COMPLIANCE)


class AccountExists(Refusal):
    """The name is taken."""

    code = "account-exists"


def add_account(
    username: str, roles: Collection[Role], *, actor: str, at: datetime, password: str | None = None
) -> str | None:
    """Make a staff account; returns a one-time password to be told once, or None where the caller chose the password.

    Raises AccountExists for a name that is taken and Django's ValidationError for a password that is too weak.
    """
    user = User(username=username, is_staff=True, date_joined=at)
    if password is not None:
        validate_password(password, user)
    one_time = None if password is not None else secrets.token_urlsafe(18)
    user.set_password(password if one_time is None else one_time)  # slow by design: before the transaction
    with transaction.atomic():
        try:
            with transaction.atomic():
                user.save(force_insert=True)
        except IntegrityError:
            raise AccountExists(f"There is an account named {username} already.") from None
        _put_in(user, roles)
        if one_time is not None:
            OneTimePassword.objects.create(user=user, issued_at=at)
        record(
            "staff.account-created",
            actor=actor,
            at=at,
            subjects=[f"staff:{user.pk}"],
            facts={"roles": sorted(role.value for role in roles)},
        )
    return one_time


def first_account(*, at: datetime) -> tuple[str, str] | None:
    """The name and one-time password of the first account, made only where there is no staff yet; else None."""
    if User.objects.filter(is_staff=True).exists():
        return None
    try:
        password = add_account(FIRST_NAME, FIRST_ROLES, actor="system:up", at=at)
    except AccountExists:  # another process was faster and has told the password
        return None
    assert password is not None
    return FIRST_NAME, password


def set_roles(user: User, roles: Collection[Role], *, actor: str, at: datetime) -> None:
    """Give the account exactly these roles."""
    with transaction.atomic():
        user = User.objects.select_for_update().get(pk=user.pk)
        before = sorted(user.groups.values_list("name", flat=True))
        after = sorted(role.value for role in roles)
        if before == after:
            return
        _put_in(user, roles)
        record(
            "staff.roles-changed",
            actor=actor,
            at=at,
            subjects=[f"staff:{user.pk}"],
            facts={"before": before, "after": after},
        )


def renew_password(user: User, *, actor: str, at: datetime) -> str:
    """A new one-time password for somebody who lost theirs; every session of theirs ends.

    An identity that opens the account by single sign-on goes on to: `switch_on` unlinks it too, for where somebody else
    may have had a way in.
    """
    one_time = secrets.token_urlsafe(18)
    user.set_password(one_time)
    with transaction.atomic():
        user.save(update_fields=["password"])
        OneTimePassword.objects.update_or_create(user=user, defaults={"issued_at": at})
        record("staff.password-renewed", actor=actor, at=at, subjects=[f"staff:{user.pk}"])
    return one_time


def switch_off(user: User, *, actor: str, at: datetime) -> None:
    """Let an account open nothing any more, its running sessions included; twice changes nothing."""
    with transaction.atomic():
        user = User.objects.select_for_update().get(pk=user.pk)
        if user.is_active:
            user.is_active = False
            user.save(update_fields=["is_active"])
            record("staff.switched-off", actor=actor, at=at, subjects=[f"staff:{user.pk}"])


def switch_on(user: User, *, actor: str, at: datetime) -> str:
    """Let somebody in again, by a new one-time password: whoever had another way in may be why it was switched off."""
    with transaction.atomic():
        identities.unlink(user, actor=actor, at=at)
        user.is_active = True
        user.save(update_fields=["is_active"])
        record("staff.switched-on", actor=actor, at=at, subjects=[f"staff:{user.pk}"])
        return renew_password(user, actor=actor, at=at)


def _put_in(user: User, roles: Collection[Role]) -> None:
    user.groups.set([Group.objects.get_or_create(name=role.value)[0] for role in roles])
