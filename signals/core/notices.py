"""What the hub tells one partner in its own feed of notices, in closed words."""

from __future__ import annotations

from enum import StrEnum
from typing import Final


class NoticeKind(StrEnum):
    """What a notice is about; stored as text with a check constraint. Readers ignore kinds that they do not know."""

    RECALL = "recall"  # signals that the partner had, or may have had, are removed, or less may be done with them
    VERDICT_LATE = "verdict.late"  # what became of one's own statement or signal after its submission was answered
    SIGNAL_WEIGHED = "signal.weighed"  # what others hold of one's own signals, and did about them: counts, never who
    DEPARTURE_BEGAN = "departure.began"  # one's membership ended: what was received is to be erased, and signed for
    APPEAL_DECIDED = "appeal.decided"  # about a signal that the partner had: to be put right where it was upheld
    APPEAL_ANSWERED = "appeal.answered"  # the partner's own
    QUALITY_DECIDED = (
        "quality.decided"  # what was decided about the partner, whose signals proved bad or came in a flood
    )
    SIGNAL_DISPUTED = "signal.disputed"  # an analyst restricted one's own signal, or lifted that
    KEY_PROPOSED = "key.proposed"
    KEY_ACTIVATED = "key.activated"
    KEY_RETIRED = "key.retired"
    KEY_REVOKED = "key.revoked"
    ENDPOINT_DISABLED = "endpoint.disabled"
    ENDPOINT_PAUSED = "endpoint.paused"  # by the operator
    ENDPOINT_RESUMED = "endpoint.resumed"
    ENDPOINT_FAILING = "endpoint.failing"
    ENDPOINT_RECOVERED = "endpoint.recovered"
    ENDPOINT_VERIFIED = "endpoint.verified"
    ENDPOINT_SECRET_ROTATED = "endpoint.secret-rotated"  # noqa: S105  the word for it, not one
    FEED_RESET = "feed.reset"  # a channel begins a new walk


RECALLED: Final = ("withdrawn", "expired", "quarantined", "restricted")
"""The kinds of change that are recalled; each is also the state that the recall tells."""
