"""Why a verb of casework says no: each a sentence that tells the person at the desk what to do now."""

from __future__ import annotations

from hub.refusal import Refusal


class NoSuchCase(Refusal):
    """There is no such case."""

    code = "no-such-case"


class CaseTaken(Refusal):
    """Somebody else is at it."""

    code = "case-taken"


class CaseDecided(Refusal):
    """It has been decided already, or what it was about is gone."""

    code = "case-decided"


class CasePaused(Refusal):
    """Its clock stands still; it must be resumed first."""

    code = "case-paused"


class LeaseLost(Refusal):
    """The claim has run out, or was never made: claim the case again."""

    code = "lease-lost"


class StalePage(Refusal):
    """The case has changed since the page was drawn."""

    code = "page-stale"


class InvalidDecision(Refusal):
    """The outcome, its reason or the policy does not belong to this kind of case."""

    code = "invalid-decision"


class NotIndependent(Refusal):
    """An appeal goes to somebody who had nothing to do with the signal's other cases."""

    code = "not-independent"


class NeedsSecondPerson(Refusal):
    """One person alone does not find wrong what independent partners saw themselves."""

    code = "needs-second-person"


class TooLate(Refusal):
    """The window for undoing is over, or others have been served."""

    code = "too-late-to-undo"
