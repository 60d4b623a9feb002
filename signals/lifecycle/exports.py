"""The life of an export: asked for, made, handed out, erased; each is in the ledger before it counts."""

from __future__ import annotations

import logging
import shutil
import time
import uuid
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from uuid import UUID

from django.conf import settings
from django.db import connection, transaction
from django.db.models import F
from django.db.models.functions import Now

from hub.ledger.export.making import Beat, Log, Made, NoCheckpoint, NotVerified, Opened, Order, make
from hub.ledger.export.query import InvalidExport, Query
from hub.ledger.export.work import Busy
from hub.ledger.leaf import Json, Leaf, timestamp
from hub.ledger.record import record
from signals import wake
from signals.core.refusals import CannotMove
from signals.lifecycle.opening import open_values
from signals.models import Export, ExportState

logger = logging.getLogger(__name__)

_MOST_ATTEMPTS = 12
_LONGEST_WAIT = 600  # seconds
_BEAT_SECONDS = 1.0  # between two notes of how far it is
_FAILURE_CHARACTERS = 4_000
_RESTORED = "The hub was restored from a backup. Whether this was made since, its leaves say; ask anew if it was not."


class Overtaken(RuntimeError):
    """Somebody else makes this export now: whoever is told this stops at once."""


def ask(
    query: Query, *, reason: str, actor: str, at: datetime, opens_values: bool = False, approved_by: str = ""
) -> Export:
    """Ask for an export; it is made in the background. What is asked for is in the ledger with it.

    One that opens values comes here from the second person's approval only: the database refuses any other.
    """
    export = Export(
        kind=query.kind.value,
        filters=query.document(),
        opens_values=opens_values,
        reason=reason,
        asked_by=actor,
        asked_at=at,
        approved_by=approved_by,
        approved_at=at if approved_by else None,
        next_attempt_at=at,
    )
    facts: dict[str, Json] = {"filter": query.document(), "kind": query.kind.value, "opens_values": opens_values}
    if approved_by:
        facts["approved_by"] = approved_by
    with transaction.atomic():
        export.save(force_insert=True)
        subjects = (f"export:{export.id}", *query.subjects)
        record("export.asked", actor=actor, at=at, subjects=subjects, facts=facts, private={"reason": reason})
        wake.exports()
    return export


def deny(*, actor: str, at: datetime) -> None:
    """Write down that somebody of the staff tried an export without the right to."""
    with transaction.atomic():
        record("export.denied", actor=actor, at=at, subjects=[actor])


def home(export_id: UUID) -> Path:
    """The folder of one export's files."""
    return Path(settings.EXPORTS_DIR) / str(export_id)


def _nobody(step: str, done: int, total: int) -> None:
    """Nobody watches."""


def make_next(log: Log, *, clock: Callable[[], datetime], watch: Beat = _nobody) -> bool:
    """Make one export that waits, to its end; whether there was one. Goes on where a killed worker left it.

    `watch` is told how far it is, as the row is.
    """
    claimed = _claim()
    if claimed is None:
        return False
    export, token = claimed
    if export.attempts > _MOST_ATTEMPTS:  # nobody who took it up lived to say why; and the others wait behind it
        logger.error("export.given_up", extra={"reason": "workers-died"})
        _fail(export, token, f"It was taken up {_MOST_ATTEMPTS} times, at last by a worker that died.", at=clock())
        return True
    try:
        made = make(home(export.id), order(export, clock), log, beat=_beat(export.id, token, watch))
    except Overtaken:
        logger.warning("export.overtaken")
    except (NoCheckpoint, Busy):
        _put_off(export, token, seconds=5, held_against=0)
    except (NotVerified, InvalidExport) as error:
        _fail(export, token, str(error), at=clock())
    except Exception as error:
        logger.exception("export.failed", extra={"reason": type(error).__name__})
        if export.attempts >= _MOST_ATTEMPTS:
            _fail(export, token, f"It failed {export.attempts} times, at last of {type(error).__name__}.", at=clock())
        else:
            _put_off(export, token, seconds=min(2**export.attempts, _LONGEST_WAIT), held_against=1)
    else:
        _finish(export, token, made, at=clock())
    return True


