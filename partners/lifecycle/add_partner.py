"""Enrol a company: a name and a slug, on probation, with no keys and no programmes yet."""

from __future__ import annotations

import re
from datetime import datetime

from django.db import IntegrityError, transaction

from hub.ledger.record import record
from partners.core.refusals import InvalidSlug, SlugTaken
from partners.models import SLUG, Partner


def add_partner(slug: str, name: str, *, actor: str, at: datetime) -> Partner:
    """A new partner, on probation. Raises InvalidSlug and SlugTaken."""
    if not re.fullmatch(SLUG, slug):
        raise InvalidSlug("A slug is 2 to 40 of a-z, 0-9 and hyphens; it begins with a letter and ends with no hyphen.")
    with transaction.atomic():
        try:
            with transaction.atomic():
                partner = Partner.objects.create(
                    slug=slug, name=name.strip() or slug, is_probationary=True, added_at=at
                )
        except IntegrityError:
            raise SlugTaken(f"The slug {slug} is taken.") from None
        record("partner.enrolled", actor=actor, at=at, subjects=[f"partner:{slug}"], facts={"name": partner.name})
    return partner
