"""Who received a signal, which revision and when: from disclosures, never from cursors; and the breach report of it."""

from __future__ import annotations

import csv
import io
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import NamedTuple
from uuid import UUID

from partners import public
from signals.compliance.holders import handings
from signals.compliance.lost import lost_times, possible_holders
from signals.models import Signal, Statement

MOST = 1_000  # signals in one file
_FORMULA = ("=", "+", "-", "@", "\t", "\r")  # what a spreadsheet would reckon with (OWASP, CSV injection)


@dataclass(frozen=True, slots=True)
class Recipient:
    """One channel of a partner that was handed one revision of a signal with its value."""

    signal_id: UUID
    programme: str
    partner: str
    channel: str
    revision: int | None
    at: datetime | None  # when first in the time asked for; None: possibly, in a time that a restore lost

    @property
    def is_possible(self) -> bool:
        """Whether no disclosure says so, and none could: those of that time were lost with a restore."""
        return self.at is None


@dataclass(frozen=True, slots=True)
class Line:
    """What one channel of a partner received of all signals in a report."""

    partner: str
    channel: str
    signals: int
    possibly: int  # signals that it may have received besides
    first_at: datetime | None
    last_at: datetime | None


@dataclass(frozen=True, slots=True)
class Report:
    """All recipients of some signals since a moment."""

    signal_ids: tuple[UUID, ...]
    since: datetime | None
    lines: tuple[Line, ...]
    recipients: tuple[Recipient, ...]


def recipients(signal_ids: Collection[UUID], *, since: datetime | None = None) -> list[Recipient]:
    """Every channel that was handed one of these signals at or after `since`, or may have been; by a few queries.

    Exact while no backup was put back: computed again from changes, walks and disclosures (0050, rule 11). A partner is
    no recipient of what it said itself.
    """
    programmes, partners = public.programme_slugs(), public.partner_slugs()
    found = [
        Recipient(
            *(each.signal_id, programmes[each.programme_id], partners[each.partner_id], each.channel),
            *(each.revision, each.at),
        )
        for each in handings(signal_ids, since=since)
    ]
    known = {(each.signal_id, each.partner, each.channel) for each in found}
    if any(since is None or time.until >= since for time in lost_times()):
        for maybe in possible_holders(signal_ids):
            key = (maybe.signal_id, partners[maybe.partner_id], maybe.channel)
            if key not in known:
                found.append(Recipient(key[0], programmes[maybe.programme_id], key[1], key[2], None, None))
    return found


def report(signal_ids: Collection[UUID], *, since: datetime | None = None) -> Report:
    """The breach report of some signals, MOST by custom: its recipients, and a line for each of their channels."""
    ids = tuple(sorted(set(signal_ids)))
    found = recipients(ids, since=since)
    channels: dict[tuple[str, str], list[Recipient]] = {}
    for each in found:
        channels.setdefault((each.partner, each.channel), []).append(each)
    lines = [_line(partner, channel, channels[partner, channel]) for partner, channel in sorted(channels)]
    return Report(ids, since, tuple(lines), tuple(found))


class Newest(NamedTuple):
    """Some signals of a partner, the newest first, and before which arrival there are more: None for none."""

    ids: list[UUID]
    more_before: int | None


def signals_of(partner_id: int, *, kid: str = "", before: int | None = None, most: int = MOST) -> Newest:
    """What a partner said and what ever came out, of that what arrived before; with `kid`, what this key signed."""
    rows = Signal.objects.filter(issuer_id=partner_id, published_at__isnull=False)
    if kid:
        key = public.signing_keys([kid]).get(kid)
        said = Statement.objects.filter(key_id=key.id if key else -1, partner_id=partner_id, signal_id__isnull=False)
        rows = rows.filter(id__in=said.values("signal_id"))
    if before is not None:
        rows = rows.filter(arrival__lt=before)
    found = list(rows.order_by("-arrival").values_list("id", "arrival")[: most + 1])
    return Newest([each[0] for each in found[:most]], found[most - 1][1] if len(found) > most else None)


def unknown(signal_ids: Collection[UUID]) -> list[UUID]:
    """Those of these ids that no signal has."""
    known = set(Signal.objects.filter(id__in=signal_ids).values_list("id", flat=True))
    return [each for each in signal_ids if each not in known]


def as_csv(found: Report) -> str:
    """The report, a recipient a line; no cell is a formula to a spreadsheet."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow(["partner", "channel", "programme", "signal", "revision", "first_handed_at", "certainty"])
    for each in found.recipients:
        certainty = "possible: the record was lost with a restore" if each.is_possible else "disclosed"
        cells = [each.partner, each.channel, each.programme, each.signal_id, each.revision, _time(each.at), certainty]
        writer.writerow(escaped(cells))
    return text.getvalue()


def escaped(cells: Iterable[object]) -> list[str]:
    """Cells as text, an apostrophe before what a spreadsheet would take for a formula."""
    texts = ["" if cell is None else str(cell) for cell in cells]
    return [f"'{text}" if text.startswith(_FORMULA) else text for text in texts]


def _line(partner: str, channel: str, found: list[Recipient]) -> Line:
    certain = [each for each in found if each.at is not None]
    times = [each.at for each in certain if each.at is not None]
    return Line(
        partner,
        channel,
        signals=len({each.signal_id for each in certain}),
        possibly=len({each.signal_id for each in found if each.is_possible}),
        first_at=min(times, default=None),
        last_at=max(times, default=None),
    )


def _time(at: datetime | None) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ") if at is not None else ""
