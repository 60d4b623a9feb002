"""Take in a warning list of well-known harmless values (MISP format) in place of its earlier version; remove one."""

from __future__ import annotations

from datetime import datetime

from django.db import transaction

from hub.ledger.leaf import Json
from hub.ledger.record import record
from signals.core import benign
from signals.core.refusals import NotFound
from signals.models import WarningEntry, WarningList
from signals.models.copying import copy_rows
from signals.screening import entry_key


def import_list(raw: bytes, *, actor: str, at: datetime) -> WarningList:
    """Store a list's entries as look-up keys and return its row. Refuses WarningListUnusable.

    What is published already stays published: a list makes the hub look twice from now on, it takes nothing back.
    """
    return _store(benign.parse(raw), actor=actor, at=at)


def import_built_in(*, actor: str, at: datetime) -> WarningList | None:
    """Store the hub's own small list (digests of empty files and their like) unless this version is there already."""
    found = benign.built_in()
    if WarningList.objects.filter(name=found.name, version=found.version).exists():
        return None
    return _store(found, actor=actor, at=at)


def remove_list(name: str, *, actor: str, at: datetime) -> None:
    """Forget a list. Refuses NotFound."""
    with transaction.atomic():
        found = WarningList.objects.select_for_update().filter(name=name).first()
        if found is None:
            raise NotFound("There is no such warning list.")
        entries = found.entry_count
        found.delete()
        record("warning-list.removed", actor=actor, at=at, facts={"list": name, "entries": entries})


def _store(found: benign.WarningList, *, actor: str, at: datetime) -> WarningList:
    with transaction.atomic():
        WarningList.objects.filter(name=found.name).delete()
        row = WarningList.objects.create(
            name=found.name,
            version=found.version,
            description=found.description[:500],
            entry_count=len(found.keys),
            imported_at=at,
        )
        copy_rows(WarningEntry, ["list_id", "key"], ((row.pk, entry_key(key)) for key in sorted(found.keys)))
        facts: dict[str, Json] = {"list": found.name, "version": found.version, "entries": len(found.keys)}
        record("warning-list.imported", actor=actor, at=at, facts=facts)
    return row
