"""Other signals beside one: the same value, incident, handle or host, or a like picture; bounded, however many.

Members see none of this: it asks across audiences, which only the hub's own people may.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from django.urls import reverse
from django.utils.safestring import SafeString

from hub.vault import keyring
from signals import tied
from signals.admin import masks
from signals.admin.drawing import Spoke, star
from signals.admin.lists import short
from signals.core import ties
from signals.core.indicators import Reading
from signals.core.ties import NEAR, Tie
from signals.lifecycle.tie import as_key
from signals.models import Signal

SHOWN: Final = 8  # of each kind
_FETCHED: Final = 2 * SHOWN + 1  # of each kind but the value: as many as are shown under another, its own, and one more
_CANDIDATES: Final = 64  # hashes opened in search of like pictures, those with most bands in common


@dataclass(frozen=True, slots=True)
class Other:
    """One other signal; nothing here is a value."""

    signal: Signal
    short: str
    address: str
    issuer: str
    masked: str
    bits: int | None  # of a like picture: how many of the 256 differ


@dataclass(frozen=True, slots=True)
class Group:
    """The others that one tie leads to, the newest first."""

    tie: Tie
    others: list[Other]
    is_more: bool  # than are shown
    looked_at: int  # of a crowd: so many of it were looked at for the newest; 0 where that were all


@dataclass(frozen=True, slots=True)
class Linked:
    """Every group that has somebody in it, and the same as a drawing."""

    groups: list[Group]
    drawing: SafeString


def linked(
    signal: Signal, *, programme: str, partners: Mapping[int, str], reading: Reading | None, incident: str | None
) -> Linked:
    """What this signal is tied to; a fixed number of queries. Without a reading (erased) only the same value counts."""
    by_tie, crowds = _by_equality(signal, programme, reading, incident)
    bits: dict[UUID, int] = {}
    if reading is not None and reading.type == "pdq":
        bits = _like_pictures(signal, programme, reading)
        by_tie[Tie.PICTURE] = sorted(bits, key=bits.__getitem__)[:_FETCHED]
    named = [identity for ids in by_tie.values() for identity in ids]
    rows = Signal.objects.in_bulk([*named])
    same = list(_same_value(signal))
    by_tie = {Tie.VALUE: [row.pk for row in same], **by_tie}
    rows |= {row.pk: row for row in same}
    shown: dict[Tie, list[Signal]] = {}
    is_more, seen = {}, {signal.pk}
    for tie, ids in by_tie.items():
        found = [rows[identity] for identity in dict.fromkeys(ids) if identity in rows and identity not in seen]
        if tie is not Tie.PICTURE:
            found.sort(key=lambda row: row.arrival, reverse=True)
        if found:
            shown[tie], is_more[tie] = found[:SHOWN], len(found) > SHOWN
            seen |= {row.pk for row in shown[tie]}
    masked = masks.masked([row for group in shown.values() for row in group])
    groups = [
        Group(
            tie,
            [_other(row, partners, masked[row.pk], bits.get(row.pk)) for row in group],
            is_more[tie],
            tied.CROWD if tie in crowds else 0,
        )
        for tie, group in shown.items()
    ]
    spokes = [
        Spoke(group.tie.value, [(other.signal.state, _said(other)) for other in group.others], group.is_more)
        for group in groups
    ]
    return Linked(groups, star(short(signal.pk), signal.state, spokes))


def _same_value(signal: Signal) -> Iterable[Signal]:
    if signal.value_index is None:
        return ()
    rows = Signal.objects.filter(value_index=signal.value_index).exclude(pk=signal.pk)
    return rows.order_by("-arrival")[: SHOWN + 1]


def _by_equality(
    signal: Signal, programme: str, reading: Reading | None, incident: str | None
) -> tuple[dict[Tie, list[UUID]], set[Tie]]:
    """Whom each tie leads to, and which ties have more signals than are looked at."""
    if reading is None:
        return {}, set()
    wanted = ties.exact(reading, issuer_id=signal.issuer_id, incident=incident)
    keys = {key: tie for tie, said in wanted.items() for key in _keys(programme, [said])}
    found: dict[Tie, list[UUID]] = {tie: [] for tie in wanted}
    crowds = set()
    if keys:
        besides = bytes(signal.value_index or b"")
        for key, identity, is_crowd in tied.sharing(keys, besides=besides, limit=_FETCHED):
            found[keys[key]].append(identity)
            crowds |= {keys[key]} if is_crowd else set()
    return found, crowds


def _like_pictures(signal: Signal, programme: str, reading: Reading) -> dict[UUID, int]:
    """Signals whose hash is at most NEAR bits from this one but not the same, each with how many bits differ."""
    near = _keys(programme, ties.near(reading.value))
    ids = tied.with_most_in_common(near, limit=_CANDIDATES)
    rows = Signal.objects.filter(pk__in=ids).exclude(pk=signal.pk).values_list("id", "statement_id")
    read = masks.readings(dict(rows))
    bits = {identity: ties.distance(reading.value, other.value) for identity, other in read.items()}
    return {identity: count for identity, count in bits.items() if 0 < count <= NEAR}


def _keys(programme: str, said: Iterable[bytes]) -> list[int]:
    scope = f"programme:{programme}"
    return [as_key(index.digest) for each in said for index in keyring.blind_indexes(scope, each)]


def _other(row: Signal, partners: Mapping[int, str], masked: str, bits: int | None) -> Other:
    address = reverse("admin:signals_signal_change", args=[row.pk])
    return Other(row, short(row.pk), address, partners.get(row.issuer_id, "?"), masked, bits)


def _said(other: Other) -> str:
    return f"{other.short}, {other.issuer}, {other.signal.state}"
