"""What a person may be asked to decide, how, within what time, and for which reasons: the closed lists of casework."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import timedelta
from enum import StrEnum
from typing import Final


class CaseKind(StrEnum):
    """Why a person is asked."""

    HOLD = "hold"  # a gate held a signal: may it be published?
    DISPUTE = "dispute"  # other partners, or an analyst, say that a published signal is wrong
    APPEAL = "appeal"  # somebody affected says so, through a partner
    QUALITY = "quality"  # what a partner sends has become worse, or comes in a flood


class CaseState(StrEnum):
    """Where a case stands."""

    WAITING = "waiting"
    PAUSED = "paused"  # its clock stands still, for a reason
    DECIDED = "decided"


class Outcome(StrEnum):
    """What was decided."""

    APPROVED = "approved"
    REFUSED = "refused"
    UPHELD = "upheld"  # who complained is right
    REJECTED = "rejected"  # the signal stands
    ACTED = "acted"
    DISMISSED = "dismissed"
    OVERTAKEN = "overtaken"  # nobody decided: what it was about is gone


class CaseEventKind(StrEnum):
    """What happened to a case; stored with a check constraint, append-only."""

    OPENED = "opened"
    CLAIMED = "claimed"
    RELEASED = "released"
    SKIPPED = "skipped"
    HANDED_OVER = "handed-over"
    COMMENTED = "commented"
    PAUSED = "paused"
    RESUMED = "resumed"
    DECIDED = "decided"
    UNDONE = "undone"
    REOPENED = "reopened"  # a person is asked again; the decision stands until there is another
    OVERTAKEN = "overtaken"


class PauseReason(StrEnum):
    """Why a case's clock stands still."""

    PARTNER = "waits-for-partner"
    LEGAL = "waits-for-legal-advice"
    SECOND_PERSON = "waits-for-second-person"
    EXPERT = "waits-for-expert"


PAUSES: Final[Mapping[str, str]] = {
    PauseReason.PARTNER: "a partner was asked and has not answered",
    PauseReason.LEGAL: "legal advice was asked for",
    PauseReason.SECOND_PERSON: "what was proposed waits for a second person",
    PauseReason.EXPERT: "somebody who knows the language or the service was asked",
}

DUE_WITHIN: Final[Mapping[CaseKind, timedelta]] = {
    CaseKind.HOLD: timedelta(hours=24),
    CaseKind.DISPUTE: timedelta(hours=24),
    CaseKind.APPEAL: timedelta(hours=72),
    CaseKind.QUALITY: timedelta(days=7),
}
DUE_WITHIN_AT_RISK: Final = timedelta(hours=24)
"""An appeal of somebody who is said to be at significant risk."""

LEASE: Final = timedelta(minutes=15)
"""How long a claimed case is kept for whoever claimed it; each heartbeat begins it anew."""

HANDED_OVER: Final = timedelta(hours=8)
"""How long a case that was handed over is kept for whom it was handed to."""

UNDO_WITHIN: Final = timedelta(minutes=30)

_WRONG: Final[Mapping[str, str]] = {  # why a published signal is wrong: words that a ruling takes too
    "mistaken-identity": "it belongs to somebody else than it means",
    "misread-context": "what was seen means something else",
    "lawful-content": "what was reported is lawful and within the members' rules",
    "no-violation-found": "the value does not belong to the abuse",
    "benign-value": "the value belongs to something harmless, or matches too much",
    "account-reassigned": "the account or address has changed hands",
    "account-closed": "the account is closed",
    "resolved": "what it warned of is over",
}

# By kind and outcome: what a person may give as the reason, and what it means. The one place where these codes stand.
REASONS: Final[Mapping[CaseKind, Mapping[Outcome, Mapping[str, str]]]] = {
    CaseKind.HOLD: {
        Outcome.APPROVED: {
            "sound": "it is specific, within the programme, and its evidence is as its author says",
            "benign-elsewhere": "a warning list names the value, but this use of it is abuse",
            "own-observation": "the author confirmed that it saw this itself",
        },
        Outcome.REFUSED: {
            "harmless-value": "the value belongs to something harmless, or matches too much",
            "poor-hash": "the hash would match unrelated pictures",
            "weak-evidence": "what its author says does not carry it",
            "out-of-scope": "it is not what the programme is for",
            "wrong-person": "it names somebody else than it means",
            "victim": "it may name a victim",
            "flood": "it belongs to an abnormal burst",
        },
    },
    CaseKind.DISPUTE: {
        Outcome.UPHELD: _WRONG,
        Outcome.REJECTED: {
            "confirmed-on-review": "it was checked again and stands",
            "unfounded-dispute": "nobody could say what is wrong with it",
            "corrected": "its author has corrected it",
        },
    },
    CaseKind.APPEAL: {
        Outcome.UPHELD: {
            **_WRONG,
            "compromised-account": "somebody else had used the account",
            "victim": "it names a victim",
        },
        Outcome.REJECTED: {
            "confirmed-on-review": "it was checked again by somebody else and stands",
            "insufficient": "what was said against it does not shake it",
            "other-measure": "the measure rests on something else than this signal",
        },
    },
    CaseKind.QUALITY: {
        Outcome.ACTED: {
            "partner-warned": "the partner was told and asked to mend it",
            "probation": "the partner was put on probation",
            "throttled": "how much the partner may send was lowered",
            "suspension-proposed": "suspending the partner was proposed to a second person",
        },
        Outcome.DISMISSED: {
            "explained": "there is a good reason for the change",
            "too-few": "there is too little to judge by",
            "mended": "the partner has mended it already",
        },
    },
}


class AppealReason(StrEnum):
    """What somebody affected says is wrong."""

    MISTAKEN_IDENTITY = "mistaken-identity"
    COMPROMISED_ACCOUNT = "compromised-account"
    LAWFUL_CONTENT = "lawful-content"
    MISREAD_CONTEXT = "misread-context"
    OUTDATED = "outdated"
    OTHER = "other"


class AppealEvidence(StrEnum):
    """What the partner that appeals has seen of it; the hub is shown none of it."""

    IDENTITY_CHECKED = "identity-checked"  # who the person is was established
    OWN_LOGS = "own-logs"
    OFFICIAL_DOCUMENT = "official-document"
    STATEMENT = "statement"  # the person's word


class Remedy(StrEnum):
    """What a partner did once an appeal was upheld."""

    NOTHING_HELD = "nothing-held"  # it had done nothing on the signal
    ACCESS_RESTORED = "access-restored"
    CONTENT_RESTORED = "content-restored"
    MARK_REMOVED = "mark-removed"
    KEPT_ON_OWN_GROUNDS = "kept-on-own-grounds"


REMEDY_DUE: Final = timedelta(days=7)
"""Within what time each partner is to say what it did."""

_POLICY = re.compile(r"[^\x00-\x1f\x7f]{2,80}")


def reason_codes(kind: CaseKind) -> dict[str, str]:
    """Every "<outcome>:<reason>" of a kind, with its meaning: the choices of one form."""
    return {
        f"{outcome.value}:{code}": meaning
        for outcome, codes in REASONS[kind].items()
        for code, meaning in codes.items()
    }


def is_reason(kind: CaseKind, outcome: Outcome, reason: str) -> bool:
    """Whether this outcome of this kind may rest on this reason."""
    return reason in REASONS[kind].get(outcome, {})


def is_policy_reference(text: str) -> bool:
    """Whether this names a place in a policy: 2 to 80 printable characters on one line."""
    return _POLICY.fullmatch(text) is not None and bool(text.strip())
