"""The recall board: who had a removed signal, who has acknowledged that it is gone, and who is overdue."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

from django.conf import settings
from django.db import connection

from partners import public
from signals.compliance.holders import RECALL, STANDS_ANEW, holders, holders_of
from signals.compliance.lost import possible_holders
from signals.core.notices import RECALLED
from signals.core.recall import ACKNOWLEDGED, Reach, Standing, standing
from signals.models import Distrust, Receipt

_EVER = datetime.min.replace(tzinfo=UTC)  # since when a key is distrusted of which that is unknown
MOST_OVERDUE = 10_000  # pairs of signal and channel that `overdue` counts


@dataclass(frozen=True, slots=True)
class Copy:
    """One channel of a partner that had a recalled signal, and how it stands."""

    partner_id: int
    channel: str
    first_at: datetime | None  # when it was first handed the value; None: it may have been, in a time that was lost
    standing: Standing
    heard_at: datetime | None  # when the channel last acknowledged anything

    @property
    def is_possible(self) -> bool:
        """Whether no disclosure says that it had the signal, and none could, for they were lost with a restore."""
        return self.first_at is None


@dataclass(frozen=True, slots=True)
class Recall:
    """A removed or restricted signal with every copy that is known or possible."""

    signal_id: UUID
    kind: str  # "withdrawn" | "expired" | "quarantined" | "restricted"
    at: datetime
    copies: tuple[Copy, ...]
    receipts: tuple[Receipt, ...]

    @property
    def had(self) -> int:
        """Copies that a disclosure shows."""
        return sum(not copy.is_possible for copy in self.copies)

    @property
    def possibly_had(self) -> int:
        """Copies that may have been made in a time that was lost."""
        return sum(copy.is_possible for copy in self.copies)

    @property
    def acknowledged(self) -> int:
        """Copies of which the channel itself says that it is gone."""
        return sum(copy.standing in ACKNOWLEDGED for copy in self.copies)

    @property
    def tally(self) -> Mapping[Standing, int]:
        """How many copies stand how; every standing is named."""
        counted = Counter(copy.standing for copy in self.copies)
        return {each: counted[each] for each in Standing}

    @property
    def last_acknowledged_at(self) -> datetime | None:
        """When the latest of the acknowledging channels was last heard of."""
        heard = [copy.heard_at for copy in self.copies if copy.standing in ACKNOWLEDGED and copy.heard_at is not None]
        return max(heard, default=None)


def who_had(signal_id: UUID, *, at: datetime) -> Recall | None:
    """Every copy of one removed or restricted signal; None if it never came out or stands as it was."""
    return recalls([signal_id], at=at).get(signal_id)


def recalls(signal_ids: Collection[UUID], *, at: datetime) -> dict[UUID, Recall]:
    """The recalls among these signals, by signal, in a fixed number of queries."""
    removed = _recalled(signal_ids)
    copies: dict[UUID, dict[tuple[int, str], datetime | None]] = {identity: {} for identity in removed}
    for held in holders(list(removed)):
        copies[held.signal_id][held.partner_id, held.channel] = held.first_at
    for may_hold in possible_holders(list(removed)):
        copies[may_hold.signal_id].setdefault((may_hold.partner_id, may_hold.channel), None)
    reaches = _reaches({recall.programme_id for recall in removed.values()})
    receipts = _receipts(list(removed))
    erased = _erased({recall.programme_id for recall in removed.values()})
    return {
        identity: _board(identity, recall, copies[identity], reaches, receipts.get(identity, []), erased, at=at)
        for identity, recall in removed.items()
    }


@dataclass(frozen=True, slots=True)
class Overdue:
    """One channel that had a recalled signal and has not acknowledged it in time."""

    signal_id: UUID
    programme_id: int
    partner_id: int
    channel: str


class Late(NamedTuple):
    """Overdue acknowledgements, and whether there can be no older ones."""

    copies: list[Overdue]
    is_all: bool


def overdue(*, at: datetime) -> list[Overdue]:
    """Every overdue acknowledgement of recalls that still have their tombstone, of MOST_OVERDUE that may be."""
    return overdue_among(MOST_OVERDUE, at=at).copies


def overdue_among(most: int, *, at: datetime) -> Late:
    """The same of the latest `most` recalls that some channel has not acknowledged: not each of those had the signal.

    Channels that are up to date cost nothing: only removals after what a channel has acknowledged are looked at. Each
    that is found costs up to a millisecond, for it is computed again whether the channel had the signal.
    """
    oldest = at - timedelta(days=settings.TOMBSTONE_DAYS)
    until = at - overdue_after()
    parameters: dict[str, Any] = {"recalled": list(RECALLED), "anew": list(STANDS_ANEW), "most": most}
    with connection.cursor() as cursor:
        cursor.execute(_BEHIND, parameters | {"oldest": oldest, "until": until})
        behind = [(row[0], row[1], row[2]) for row in cursor.fetchall()]
    had = [Overdue(each.signal_id, each.programme_id, each.partner_id, each.channel) for each in holders_of(behind)]
    return Late(had, is_all=len(behind) < most)


def overdue_by_programme(*, at: datetime) -> dict[str, int]:
    """How many acknowledgements are overdue, by the slug of every programme."""
    late = Counter(each.programme_id for each in overdue(at=at))
    return {slug: late[programme_id] for programme_id, slug in public.programme_slugs().items()}


def overdue_after() -> timedelta:
    """How long a channel may take."""
    return timedelta(hours=settings.RECALL_OVERDUE_HOURS)


@dataclass(frozen=True, slots=True)
class _Recalled:
    """The removal that stands."""

    programme_id: int
    position: int
    at: datetime
    kind: str


def _board(
    signal_id: UUID,
    recall: _Recalled,
    copies: Mapping[tuple[int, str], datetime | None],
    reaches: Mapping[tuple[int, int, str], Reach],
    receipts: Iterable[Receipt],
    erased: Collection[tuple[int, int]],
    *,
    at: datetime,
) -> Recall:
    receipts = tuple(receipts)
    vouched = {receipt.partner_id for receipt in receipts}
    vouched |= {partner_id for partner_id, programme_id in erased if programme_id == recall.programme_id}
    board = []
    for (partner_id, channel), first_at in copies.items():
        reach = reaches.get((partner_id, recall.programme_id, channel))
        stands = standing(
            reach,
            recalled_to=recall.position,
            recalled_at=recall.at,
            has_receipt=partner_id in vouched,
            overdue_after=overdue_after(),
            at=at,
        )
        board.append(Copy(partner_id, channel, first_at, stands, reach.at if reach else None))
    return Recall(signal_id, recall.kind, recall.at, tuple(board), receipts)


def _recalled(signal_ids: Collection[UUID]) -> dict[UUID, _Recalled]:
    parameters: dict[str, Any] = {"recalled": list(RECALLED), "anew": list(STANDS_ANEW)}
    with connection.cursor() as cursor:
        cursor.execute(_RECALLED, parameters | {"signals": list(signal_ids)})
        return {row[0]: _Recalled(*row[1:]) for row in cursor.fetchall()}


def _reaches(programme_ids: Collection[int]) -> dict[tuple[int, int, str], Reach]:
    """How far every channel of these programmes has acknowledged: endpoints by their 2xx, pullers by their word."""
    with connection.cursor() as cursor:
        cursor.execute(_REACHES, {"programmes": list(programme_ids)})
        return {tuple(row[:3]): Reach(*row[3:]) for row in cursor.fetchall()}


def _receipts(signal_ids: Collection[UUID]) -> dict[UUID, list[Receipt]]:
    found: dict[UUID, list[Receipt]] = {}
    fallen = {row.key_id: row.since or _EVER for row in Distrust.objects.all()}
    for receipt in Receipt.objects.filter(signal_id__in=list(signal_ids)).order_by("received_at"):
        if receipt.key_id in fallen and receipt.received_at >= fallen[receipt.key_id]:
            continue
        found.setdefault(receipt.signal_id, []).append(receipt)
    return found


def _erased(programme_ids: Collection[int]) -> set[tuple[int, int]]:
    """Who left which of these programmes, has not come back, and has said that everything is erased."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT partner_id, programme_id FROM signals_departure AS departure"  # noqa: S608  constants
            f" WHERE programme_id = ANY (%(programmes)s) AND {_HAS_ERASED}",
            {"programmes": list(programme_ids)},
        )
        return set(cursor.fetchall())


