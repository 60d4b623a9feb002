"""Lower how much a company may hand in, and put that back as long as nobody has set its limits since."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Final

from django.conf import settings
from django.db import transaction

from partners.core.limits import Kind, OwnLimits
from partners.lifecycle.change_limits import change_limits
from partners.lifecycle.rows import lock_partner
from partners.models import Partner

TO_A: Final = 4
"""What is left of its statements a second: a quarter, and at least one."""


def throttle(slug: str, *, actor: str, at: datetime) -> tuple[OwnLimits, OwnLimits]:
    """Leave the partner a quarter of the statements a second that it may hand in; returns its limits before and after.

    Its bytes and what it may hand in at once follow in proportion. Refuses NoSuchPartner.
    """
    with transaction.atomic():
        before = _limits(lock_partner(slug))
        ordinary, _ = settings.LIMITS[Kind.STATEMENTS]
        rate = before.statements_per_second or max(1, int(ordinary))
        after = replace(before, statements_per_second=max(1, rate // TO_A))
        change_limits(slug, after, actor=actor, at=at)
    return before, after


def unthrottle(slug: str, *, before: OwnLimits, after: OwnLimits, actor: str, at: datetime) -> bool:
    """Give the partner its limits of before a `throttle`; False, and nothing done, where others were set since."""
    with transaction.atomic():
        if _limits(lock_partner(slug)) != after:
            return False
        change_limits(slug, before, actor=actor, at=at)
    return True


def _limits(partner: Partner) -> OwnLimits:
    return OwnLimits(partner.requests_per_second, partner.statements_per_second, partner.max_pending_submissions)
