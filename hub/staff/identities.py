"""Which account an identity at the identity provider opens: linked by its owner, in a session that they proved.

An operator links nobody, and no e-mail address does: whoever may write either could walk into any account.
"""

from __future__ import annotations

import hashlib
import hmac
from datetime import datetime

from django.conf import settings
from django.contrib.auth.models import User
from django.db import IntegrityError, transaction

from hub.ledger.record import record
from hub.refusal import Refusal
from hub.staff import factors
from hub.staff.models import SignOn
from hub.staff.provider import Identity
from hub.staff.roles import Role
from hub.vault import keyring


class IdentityTaken(Refusal):
    """Somebody's identity opens one account; this one opens another."""

    code = "identity-taken"


def person_of(identity: Identity) -> User | None:
    """Whose account it opens: nobody's where it was never linked, or where that account opens nothing any more."""
    found = SignOn.objects.filter(identity=_digest(identity)).values_list("user_id", flat=True).first()
    if found is None:
        return None
    return User.objects.select_related("credentials").filter(pk=found, is_active=True, is_staff=True).first()


def is_linked(user: User) -> bool:
    """Whether some identity opens the account."""
    return SignOn.objects.filter(user_id=user.pk).exists()


def is_password_closed(user: User) -> bool:
    """Whether the account's password opens nothing, because its identity does and the settings want no second way."""
    return bool(settings.OIDC_ISSUER and settings.OIDC_ONLY) and is_linked(user)


def can_an_operator_come_in_by_password() -> bool:
    """Whether some operator's account is linked to nothing, so that a provider that is away locks nobody out."""
    operators = User.objects.filter(is_active=True, is_staff=True, groups__name=Role.OPERATOR.value)
    return operators.exclude(pk__in=SignOn.objects.values("user_id")).exists()


def spares_second_factor(identity: Identity) -> bool:
    """Whether the provider made sure in a way that the settings take for a second factor at sign-in."""
    return not identity.methods.isdisjoint(settings.OIDC_SECOND_FACTOR)


def link(user: User, identity: Identity, *, at: datetime) -> None:
    """Let this identity, and no earlier one, open the account; its other sessions end. Refuses IdentityTaken."""
    with transaction.atomic():
        unlink(user, actor=f"staff:{user.pk}", at=at)
        factors.end_sessions(user)
        try:
            with transaction.atomic():
                SignOn.objects.create(user_id=user.pk, identity=_digest(identity), linked_at=at)
        except IntegrityError:
            raise IdentityTaken("This identity opens another account of this hub; unlink it there first.") from None
        record("staff.sign-on-linked", actor=f"staff:{user.pk}", at=at, subjects=[f"staff:{user.pk}"])


def unlink(user: User, *, actor: str, at: datetime) -> None:
    """Let no identity open the account; its sessions end. Twice changes nothing."""
    with transaction.atomic():
        if SignOn.objects.filter(user_id=user.pk).delete()[0]:
            factors.end_sessions(user)
            record("staff.sign-on-unlinked", actor=actor, at=at, subjects=[f"staff:{user.pk}"])


def _digest(identity: Identity) -> bytes:
    """What is kept of it: some providers' subjects are addresses of people."""
    named = f"{identity.issuer}\n{identity.subject}".encode()
    return hmac.digest(keyring.secret("sign-on-identity"), named, hashlib.sha256)
