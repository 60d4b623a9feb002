"""When a partner leaves a programme: what becomes of what it said, and by when it signs that it has erased the rest."""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

RECEIPT_DUE: Final = timedelta(days=30)
"""Within what time a leaver signs that it has erased everything."""


class Fate(StrEnum):
    """What becomes of a leaver's published signals; what nobody has seen is withdrawn either way."""

    KEEP = "keep"
    WITHDRAW = "withdraw"


class Erasure(StrEnum):
    """How the hub knows that a leaver has erased what it held; stored with a check constraint."""

    OWED = ""
    SIGNED = "signed"  # by a key that was the leaver's when it left
    ON_PAPER = "on-paper"  # a member of staff was shown something else
    GIVEN_UP = "given-up"  # there is nobody left who could say


class Standing(StrEnum):
    """How the leaver's word stands at a moment."""

    DUE = "due"
    OVERDUE = "overdue"
    SIGNED = "signed"
    ON_PAPER = "on-paper"
    GIVEN_UP = "given-up"


def standing(erasure: Erasure, *, is_believed: bool, due_at: datetime, at: datetime) -> Standing:
    """As what is known of it, the key that signed included, and the clock say."""
    if erasure is not Erasure.OWED and (is_believed or erasure is not Erasure.SIGNED):
        return Standing(erasure.value)
    return Standing.OVERDUE if at > due_at else Standing.DUE


def is_key_of_leaver(
    *, state: str, activated_at: datetime | None, retired_at: datetime | None, left_at: datetime
) -> bool:
    """Whether a leaver may sign its last word with this key: it was active when its partner left, or is now.

    The keys of who leaves the hub are retired by leaving; that retirement does not count here, an earlier one does. A
    revoked key never does.
    """
    if state == "active":
        return True
    is_of_then = activated_at is not None and activated_at <= left_at
    return state == "retired" and is_of_then and retired_at is not None and retired_at >= left_at