# Of a row of signals_departure: its partner's word is there and believed, and no walk of a later stay began a new copy.
_HAS_ERASED = """departure.erasure IN ('signed', 'on-paper')
    AND NOT EXISTS (SELECT 1 FROM signals_distrust AS fallen
                     WHERE departure.erasure = 'signed' AND fallen.key_id = departure.key_id
                       AND (fallen.since IS NULL OR departure.erased_at >= fallen.since))
    AND NOT EXISTS (SELECT 1 FROM signals_walk AS anew
                     WHERE anew.partner_id = departure.partner_id AND anew.programme_id = departure.programme_id
                       AND anew.generation > departure.generation)"""

_RECALLED = f"WITH {RECALL} SELECT signal_id, programme_id, position, at, kind FROM recall"  # noqa: S608  a constant

# An endpoint that left has said goodbye: its 2xx to "erase all" is the last there will be.
_CHANNELS = """
    SELECT endpoint.partner_id, endpoint.programme_id, 'endpoint:' || endpoint.id AS channel,
           endpoint.position, coalesce(walk.floor, 0) AS floor, endpoint.last_success_at AS at,
           endpoint.state_reason = 'membership-ended' AND endpoint.walk_id IS NULL AS has_erased
      FROM signals_endpoint AS endpoint LEFT JOIN signals_walk AS walk ON walk.id = endpoint.walk_id
    UNION ALL
    SELECT said.partner_id, said.programme_id, said.channel, said.position, walk.floor, said.at, false
      FROM signals_acknowledgement AS said JOIN signals_walk AS walk ON walk.id = said.walk_id"""