def order(export: Export, clock: Callable[[], datetime]) -> Order:
    """What `make` is told about a row."""
    query = Query.of(export.kind, export.filters)

    def opener(leaves: Sequence[tuple[int, Leaf]]) -> Iterable[Opened]:
        return open_values(leaves, export_id=export.id, actor=export.asked_by, at=clock())

    asked_at = timestamp(export.asked_at)
    run: dict[str, Json] = {
        "approved_at": timestamp(export.approved_at) if export.approved_at is not None else None,
        "approved_by": export.approved_by or None,
        "asked_at": asked_at,
        "asked_by": export.asked_by,
        "export": str(export.id),
        "made_at": timestamp(clock()),
        "reason": export.reason,
        "time_source": "the system clock of the hub's machines, in UTC; the ledger's order does not depend on it",
    }
    cover = [("Export", str(export.id)), ("Asked for by", export.asked_by), ("Asked at", asked_at)]
    cover += [("Approved by", export.approved_by)] if export.approved_by else []
    return Order(query, run, [*cover, ("Reason", export.reason)], opener if export.opens_values else None)


@dataclass(frozen=True, slots=True)
class Handed:
    """A finished file to hand out."""

    path: Path
    name: str
    byte_count: int


def download(export_id: UUID, *, actor: str, at: datetime) -> Handed:
    """The file of a finished export; that it is handed out is in the ledger first. Refuses CannotMove for any other."""
    with transaction.atomic():
        export = Export.objects.filter(id=export_id, state=ExportState.DONE.value).first()
        path = home(export_id) / "bundle.zip"
        if export is None or not path.is_file():
            raise CannotMove("There is no finished file of this export.")
        facts: dict[str, Json] = {"sha256": export.sha256}
        record("export.downloaded", actor=actor, at=at, subjects=[f"export:{export_id}"], facts=facts)
    return Handed(path, f"ledger-export-{export_id}.zip", path.stat().st_size)


def end_exports(*, at: datetime) -> int:
    """Erase the files of exports whose time is over, and those of failed ones; returns how many ended."""
    rows = Export.objects.filter(state=ExportState.DONE.value, expires_at__lte=at)
    over = list(rows.values_list("id", flat=True)[:100])
    for export_id in over:
        with transaction.atomic():
            ended = Export.objects.filter(id=export_id, state=ExportState.DONE.value)
            if not ended.update(state=ExportState.EXPIRED.value):
                continue
            record("export.ended", actor="system:purge", at=at, subjects=[f"export:{export_id}"])
        shutil.rmtree(home(export_id), ignore_errors=True)
    _sweep_up()
    return len(over)


def fail_restored(*, actor: str, at: datetime) -> list[UUID]:
    """Give up what a backup that was put back has to make with values opened; returns the exports that it was.

    Two people agreed to one, which may have been made, handed out and erased since. Others do no harm made twice.
    """
    with transaction.atomic():
        rows = Export.objects.select_for_update().filter(state=ExportState.PENDING.value, opens_values=True)
        given_up = list(rows.order_by("asked_at", "id").values_list("id", flat=True))
        Export.objects.filter(id__in=given_up).update(
            state=ExportState.FAILED.value, failure=_RESTORED, lease_token=None, lease_until=None
        )
        for export_id in given_up:
            record("export.failed", actor=actor, at=at, subjects=[f"export:{export_id}"])
    return given_up


def _sweep_up() -> None:
    """Erase folders that no live export owns: what a crash left between the row and its files."""
    folder = Path(settings.EXPORTS_DIR)
    there = [path for path in folder.iterdir() if path.is_dir()] if folder.is_dir() else []
    live = [ExportState.PENDING.value, ExportState.DONE.value]
    owned = {str(key) for key in Export.objects.filter(state__in=live).values_list("id", flat=True)}
    for path in there:
        if path.name not in owned and _is_uuid(path.name):
            shutil.rmtree(path, ignore_errors=True)


