"""Why an endpoint gets no POSTs, in closed words, and which of them its partner may lift by itself."""

from __future__ import annotations

from enum import StrEnum
from typing import Final


class Stop(StrEnum):
    """What partners read as `state_reason`: who stopped it or what did, never a person."""

    PAUSED_BY_PARTNER = "paused-by-partner"
    PAUSED_BY_OPERATOR = "paused-by-operator"
    DISABLED_BY_OPERATOR = "disabled-by-operator"
    GONE = "gone"  # the receiver answered 410
    MEMBERSHIP_ENDED = "membership-ended"
    HUB_RESTORED = "hub-restored"  # it was changed after the backup that was put back: look at it, then resume
    REMOVED = "removed"


STATE_OF: Final = {
    Stop.PAUSED_BY_PARTNER: "paused",
    Stop.PAUSED_BY_OPERATOR: "paused",
    Stop.DISABLED_BY_OPERATOR: "disabled",
    Stop.GONE: "disabled",
    Stop.MEMBERSHIP_ENDED: "disabled",
    Stop.HUB_RESTORED: "paused",
    Stop.REMOVED: "deleted",
}
HELD: Final = frozenset({Stop.PAUSED_BY_OPERATOR.value, Stop.DISABLED_BY_OPERATOR.value})
"""What only the operator lifts; the rest the partner did itself, or can mend."""
