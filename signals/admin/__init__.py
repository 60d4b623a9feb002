"""Signals in the admin: lists, the held queue, pages whose buttons call verbs. Values are masked until revealed.

signals       the list, the page of one signal, its verbs
cases         the desk: the queue of cases, and the page on which one is decided
bulk          one decision about many signals: the dry run, its progress, its undoing
held          the queue of signals that wait for a person
values        reveal one value, search for one: POST only, both recorded
reveals       many values at once: asked for in the list, agreed to by a second person, shown once
submissions   what partners handed in, with the verdicts
quality       partners' quality: alarms, and a page of figures for each partner
recalls       the recall board: who had what was removed, and who knows that it is gone
endpoints     webhook addresses and the attempts to reach them
departures    partners that left: the fate of their signals, and who has not signed that all is erased
notices       what partners were told in their own feeds
exports       bundles of the ledger: ask, watch, download
questions     what compliance staff ask: who received what, what people were shown, what is due to be erased
government    the register of requests by governments
screening     warning lists of harmless values, and keys that fell
"""

from signals.admin import (
    bulk,
    cases,
    departures,
    endpoints,
    exports,
    government,
    notices,
    quality,
    questions,
    recalls,
    reveals,
    screening,
    signals,
    submissions,
)

__all__ = [
    "bulk",
    "cases",
    "departures",
    "endpoints",
    "exports",
    "government",
    "notices",
    "quality",
    "questions",
    "recalls",
    "reveals",
    "screening",
    "signals",
    "submissions",
]
