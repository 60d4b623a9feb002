"""Bulk: what a person may decide about many signals at once, how they are chosen, and why one is left out."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

from signals.core.cases import REASONS, CaseKind, Outcome
from signals.core.opinions import RULING_REASONS
from signals.core.refusals import ParameterInvalid
from signals.core.states import LIVE, State


class Deed(StrEnum):
    """What is done to each signal of a run; each is what a person does to one signal, by the same verbs."""

    APPROVE = "approve"  # what is held, to be published
    REFUSE = "refuse"  # what is held, for good
    DISPUTE = "dispute"  # what is published, restricted until somebody has looked
    REFUTE = "refute"  # what is served: it is wrong
    LIFT = "lift"  # what is disputed: it stands


class RunState(StrEnum):
    """Where a run stands."""

    DRAFT = "draft"  # a dry run: nothing has happened
    PROPOSED = "proposed"  # waits for a second person
    APPLYING = "applying"
    STOPPED = "stopped"  # by a person, or because it failed again and again; may go on
    DONE = "done"
    UNDOING = "undoing"
    UNDONE = "undone"  # as far as it could be; each signal says whether


class ItemState(StrEnum):
    """What became of one signal of a run."""

    WAITING = ""
    SKIPPED = "skipped"
    DONE = "done"
    UNDONE = "undone"
    KEPT = "kept"  # was to be undone and could not be


class Skip(StrEnum):
    """Why a dry run leaves a signal out."""

    CLAIMED = "claimed"
    PAUSED = "paused"
    APPEALED = "appealed"
    RULED = "ruled-already"
    NOT_PUBLISHABLE = "not-publishable"


CHANGED: Final = "changed"
"""Why a run leaves out what its dry run did not: something happened to the signal or its case since."""

MEANINGS: Final[Mapping[str, str]] = {
    Skip.CLAIMED: "somebody else is at its case",
    Skip.PAUSED: "its case is paused",
    Skip.APPEALED: "an appeal about it is being judged, by one person for one signal",
    Skip.RULED: "an analyst has refuted it already",
    Skip.NOT_PUBLISHABLE: "it would not be taken today",
    CHANGED: "something happened to it, or to its case, since the dry run",
}

SENTENCES: Final[Mapping[Deed, str]] = {
    Deed.APPROVE: "Approve held signals: their checks run again, and they are published",
    Deed.REFUSE: "Refuse held signals, for good",
    Deed.DISPUTE: "Dispute published signals: they may only be investigated until somebody has decided each",
    Deed.REFUTE: "Find served signals wrong: they may only be investigated, and their authors are told",
    Deed.LIFT: "Let disputed signals stand: disputes said until now count no more",
}

STATES: Final[Mapping[Deed, frozenset[State]]] = {  # of the signals that a deed may be done to
    Deed.APPROVE: frozenset({State.HELD}),
    Deed.REFUSE: frozenset({State.HELD}),
    Deed.DISPUTE: frozenset({State.PUBLISHED}),
    Deed.REFUTE: frozenset(LIVE),
    Deed.LIFT: frozenset(LIVE),
}

DECIDES: Final[Mapping[Deed, tuple[CaseKind, Outcome]]] = {  # the decision of a case that a deed is; disputing is none
    Deed.APPROVE: (CaseKind.HOLD, Outcome.APPROVED),
    Deed.REFUSE: (CaseKind.HOLD, Outcome.REFUSED),
    Deed.REFUTE: (CaseKind.DISPUTE, Outcome.UPHELD),
    Deed.LIFT: (CaseKind.DISPUTE, Outcome.REJECTED),
}

NOT_WHILE_APPEALED: Final = frozenset({Deed.REFUTE, Deed.LIFT})
"""Deeds that would decide what whoever judges an appeal about the signal has to decide."""


def reasons_of(deed: Deed) -> Mapping[str, str]:
    """The codes of reasons that a deed may rest on, each with its meaning; those of one case of its kind."""
    if deed not in DECIDES:
        return {reason: reason.replace("-", " ") for reason in RULING_REASONS}
    kind, outcome = DECIDES[deed]
    return REASONS[kind][outcome]


_SLUG, _WORD = re.compile(r"[a-z0-9][a-z0-9-]{0,62}"), re.compile(r"[A-Za-z0-9_.:-]{1,64}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """Which signals of a programme: closed words, slugs, a key's id and times; never a value. Empty: all."""

    programme: str
    partner: str = ""
    type: str = ""
    violation: str = ""
    held: str = ""  # a reason to hold
    case: str = ""  # the kind of an undecided case about it
    cause: str = ""  # that case's cause
    key: str = ""  # the kid of the key that signed it
    since: str = ""  # received at or after; ISO 8601
    until: str = ""  # received before

    def __post_init__(self) -> None:
        """Refuses ParameterInvalid for what is no slug, word or time: this stands in the ledger."""
        if not all(_SLUG.fullmatch(slug) for slug in (self.programme, self.partner) if slug) or not self.programme:
            raise ParameterInvalid("Name the programme by its slug, and the partner by its.", parameter="programme")
        for word in (self.type, self.violation, self.held, self.case, self.cause, self.key):
            if word and not _WORD.fullmatch(word):
                raise ParameterInvalid("A filter takes the hub's own words only.", parameter="filter")
        for moment in (self.since, self.until):
            if moment and datetime.fromisoformat(moment).tzinfo is None:
                raise ParameterInvalid("A time of a filter says its zone.", parameter="since")

    @classmethod
    def of(cls, stored: Mapping[str, Any]) -> Filter:
        """As `document` wrote it down."""
        return cls(**{name: str(value) for name, value in stored.items()})

    def document(self) -> dict[str, str]:
        """What it asks for, without what it leaves open."""
        named = {name: str(getattr(self, name)) for name in self.__slots__}
        return {name: value for name, value in named.items() if value}

    def sentences(self) -> list[tuple[str, str]]:
        """The same for people."""
        return [(_CALLED[name], value) for name, value in self.document().items()]


_CALLED: Mapping[str, str] = {
    "programme": "Programme",
    "partner": "Said by",
    "type": "Type",
    "violation": "Violation",
    "held": "Held because",
    "case": "With a case of kind",
    "cause": "With a case caused by",
    "key": "Signed with key",
    "since": "Received since",
    "until": "Received before",
}
