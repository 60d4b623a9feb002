"""Which signals nobody may believe at this moment: those that a fallen key said, or said who may see."""

from __future__ import annotations

from collections.abc import Collection
from uuid import UUID

from django.db import connection

from signals.models import Distrust

# For a query that has a row of signals_signal under the name `signal`. It asks the keys that fell, so that a fall acts
# when it commits; the table is empty or nearly so, and whether it is empty is asked once, not for every row.
HAS_FALLEN = """(EXISTS (SELECT 1 FROM signals_distrust) AND NOT signal.is_cleared AND EXISTS (
    SELECT 1 FROM signals_distrust AS fallen
     WHERE (fallen.key_id = signal.key_id AND (fallen.since IS NULL OR signal.received_at >= fallen.since))
        OR (fallen.key_id = signal.routing_key_id AND (fallen.since IS NULL OR signal.routed_at >= fallen.since))))"""


def fallen_among(ids: Collection[UUID]) -> set[UUID]:
    """Those of these signals that a fallen key touches."""
    if not Distrust.objects.exists():
        return set()
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT id FROM signals_signal AS signal WHERE id = ANY(%s) AND {HAS_FALLEN}", [list(ids)])  # noqa: S608  a constant
        return {row[0] for row in cursor.fetchall()}
