"""The states a partner, a membership and a signing key can be in."""

from __future__ import annotations

from enum import StrEnum


class PartnerState(StrEnum):
    """Whether a company may use the hub at all."""

    ACTIVE = "active"
    SUSPENDED = "suspended"  # may come back; its keys and API keys stay, and none of them works
    LEFT = "left"  # never comes back under this row


class MembershipState(StrEnum):
    """Whether a partner takes part in one programme."""

    ACTIVE = "active"
    SUSPENDED = "suspended"  # nothing goes in or out; what it holds already it may keep
    ENDED = "ended"  # it must erase what it holds; a new beginning raises the generation


class KeyState(StrEnum):
    """Where a signing key is in its life; a key never goes back."""

    PROPOSED = "proposed"  # known, and good for nothing yet
    ACTIVE = "active"
    RETIRED = "retired"  # what it signed before stays good
    REVOKED = "revoked"  # somebody else may have held it, since `compromised_at` (None: since ever)
