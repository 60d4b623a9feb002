"""Why bulk says no: each a sentence that tells the person at the desk what to do now."""

from __future__ import annotations

from hub.refusal import Refusal


class TooManyChosen(Refusal):
    """The filter finds more signals than one run decides."""

    code = "too-many-chosen"


class NotNow(Refusal):
    """A run that stands where it does is not begun, stopped, taken up or undone."""

    code = "bulk-not-now"


class TakesTwo(Refusal):
    """So many signals, or one that others bear out, are not decided by one person alone."""

    code = "bulk-takes-two"


class Changed(Refusal):
    """Something happened to the signal, or to its case, since the dry run."""

    code = "changed"
