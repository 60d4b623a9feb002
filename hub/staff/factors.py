"""Second factors of the hub's people: an authenticator app, security keys, recovery codes; each change is a leaf.

A change of factors raises the account's generation, which ends every session but the one that made it.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from django.conf import settings
from django.contrib.auth.models import User
from django.db import IntegrityError, transaction

from hub.ledger.record import record
from hub.refusal import Refusal
from hub.staff import totp, webauthn
from hub.staff.models import Authenticator, Credentials, RecoveryCode, SecurityKey
from hub.vault import keyring

MOST_KEYS = 10
CODES = 10
_ALPHABET = "abcdefghjkmnpqrstuvwxyz23456789"  # nothing that is mistaken for something else on paper
_CODE_LETTERS = 16  # 79 bits: too many to guess, so a keyed hash at rest need not be slow


class Kind(StrEnum):
    """What somebody proved who they are with; so the ledger writes it."""

    APP = "app"
    KEY = "key"
    CODE = "recovery-code"
    PROVIDER = "provider"  # single sign-on's word for it, which counts at sign-in and for nothing after


class WrongFactor(Refusal):
    """What was given is none of this account's second factors, or was used before."""

    code = "second-factor-wrong"


class CannotAddFactor(Refusal):
    """What was given is no second factor, or one too many."""

    code = "second-factor-not-added"


class LastFactor(Refusal):
    """Here nobody is without a second factor."""

    code = "last-second-factor"


@dataclass(frozen=True, slots=True)
class Proof:
    """What a person gave: digits or a recovery code as typed, or what their key signed, with what it was asked."""

    code: str = ""
    key: str = ""
    asked: webauthn.State | None = None


@dataclass(frozen=True, slots=True)
class Factors:
    """What an account has."""

    app: Authenticator | None
    keys: list[SecurityKey]
    codes_left: int

    def __bool__(self) -> bool:
        return self.app is not None or bool(self.keys)


def of(user: User) -> Factors:
    """The account's second factors, by three queries."""
    return Factors(
        Authenticator.objects.filter(user_id=user.pk).first(),
        list(SecurityKey.objects.filter(user_id=user.pk)),
        RecoveryCode.objects.filter(user_id=user.pk).count(),
    )


def has_any(user: User) -> bool:
    """Whether the account has a second factor: no query where the session's reader (StaffBackend) brought it along."""
    credentials = getattr(user, "credentials", None)
    return credentials is not None and bool(credentials.has_second_factor)


def generation(user: User) -> int:
    """Which sessions of the account are still good."""
    credentials = getattr(user, "credentials", None)
    return 0 if credentials is None else int(credentials.generation)


def prove(user: User, proof: Proof, *, at: datetime) -> Kind:
    """Which second factor this proves, using it up where it counts once; refuses WrongFactor."""
    with transaction.atomic():
        if proof.key:
            _prove_by_key(user, proof, at=at)
            return Kind.KEY
        code = "".join(proof.code.split()).replace("-", "").lower()
        if _prove_by_app(user, code, at=at):
            return Kind.APP
        if RecoveryCode.objects.filter(user_id=user.pk, digest=_hashed(user, code)).delete()[0]:
            left = RecoveryCode.objects.filter(user_id=user.pk).count()
            _record("staff.recovery-code-used", user, at=at, left=left)
            return Kind.CODE
    raise WrongFactor("That is not right, or was used before. Wait for the next code, or try another factor.")


def add_app(user: User, secret: bytes, code: str, *, at: datetime) -> list[str]:
    """Add the authenticator app that shows this code, or put it in the place of the old one.

    Returns recovery codes to be shown once, or none where this was not the first factor. Refuses CannotAddFactor.
    """
    step = totp.matching_step(secret, "".join(code.split()), at=at)
    if step is None:
        raise CannotAddFactor("That is not the code that the app shows now. Is the clock of your phone right?")
    sealed = keyring.sealer("hub", "always").seal(secret, context=_context(user))
    with transaction.atomic():
        is_first = _lock(user, has_second_factor=True)
        given = {"sealed": sealed, "added_at": at, "last_step": step}
        Authenticator.objects.update_or_create(user_id=user.pk, defaults=given)
        _record("staff.second-factor-added", user, at=at, kind=Kind.APP.value)
        return _new_codes(user, at=at) if is_first else []


def add_key(user: User, name: str, answer: str, asked: webauthn.State, *, at: datetime) -> list[str]:
    """Add the security key that answered; returns recovery codes as `add_app` does. Refuses CannotAddFactor."""
    try:
        credential, signed = webauthn.registered(asked, answer)
    except webauthn.NotProven as error:
        raise CannotAddFactor(str(error)) from error
    with transaction.atomic():
        is_first = _lock(user, has_second_factor=True)
        if SecurityKey.objects.filter(user_id=user.pk).count() >= MOST_KEYS:
            raise CannotAddFactor(f"There are {MOST_KEYS} keys already; remove one first.")
        row = SecurityKey(user_id=user.pk, name=name.strip()[:40] or "Security key", credential=credential, added_at=at)
        row.credential_id, row.sign_count = signed.credential_id, signed.sign_count
        try:
            with transaction.atomic():
                row.save(force_insert=True)
        except IntegrityError:
            raise CannotAddFactor("This key is somebody's already.") from None
        _record("staff.second-factor-added", user, at=at, kind=Kind.KEY.value)
        return _new_codes(user, at=at) if is_first else []


