"""Signals in the admin: lists, the held queue, pages whose buttons call verbs. Values are masked until revealed.

signals       the list, the page of one signal, its verbs
held          the queue of signals that wait for a person
values        reveal one value, search for one: POST only, both recorded
submissions   what partners handed in, with the verdicts
recalls       the recall board: who had what was removed, and who knows that it is gone
endpoints     webhook addresses and the attempts to reach them
notices       what partners were told in their own feeds
exports       bundles of the ledger: ask, watch, download
screening     warning lists of harmless values, and keys that fell
"""

from signals.admin import endpoints, exports, notices, recalls, screening, signals, submissions

__all__ = ["endpoints", "exports", "notices", "recalls", "screening", "signals", "submissions"]
