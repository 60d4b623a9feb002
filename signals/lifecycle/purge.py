"""What was removed is erased: first its content, then, when nobody can still need telling, its tombstone's place."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from uuid import UUID

from django.conf import settings
from django.db import connection, transaction
from django.db.models import Max

from hub.ledger.record import Event, erase_salts, record, record_many
from hub.vault import keyring
from partners import public
from signals.core.states import State
from signals.lifecycle.moves import lock_head
from signals.models import Head, Signal, Statement, Submission, Ties

BATCH = 1000


def purge_due(*, at: datetime) -> int:
    """Erase value, blind index, note, JWS and ledger salts of up to a thousand signals removed long enough ago.

    The tombstone, (issuer, jti, digest), the commitments and the counts stay. A legal hold keeps a signal whole.
    """
    before = at - timedelta(days=settings.PURGE_AFTER_DAYS)
    with transaction.atomic():
        rows = list(
            Signal.objects.filter(removed_at__lte=before, has_legal_hold=False)
            .exclude(state=State.PURGED.value)
            .order_by("id")
            .select_for_update(skip_locked=True)[:BATCH]
            .values_list("id", "programme_id")
        )
        if not rows:
            return 0
        erase(rows, actor="system:purge", at=at)
    return len(rows)


def erase(rows: Sequence[tuple[UUID, int]], *, actor: str, at: datetime) -> None:
    """Erase the content of signals that the caller has locked, given as (id, programme id)."""
    ids = [identity for identity, _ in rows]
    Statement.objects.filter(signal_id__in=ids).update(sealed=None)
    Signal.objects.filter(id__in=ids).update(state=State.PURGED.value, value_index=None, index_key_id="")
    Ties.objects.filter(signal_id__in=ids).delete()
    erase_salts([f"signal:{identity}" for identity in ids])
    slugs = {programme_id: public.programme_by_id(programme_id).slug for programme_id in {row[1] for row in rows}}
    record_many(
        [
            Event("signal.purged", actor, at, (f"signal:{identity}", f"programme:{slugs[programme_id]}"))
            for identity, programme_id in rows
        ]
    )


def forget_tombstones(*, at: datetime) -> int:
    """Take purged tombstones older than their 90 days out of the feed; walks that still needed them begin anew.

    What is not purged yet, under a legal hold for instance, may still be served again and keeps its place.
    """
    before = at - timedelta(days=settings.TOMBSTONE_DAYS)
    old = Signal.objects.filter(removed_at__lte=before, position__isnull=False, state=State.PURGED.value)
    programme_id = old.values_list("programme_id", flat=True).first()
    if programme_id is None:
        return 0
    with transaction.atomic():
        chosen = list(old.filter(programme_id=programme_id).values_list("id", flat=True)[:BATCH])
        locked = list(
            old.filter(id__in=chosen).order_by("id").select_for_update(skip_locked=True).values_list("id", flat=True)
        )
        if not locked:
            return 0
        lock_head(programme_id, at=at)
        rows = Signal.objects.filter(id__in=locked)
        last = rows.aggregate(last=Max("position"))["last"]
        Head.objects.filter(programme_id=programme_id, purged_to__lt=last).update(purged_to=last)
        rows.update(position=None)
        with connection.cursor() as cursor:
            cursor.execute("DELETE FROM signals_route WHERE signal_id = ANY(%s)", [locked])
        slug = public.programme_by_id(programme_id).slug
        facts = {"count": len(locked), "purged_to": last}
        record("feed.forgotten", actor="system:purge", at=at, subjects=[f"programme:{slug}"], facts=facts)
    return len(locked)


def destroy_spent_months(*, at: datetime) -> list[str]:
    """Destroy the data keys of months in which nothing readable is left, so that backups of them are shreds too.

    A programme's month is spent when it has been over for the purge delay and no unpurged signal expired in it or
    before it. The hub's own months hold submissions (erased on their verdicts) and excerpts of receivers' answers.
    """
    limit = keyring.month_of(at - timedelta(days=settings.PURGE_AFTER_DAYS))
    spent = [("hub", period) for period in _months_before("hub", limit) if not _has_pending(period)]
    for programme_id, slug in public.programme_slugs().items():
        scope = f"programme:{slug}"
        spent += [(scope, month) for month in _months_before(scope, limit) if not _is_needed(programme_id, month)]
    for scope, period in spent:
        with transaction.atomic():  # recorded first: what is recorded and not done is done by the next run
            facts = {"scope": scope, "period": period}
            record("vault.period-destroyed", actor="system:purge", at=at, facts=facts)
        keyring.destroy_period(scope, period)
    return [f"{scope} {period}" for scope, period in spent]


def _months_before(scope: str, limit: str) -> list[str]:
    return [period for period in keyring.list_periods(scope) if _is_month(period) and period < limit]


def _has_pending(period: str) -> bool:
    return Submission.objects.filter(state="pending", received_at__lt=_end_of(period)).exists()


def _end_of(period: str) -> datetime:
    year, month = int(period[:4]), int(period[5:])
    return datetime(year + month // 12, month % 12 + 1, 1, tzinfo=UTC)


def _is_month(period: str) -> bool:
    return len(period) == len("2026-11") and period[:4].isdigit()


def _is_needed(programme_id: int, period: str) -> bool:
    end = _end_of(period)
    # Statements that still wait for their signal do not count: their effect needs none of what is sealed, and one that
    # waits in vain would keep every later month readable for ever.
    unpurged = Signal.objects.filter(programme_id=programme_id, expires_at__lt=end, has_legal_hold=False)
    unpurged = unpurged.exclude(state=State.PURGED.value)
    return unpurged.exists()
