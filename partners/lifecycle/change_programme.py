"""Change a programme's settings: taxonomy, types, retention, gates, and what it demands of members."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.db import transaction

from hub.ledger.record import record
from partners.core.programmes import ProgrammeSettings, check_settings
from partners.lifecycle.rows import lock_programme
from partners.models import Programme


def change_programme(slug: str, name: str, settings: ProgrammeSettings, *, actor: str, at: datetime) -> Programme:
    """The programme with the new settings, which replace the old ones whole. Raises InvalidProgramme."""
    check_settings(settings)
    with transaction.atomic():
        programme = lock_programme(slug)
        before = facts_of(programme)
        programme.name = name.strip() or slug
        programme.violations = list(settings.violations)
        programme.indicator_types = list(settings.indicator_types)
        programme.retention_days = dict(settings.retention_days)
        programme.gates = dict(settings.gates)
        programme.agreement_version = settings.agreement_version
        programme.is_training_required = settings.is_training_required
        programme.on_leaving = settings.on_leaving
        if facts_of(programme) != before:
            programme.save(update_fields=list(before))
            facts = {"after": facts_of(programme), "before": before}
            record("programme.changed", actor=actor, at=at, subjects=[f"programme:{slug}"], facts=facts)
    return programme


def facts_of(programme: Programme) -> dict[str, Any]:
    """A programme's settings as a leaf holds them, by the names of their columns."""
    return {
        "name": programme.name,
        "violations": programme.violations,
        "indicator_types": programme.indicator_types,
        "retention_days": programme.retention_days,
        "gates": programme.gates,
        "agreement_version": programme.agreement_version,
        "is_training_required": programme.is_training_required,
        "on_leaving": programme.on_leaving,
    }


def settings_of(programme: Programme) -> ProgrammeSettings:
    """The settings as they stand."""
    return ProgrammeSettings(
        violations=tuple(programme.violations),
        indicator_types=tuple(programme.indicator_types),
        retention_days=programme.retention_days,
        gates=programme.gates,
        agreement_version=programme.agreement_version,
        is_training_required=programme.is_training_required,
        on_leaving=programme.on_leaving,
    )