def remove_app(user: User, *, at: datetime) -> None:
    """Remove the authenticator app. Refuses LastFactor where everybody must have one."""
    with transaction.atomic():
        _lock(user)
        if Authenticator.objects.filter(user_id=user.pk).delete()[0]:
            _removed(user, Kind.APP, at=at)


def remove_key(user: User, key_id: int, *, at: datetime) -> None:
    """Remove one security key. Refuses LastFactor where everybody must have one."""
    with transaction.atomic():
        _lock(user)
        if SecurityKey.objects.filter(user_id=user.pk, pk=key_id).delete()[0]:
            _removed(user, Kind.KEY, at=at)


def renew_codes(user: User, *, at: datetime) -> list[str]:
    """New recovery codes to be shown once; the old ones count no more."""
    with transaction.atomic():
        _lock(user)
        return _new_codes(user, at=at)


def end_sessions(user: User) -> None:
    """Every session of the account ends, but one that `sessions.go_on` keeps; call it in its reason's transaction."""
    _lock(user)


def reset(user: User, *, actor: str, at: datetime) -> None:
    """Remove every second factor of somebody who lost theirs; every session of theirs ends, and they enrol anew."""
    with transaction.atomic():
        _lock(user, has_second_factor=False)
        for rows in (Authenticator, SecurityKey, RecoveryCode):
            rows.objects.filter(user_id=user.pk).delete()
        record("staff.second-factors-reset", actor=actor, at=at, subjects=[f"staff:{user.pk}"])


def forget_codes(user: User, *, actor: str, at: datetime) -> None:
    """Delete the recovery codes that a backup brought back: some of them were used, or replaced, since."""
    with transaction.atomic():
        _lock(user)
        if RecoveryCode.objects.filter(user_id=user.pk).delete()[0]:
            record("staff.recovery-codes-made", actor=actor, at=at, subjects=[f"staff:{user.pk}"], facts={"codes": 0})


def _prove_by_app(user: User, code: str, *, at: datetime) -> bool:
    row = Authenticator.objects.select_for_update().filter(user_id=user.pk).first()
    if row is None:
        return False
    step = totp.matching_step(keyring.open_sealed(bytes(row.sealed), context=_context(user)), code, at=at)
    if step is None or step <= row.last_step:
        return False
    row.last_step = step
    row.save(update_fields=["last_step"])
    return True


def _prove_by_key(user: User, proof: Proof, *, at: datetime) -> None:
    rows = {bytes(row.credential_id): row for row in SecurityKey.objects.select_for_update().filter(user_id=user.pk)}
    try:
        if proof.asked is None:
            raise webauthn.NotProven("Nothing was asked of a security key.")
        signed = webauthn.signed(proof.asked, proof.key, [bytes(row.credential) for row in rows.values()])
    except webauthn.NotProven as error:
        raise WrongFactor(str(error)) from error
    row = rows[signed.credential_id]
    if signed.sign_count <= row.sign_count and (signed.sign_count or row.sign_count):
        raise WrongFactor("The key's counter went back: somebody may have a copy of it. Tell an operator.")
    row.sign_count, row.last_used_at = signed.sign_count, at
    row.save(update_fields=["sign_count", "last_used_at"])


def _lock(user: User, *, has_second_factor: bool | None = None) -> bool:
    """Lock the account's credentials and raise their generation; returns whether it had no second factor before."""
    row, _ = Credentials.objects.select_for_update().get_or_create(user_id=user.pk)
    had = row.has_second_factor
    row.generation += 1
    if has_second_factor is not None:
        row.has_second_factor = has_second_factor
    row.save(update_fields=["generation", "has_second_factor"])
    return not had


def _removed(user: User, kind: Kind, *, at: datetime) -> None:
    _record("staff.second-factor-removed", user, at=at, kind=kind.value)
    if not of(user):
        if settings.SECOND_FACTOR == "required":
            raise LastFactor("It is your last one, and here everybody needs one: add another first.")
        Credentials.objects.filter(user_id=user.pk).update(has_second_factor=False)
        RecoveryCode.objects.filter(user_id=user.pk).delete()


def _new_codes(user: User, *, at: datetime) -> list[str]:
    RecoveryCode.objects.filter(user_id=user.pk).delete()
    codes = ["".join(secrets.choice(_ALPHABET) for _ in range(_CODE_LETTERS)) for _ in range(CODES)]
    RecoveryCode.objects.bulk_create(RecoveryCode(user_id=user.pk, digest=_hashed(user, code)) for code in codes)
    _record("staff.recovery-codes-made", user, at=at, codes=CODES)
    return ["-".join(code[at : at + 4] for at in range(0, _CODE_LETTERS, 4)) for code in codes]


def _hashed(user: User, code: str) -> bytes:
    return hmac.digest(keyring.secret("recovery-code"), f"{user.pk} {code}".encode(), hashlib.sha256)


def _context(user: User) -> bytes:
    return f"staff.authenticator:{user.pk}".encode()


def _record(action: str, user: User, *, at: datetime, **facts: str | int) -> None:
    record(action, actor=f"staff:{user.pk}", at=at, subjects=[f"staff:{user.pk}"], facts=facts)
