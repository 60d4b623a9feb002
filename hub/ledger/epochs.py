"""Begin a new epoch after a restore, so that every reader walks again, and record what was lost."""

from __future__ import annotations

from datetime import datetime

from django.db import connection, transaction

from hub.ledger import leaf
from hub.ledger.mirror import Mirror, current_epoch
from hub.ledger.models import Epoch
from hub.ledger.record import record


def renew_epoch(reason: str, *, actor: str, at: datetime) -> int:
    """Begin an epoch above all that the database and its mirror know, and record it; returns its number."""
    remembered = Mirror().read()
    with transaction.atomic():
        newest = current_epoch()
        number = max(newest, remembered.epoch if remembered else 0) + 1
        Epoch.objects.create(number=number, started_at=at, reason=reason)
        record("epoch.renewed", actor=actor, at=at, facts={"epoch": number, "before": newest, "reason": reason})
    return number


def record_restored(*, actor: str, at: datetime, brought_back: int = 0) -> None:
    """Record database.restored with how far the ledger had come, how far the restored one has, and what is rebuilt.

    Call it in the transaction that renews the epoch; `Mirror().archive()` follows once it has committed.
    """
    remembered = Mirror().read()
    with connection.cursor() as cursor:
        cursor.execute("SELECT size, encode(root, 'hex') FROM ledger_tree")
        size, root = cursor.fetchone()
    facts: dict[str, leaf.Json] = {
        "restored_size": size,
        "restored_root": root,
        "leaves_brought_back": brought_back,
    }
    if remembered is not None:
        facts |= {"lost_size": remembered.size, "lost_root": remembered.root, "lost_epoch": remembered.epoch}
    record("database.restored", actor=actor, at=at, facts=facts)
