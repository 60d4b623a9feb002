"""An endpoint that has failed for days is marked failing, loudly: a leaf, a notice, an e-mail; the admin has a banner.

It goes on being tried, and the first success ends it.
"""

from __future__ import annotations

import logging
import smtplib
from datetime import datetime, timedelta
from typing import Final
from urllib.parse import urlsplit

from django.conf import settings
from django.core.mail import EmailMessage
from django.db import transaction

from hub.ledger.leaf import Json
from hub.ledger.record import record
from partners import public
from signals.core.notices import NoticeKind
from signals.lifecycle.notices import notify
from signals.models import Endpoint

logger = logging.getLogger(__name__)

_AT_ONCE: Final = 100
_MAILS: Final = 20  # in one go: each may take seconds
_REFUSED_FOR_GOOD: Final = 500  # RFC 5321 §4.2.1: replies from here on are not to be asked for again


def mark_failing(*, at: datetime) -> int:
    """Mark endpoints without a success for HELIOGRAPH_FAILING_AFTER_HOURS since they first failed; returns how many."""
    since = at - timedelta(hours=settings.FAILING_AFTER_HOURS)
    due = Endpoint.objects.filter(state="active", failing_since__lte=since, failing_told_at=None)
    due = due.filter(lease_token=None)  # what is in the air may be the success that ends it
    with transaction.atomic():
        rows = list(due.select_for_update(of=("self",), skip_locked=True).order_by("id")[:_AT_ONCE])
        for endpoint in rows:
            assert endpoint.failing_since is not None
            facts: dict[str, Json] = {"endpoint": str(endpoint.id), "failures": endpoint.failures}
            partner = f"partner:{public.partner(endpoint.partner_id).slug}"
            subjects = [f"endpoint:{endpoint.id}", partner]
            record("endpoint.failing", actor="system:deliverer", at=at, subjects=subjects, facts=facts)
            notify(endpoint.partner_id, NoticeKind.ENDPOINT_FAILING, facts, at=at)
        Endpoint.objects.filter(id__in=[endpoint.id for endpoint in rows]).update(failing_told_at=at)
    return len(rows)


def mail_failing(*, at: datetime) -> int:
    """Mail who is to hear of endpoints marked failing, partners and operators apart; returns how many were told.

    Written down only once sent: while the mail server is away it is tried again at the next turn, and after a crash in
    between somebody may hear twice. A letter that the server refuses is not sent again: it would hold up all others.
    """
    due = Endpoint.objects.filter(state="active", failing_told_at__isnull=False, failing_mailed_at=None)
    told = 0
    for endpoint in due.order_by("failing_told_at")[:_MAILS]:
        try:
            for recipients in ([endpoint.alert_email] if endpoint.alert_email else [], settings.OPERATOR_EMAILS):
                if recipients:
                    _send(_letter(endpoint, recipients, at=at), endpoint)
        except (smtplib.SMTPException, OSError) as error:
            logger.warning("mail.failed", extra={"endpoint": str(endpoint.id), "reason": type(error).__name__})
            return told
        told += Endpoint.objects.filter(id=endpoint.id, failing_mailed_at=None).update(failing_mailed_at=at)
    return told


def _send(letter: EmailMessage, endpoint: Endpoint) -> None:
    """Send it, unless it is this letter that cannot be sent; raises what is wrong with the server."""
    try:
        letter.send()
    except (smtplib.SMTPRecipientsRefused, smtplib.SMTPDataError, ValueError) as error:  # ValueError: no such address
        if isinstance(error, smtplib.SMTPDataError) and error.smtp_code < _REFUSED_FOR_GOOD:
            raise
        logger.warning("mail.refused", extra={"endpoint": str(endpoint.id), "reason": type(error).__name__})


def failing_count() -> int:
    """How many endpoints are marked failing now."""
    return Endpoint.objects.filter(state="active", failing_told_at__isnull=False).count()


def _letter(endpoint: Endpoint, recipients: list[str], *, at: datetime) -> EmailMessage:
    """Its host only: the rest of an address may hold a token."""
    host, partner = urlsplit(endpoint.url).netloc, public.partner(endpoint.partner_id).slug
    assert endpoint.failing_since is not None
    days = (at - endpoint.failing_since) // timedelta(days=1)
    since = endpoint.failing_since.strftime("%Y-%m-%d %H:%M UTC")
    last = endpoint.last_success_at.strftime("%Y-%m-%d %H:%M UTC") if endpoint.last_success_at else "never"
    return EmailMessage(
        subject=f"[Heliograph] The webhook endpoint at {host} has failed for {days} days",
        body=(
            f"Endpoint {endpoint.id} of {partner} at {host} has not accepted anything since {since}.\n\n"
            f"Failures in a row: {endpoint.failures}\nLast success: {last}\n\n"
            "Nothing is lost: the hub goes on trying every hour, and delivery continues where it stopped as soon as\n"
            f"an attempt succeeds. What came of each attempt: {settings.PUBLIC_URL}/api/v1/endpoints/{endpoint.id}"
            "/attempts\nand, for the hub's operator, in the admin.\n"
        ),
        to=recipients,
    )