def _is_uuid(name: str) -> bool:
    try:
        return str(UUID(name)) == name
    except ValueError:
        return False


def _claim() -> tuple[Export, UUID] | None:
    """Lease the oldest export that is due, unless another is being made: one fills a disk and a processor by itself."""
    token = uuid.uuid4()
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(_CLAIM, {"token": token, "lease": settings.LEASE_SECONDS})
        row = cursor.fetchone()
    return (Export.objects.get(id=row[0]), token) if row else None


def _beat(export_id: UUID, token: UUID, watch: Beat = _nobody) -> Beat:
    """Note how far it is and renew the lease, about once a second; raises Overtaken where the lease is another's."""
    noted = (0.0, "")

    def beat(step: str, done: int, total: int) -> None:
        nonlocal noted
        now = time.monotonic()
        if now - noted[0] < _BEAT_SECONDS and step == noted[1]:
            return
        noted = (now, step)
        rows = Export.objects.filter(id=export_id, lease_token=token, state=ExportState.PENDING.value)
        until = Now() + timedelta(seconds=settings.LEASE_SECONDS)
        if not rows.update(step=step, step_done=done, step_total=total, lease_until=until):
            raise Overtaken
        watch(step, done, total)

    return beat


def _put_off(export: Export, token: UUID, *, seconds: int, held_against: int) -> None:
    Export.objects.filter(id=export.id, lease_token=token).update(
        lease_token=None,
        lease_until=None,
        next_attempt_at=Now() + timedelta(seconds=seconds),
        attempts=F("attempts") - (1 - held_against),
    )


def _finish(export: Export, token: UUID, made: Made, *, at: datetime) -> None:
    facts: dict[str, Json] = {
        "bytes": made.bytes,
        "checkpoint": made.size,
        "counts": dict(made.counts),
        "manifest_sha256": made.manifest_sha256,
        "sha256": made.sha256,
    }
    with transaction.atomic():
        rows = Export.objects.filter(id=export.id, lease_token=token, state=ExportState.PENDING.value)
        is_ours = rows.update(
            state=ExportState.DONE.value,
            lease_token=None,
            lease_until=None,
            made_at=at,
            expires_at=at + timedelta(days=settings.EXPORT_DAYS),
            checkpoint_size=made.size,
            byte_count=made.bytes,
            sha256=made.sha256,
            **{name: made.counts[name] for name in ("entries", "matching", "opened")},
        )
        if is_ours:
            record("export.made", actor="system:exporter", at=at, subjects=[f"export:{export.id}"], facts=facts)


def _fail(export: Export, token: UUID, why: str, *, at: datetime) -> None:
    with transaction.atomic():
        rows = Export.objects.filter(id=export.id, lease_token=token, state=ExportState.PENDING.value)
        if not rows.update(
            state=ExportState.FAILED.value, failure=why[:_FAILURE_CHARACTERS], lease_token=None, lease_until=None
        ):
            return  # the lease was lost: the folder is its new owner's
        record("export.failed", actor="system:exporter", at=at, subjects=[f"export:{export.id}"])
    shutil.rmtree(home(export.id), ignore_errors=True)


_CLAIM = """
UPDATE signals_export
   SET lease_token = %(token)s, attempts = attempts + 1,
       lease_until = clock_timestamp() + make_interval(secs => %(lease)s)
 WHERE id = (
    SELECT id FROM signals_export
     WHERE state = 'pending' AND next_attempt_at <= clock_timestamp()
       AND NOT EXISTS (SELECT 1 FROM signals_export WHERE state = 'pending' AND lease_until > clock_timestamp())
     ORDER BY next_attempt_at LIMIT 1 FOR UPDATE SKIP LOCKED)
RETURNING id
"""
