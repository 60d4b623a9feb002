"""Why an endpoint gets no POSTs, what it is sent and how signed, in closed words."""

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


class Payload(StrEnum):
    """What a batch holds of each signal."""

    FULL = "full"  # everything, with the author's JWS
    THIN = "thin"  # id, revision, state and time only, for those who then pull


class Letter(StrEnum):
    """What kind of POST it was; kept with the attempt."""

    BATCH = "batch"
    CHALLENGE = "challenge"
    TEST = "test"
    FAREWELL = "farewell"


SIGNATURES: Final = ("v1", "v1a")
"""Standard Webhooks 1.0: HMAC-SHA256 by the endpoint's secret, always; Ed25519 by the hub's key, when asked for."""
