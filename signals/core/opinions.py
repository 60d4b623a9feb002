"""What partners may say of each other's signals, in closed words: opinions with their reasons, and outcomes."""

from __future__ import annotations

from enum import StrEnum
from typing import Final


class Opinion(StrEnum):
    """What a partner holds of a signal; stored as text with a check constraint."""

    CONFIRM_OWN = "confirm-own"  # it saw the same itself
    CONFIRM_DERIVED = "confirm-derived"  # it agrees, by what others shared: never corroborates
    FALSE_POSITIVE = "false-positive"
    OUTDATED = "outdated"
    SEEN = "seen"  # it was known there already
    NEED_MORE = "need-more"


REASONS: Final[dict[str, tuple[str, ...]]] = {
    Opinion.FALSE_POSITIVE: (
        *("benign-value", "lawful-content", "mistaken-identity", "misread-context", "hash-collision"),
        *("malformed-value", "no-violation-found"),
    ),
    Opinion.OUTDATED: ("account-closed", "account-reassigned", "content-removed", "address-changed", "resolved"),
    Opinion.NEED_MORE: ("evidence", "context", "service", "observation-time", "permitted-action"),
}
"""Why, for each opinion that must say so. The words are explained in docs/standing.md."""

DISPUTES: Final = frozenset({Opinion.FALSE_POSITIVE, Opinion.OUTDATED})
"""Both say that acting on the signal now would meet the wrong one."""


class Did(StrEnum):
    """What a partner did about a signal."""

    ACCOUNT_ACTIONED = "account-actioned"
    CONTENT_REMOVED = "content-removed"
    URL_BLOCKED = "url-blocked"
    REFERRED = "referred"
    NO_ACTION = "no-action"
    NOT_FOUND = "not-found"


ACTIONS: Final = frozenset({Did.ACCOUNT_ACTIONED, Did.CONTENT_REMOVED, Did.URL_BLOCKED, Did.REFERRED})
"""Those that touch somebody, and must say on what basis."""

SIGNAL_ALONE: Final = "signal-alone"
"""The basis of an action that rested on the signal and nothing else: what the programme's rules forbid, said openly."""

RULING_REASONS: Final = (*REASONS[Opinion.FALSE_POSITIVE], *REASONS[Opinion.OUTDATED], "legal-risk", "appeal")
"""Why an analyst disputes or refutes a signal."""

LIFTING_REASONS: Final = ("confirmed-on-review", "unfounded-dispute", "corrected")
"""Why an analyst lifts a dispute."""
