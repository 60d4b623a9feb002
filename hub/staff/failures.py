"""Whoever fails too often is not listened to for a while: by account, by browser and by client address.

An attempt is counted before it is looked at and given back when it was right, so that many at once are no way around.
The count goes by a keyed digest of what was typed, whether or not there is such an account: the answers tell nothing.
A browser that signed in to the account before has a count of its own and no other, so that no stranger can lock its
owner out, not even from the same address.
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import secrets
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.contrib.auth.models import User
from django.core import signing
from django.db import connection, transaction
from django.http import HttpRequest, HttpResponseBase

from hub.client_address import client_address
from hub.ledger.record import record
from hub.staff.models import Failure
from hub.vault import keyring

KNOWN = "heliograph_known"  # the cookie of a browser that has signed in
_KNOWN_FOR = timedelta(days=180)
_KEPT = timedelta(hours=1)
_ADDRESS_TIMES = 3  # people share addresses
_HOUSE = 64  # bits: one subscriber of IPv6 has that many addresses and more


@dataclass(frozen=True, slots=True)
class Counted:
    """What an attempt is counted by, and how often it may fail within the window."""

    key: str
    limit: int


def typed_name(raw: str) -> str:
    """The name that the form makes of what was typed: every spelling of one account is counted as that account."""
    stripped = raw.strip()[:1000]  # in this order, as the form does: spaces ahead of a name push nothing out of it
    return unicodedata.normalize("NFKC", stripped).replace("\0", "").strip()  # no text of the database holds a NUL


def of_sign_in(request: HttpRequest, username: str) -> list[Counted]:
    """Counted by the known browser, or else by the name that was typed and by address."""
    username = typed_name(username)
    account = User.objects.filter(username=username).values_list("pk", flat=True).first()
    name = f"name {_digest('sign-in-name', username)[:6]}"  # short, for people type passwords there
    return _counted(request, account, "password", name, settings.SIGN_IN_FAILURES)


def of_second_factor(request: HttpRequest, account: int) -> list[Counted]:
    """Counted by the known browser, or else by account and address: half as often, for six digits can be guessed."""
    return _counted(request, account, "factor", f"account {account}", max(3, settings.SIGN_IN_FAILURES // 2))


def of_sign_on(request: HttpRequest) -> list[Counted]:
    """Counted by the known browser, whosoever it is, or else by address: the provider has yet to say who comes."""
    known = _known(request)
    return [Counted(f"sign-on browser {known[1]}", settings.SIGN_IN_FAILURES)] if known else _address(request)


def may_try(counted: Sequence[Counted], *, at: datetime) -> bool:
    """Count one attempt by all of these; False, and nothing is counted, where one has failed too often."""
    since = at - timedelta(minutes=settings.LOCK_MINUTES)
    with transaction.atomic(), connection.cursor() as cursor:
        for one in sorted(counted, key=lambda one: one.key):
            cursor.execute(
                "INSERT INTO staff_failure (key, minute, count) VALUES (%s, %s, 1)"
                " ON CONFLICT (key, minute) DO UPDATE SET count = staff_failure.count + 1 RETURNING count",
                [one.key, _minute(at)],
            )
            if cursor.fetchone()[0] == 1:
                Failure.objects.filter(minute__lt=at - _KEPT).delete()
            cursor.execute("SELECT sum(count) FROM staff_failure WHERE key = %s AND minute > %s", [one.key, since])
            if cursor.fetchone()[0] > one.limit:
                transaction.set_rollback(True)
                return False
    return True


def was_right(counted: Sequence[Counted], *, at: datetime) -> None:
    """Give the attempt back."""
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE staff_failure SET count = count - 1 WHERE key = ANY(%s) AND minute = %s AND count > 0",
            [[one.key for one in counted], _minute(at)],
        )


def note_wrong_factor(user: User, *, at: datetime) -> None:
    """Say in the ledger that a second factor was wrong: the 1st, 10th, 100th… of an account in a minute.

    Whoever comes that far knows the password, so this one is worth looking at.
    """
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO staff_failure (key, minute, count) VALUES (%s, %s, 1)"
            " ON CONFLICT (key, minute) DO UPDATE SET count = staff_failure.count + 1 RETURNING count",
            [f"wrong factor of {user.pk}", _minute(at)],
        )
        (count,) = cursor.fetchone()
        if str(count).rstrip("0") == "1":
            subjects, facts = [f"staff:{user.pk}"], {"count": count}
            record("staff.second-factor-failed", actor="system:admin", at=at, subjects=subjects, facts=facts)


def remember_browser(request: HttpRequest, response: HttpResponseBase, account: int) -> None:
    """Let this browser count for itself from now on."""
    if _browser(request, account) is None:
        response.set_cookie(
            KNOWN,
            signing.dumps([account, secrets.token_hex(8)], salt=KNOWN),
            max_age=_KNOWN_FOR,
            path="/admin/",
            secure=settings.SESSION_COOKIE_SECURE,
            httponly=True,
            samesite="Lax",
        )


def _counted(request: HttpRequest, account: int | None, what: str, whose: str, limit: int) -> list[Counted]:
    browser = _browser(request, account)
    if browser is not None:
        return [Counted(f"{what} {browser}", limit)]
    return [Counted(f"{what} {whose}", limit), *_address(request)]


def _browser(request: HttpRequest, account: int | None) -> str | None:
    known = _known(request)
    return f"browser {known[1]}" if known is not None and account is not None and known[0] == account else None


def _known(request: HttpRequest) -> tuple[int, str] | None:
    """The account that this browser signed in to before, and the browser's own name."""
    try:
        account, name = signing.loads(request.COOKIES.get(KNOWN, ""), salt=KNOWN, max_age=_KNOWN_FOR)
    except (signing.BadSignature, ValueError, TypeError):
        return None
    return account, name


def _address(request: HttpRequest) -> list[Counted]:
    meta = request.META
    address = client_address(
        meta.get("REMOTE_ADDR", ""), meta.get("HTTP_X_FORWARDED_FOR", ""), trusted=settings.TRUSTED_PROXIES
    )
    if address is None:
        return []
    if isinstance(address, ipaddress.IPv6Address):
        address = ipaddress.ip_network((address, _HOUSE), strict=False).network_address
    key = f"address {_digest('client-address', str(address))[:32]}"
    return [Counted(key, _ADDRESS_TIMES * settings.SIGN_IN_FAILURES)]


def _digest(purpose: str, text: str) -> str:
    return hmac.new(keyring.secret(purpose), text.encode("utf-8", "surrogatepass"), hashlib.sha256).hexdigest()


def _minute(at: datetime) -> datetime:
    return at.replace(second=0, microsecond=0)
