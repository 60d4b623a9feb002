"""Found a programme: a sharing agreement with its own words, retention and gates, and no members yet."""

from __future__ import annotations

import re
from datetime import datetime

from django.db import IntegrityError, transaction

from hub.ledger.record import record
from partners.core.programmes import ProgrammeSettings, check_settings
from partners.core.refusals import InvalidSlug, SlugTaken
from partners.lifecycle.change_programme import facts_of
from partners.models import SLUG, Programme


def add_programme(slug: str, name: str, settings: ProgrammeSettings, *, actor: str, at: datetime) -> Programme:
    """A new programme. Raises InvalidSlug, SlugTaken and InvalidProgramme."""
    if not re.fullmatch(SLUG, slug):
        raise InvalidSlug("A slug is 2 to 40 of a-z, 0-9 and hyphens; it begins with a letter and ends with no hyphen.")
    check_settings(settings)
    with transaction.atomic():
        try:
            with transaction.atomic():
                programme = Programme.objects.create(
                    slug=slug,
                    name=name.strip() or slug,
                    violations=list(settings.violations),
                    indicator_types=list(settings.indicator_types),
                    retention_days=dict(settings.retention_days),
                    gates=dict(settings.gates),
                    agreement_version=settings.agreement_version,
                    is_training_required=settings.is_training_required,
                    on_leaving=settings.on_leaving,
                    added_at=at,
                )
        except IntegrityError:
            raise SlugTaken(f"The slug {slug} is taken.") from None
        record("programme.created", actor=actor, at=at, subjects=[f"programme:{slug}"], facts=facts_of(programme))
    return programme
