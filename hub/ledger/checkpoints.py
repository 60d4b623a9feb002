"""The checkpoints that were published: which there are, who cosigned them, and what they are checked with."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from django.conf import settings
from django.db.models import QuerySet

from hub.ledger.models import Checkpoint, Minimum
from hub.ledger.tlog.kinds import ED25519
from hub.ledger.tlog.note import NoteKey, open_note, read_signatures
from hub.vault import checkpoint_keys


@dataclass(frozen=True, slots=True)
class Signed:
    """A published checkpoint. `note` is its exact bytes with all cosignatures that have come in (C2SP signed-note).

    `cosigned` names the witnesses and when each signed, by its own clock.
    """

    note: bytes
    size: int
    root: bytes
    signed_at: datetime
    cosigned: tuple[tuple[str, datetime], ...]


def latest() -> Signed | None:
    """The newest checkpoint; None before the first."""
    return _first(_published().order_by("-id"))


def size() -> int:
    """How many leaves the newest checkpoint is over; 0 before the first."""
    found = Checkpoint.objects.filter(origin=origin()).order_by("-id").values_list("size", flat=True).first()
    return found or 0


def at_least(size: int) -> Signed | None:
    """The smallest published tree of `size` leaves or more, in its newest checkpoint; None while there is none."""
    return _first(_published().filter(size__gte=size).order_by("size", "-id"))


def at_most(size: int, *, count: int) -> list[Signed]:
    """At most `count` checkpoints of trees of at most `size` leaves, the largest first, the newest of each before."""
    return [_signed(row) for row in _published().filter(size__lte=size).order_by("-size", "-id")[:count]]


def newest(size: int, *, count: int) -> list[Signed]:
    """At most `count` checkpoints of trees of `size` leaves or more, the newest first."""
    return [_signed(row) for row in _published().filter(size__gte=size).order_by("-id")[:count]]


def origin() -> str:
    """The log's name, the first line of every checkpoint: a URL without its scheme."""
    return str(settings.LEDGER_ORIGIN)


def public_keys() -> list[NoteKey]:
    """Every key that signs or ever signed checkpoints, the newest first."""
    publics = [base64.urlsafe_b64decode(f"{x}=") for x in checkpoint_keys.every_public()]
    return [NoteKey(origin(), ED25519, public) for public in publics]


def vkeys() -> list[str]:
    """The same as vkeys (C2SP signed-note), which a verifier keeps."""
    return [key.vkey() for key in public_keys()]


def policy_text() -> str:
    """The published policy (C2SP tlog-policy): our log's keys, and the witnesses of the file that the settings name.

    Without a file: nobody's cosignature is asked for. A file with `log` lines of its own is published as it stands.
    """
    said = Path(settings.LEDGER_POLICY).read_text(encoding="utf-8") if settings.LEDGER_POLICY else "quorum none\n"
    if any(line.split()[:1] == ["log"] for line in said.splitlines()):
        return said
    return "".join(f"log {vkey}\n" for vkey in vkeys()) + said


def minimum_index() -> int:
    """The first leaf that is still kept; 0 as long as nothing was parted with."""
    newest = Minimum.objects.order_by("-index").values_list("index", flat=True).first()
    return newest or 0


def _published() -> QuerySet[Checkpoint]:
    return Checkpoint.objects.filter(origin=origin()).prefetch_related("cosignatures")


def _first(rows: QuerySet[Checkpoint]) -> Signed | None:
    row = rows.first()
    return None if row is None else _signed(row)


def _signed(row: Checkpoint) -> Signed:
    cosignatures = sorted(row.cosignatures.all(), key=lambda each: each.id)
    lines = read_signatures("".join(each.line for each in cosignatures)) if cosignatures else ()
    note = open_note(bytes(row.note)).with_signatures(lines)
    return Signed(
        note=note.encode(),
        size=row.size,
        root=bytes(row.root),
        signed_at=row.signed_at,
        cosigned=tuple((each.witness, each.cosigned_at) for each in cosignatures),
    )
