"""How one copy of a recalled signal stands: told, cleared, vouched for by a receipt, waited for, or overdue."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum


class Standing(StrEnum):
    """What the hub knows of one channel's copy. The first two are acknowledged: the hub has the partner's word."""

    TOLD = "told"  # it took the tombstone
    CLEARED = "cleared"  # it walked anew after the removal, or was told to erase all: its copy lists no such signal
    RECEIPT = "receipt"  # its partner signed that it is deleted, though the channel has not come so far
    WAITING = "waiting"
    OVERDUE = "overdue"


ACKNOWLEDGED = frozenset({Standing.TOLD, Standing.CLEARED})


@dataclass(frozen=True, slots=True)
class Reach:
    """How far one channel has acknowledged: everything up to `position` of a walk with this floor, last at `at`.

    `has_erased`: its partner left, and took the word to erase everything.
    """

    position: int
    floor: int
    at: datetime | None
    has_erased: bool = False


def standing(
    reach: Reach | None,
    *,
    recalled_to: int,
    recalled_at: datetime,
    has_receipt: bool,
    overdue_after: timedelta,
    at: datetime,
) -> Standing:
    """How a channel stands towards a signal whose removal lies at position `recalled_to` (0050, rule 11).

    Acknowledged is a place at or after both the tombstone and the floor of the channel's walk: below its floor a walk
    serves no tombstones, and only its end says what is gone.
    """
    if reach is not None and reach.has_erased:
        return Standing.CLEARED
    if reach is not None and reach.position >= max(recalled_to, reach.floor):
        return Standing.TOLD if recalled_to > reach.floor else Standing.CLEARED
    if has_receipt:
        return Standing.RECEIPT
    return Standing.OVERDUE if at - recalled_at > overdue_after else Standing.WAITING