_REACHES = f"SELECT * FROM ({_CHANNELS}) AS channel WHERE programme_id = ANY (%(programmes)s)"  # noqa: S608  a constant

# Every channel there ever was, with all removals after what it has acknowledged; none below its walk's floor counts.
# Positions rise with time, so that each channel is read backwards by the index, and no further than is asked for.
_BEHIND = f"""
WITH reach AS (SELECT * FROM ({_CHANNELS}) AS channel),
known AS (SELECT DISTINCT partner_id, programme_id, channel FROM signals_walk WHERE programme_id IS NOT NULL)
SELECT behind.signal_id, known.partner_id, known.channel
  FROM known LEFT JOIN reach USING (partner_id, programme_id, channel),
LATERAL (
SELECT change.signal_id, change.at
  FROM signals_change AS change
 WHERE change.programme_id = known.programme_id AND change.kind = ANY (%(recalled)s)
   AND change.position > CASE WHEN reach.position >= reach.floor THEN reach.position ELSE -1 END
   AND change.at >= %(oldest)s AND change.at < %(until)s
   AND NOT EXISTS (SELECT 1 FROM signals_change AS later WHERE later.signal_id = change.signal_id
                      AND later.position > change.position AND later.kind = ANY (%(anew)s))
   AND NOT EXISTS (SELECT 1 FROM signals_receipt AS receipt
                    WHERE receipt.signal_id = change.signal_id AND receipt.partner_id = known.partner_id
                      AND NOT EXISTS (SELECT 1 FROM signals_distrust AS fallen
                                       WHERE fallen.key_id = receipt.key_id
                                         AND (fallen.since IS NULL OR receipt.received_at >= fallen.since)))
 ORDER BY change.position DESC LIMIT %(most)s) AS behind
 WHERE NOT coalesce(reach.has_erased, false)
   AND NOT EXISTS (SELECT 1 FROM signals_departure AS departure
                    WHERE departure.partner_id = known.partner_id AND departure.programme_id = known.programme_id
                      AND {_HAS_ERASED})
 ORDER BY behind.at DESC LIMIT %(most)s
"""  # noqa: S608  constants
