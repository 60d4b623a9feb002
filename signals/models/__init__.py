"""The rows of a signal's life: what was said, the moving signal, the feed, and how it reaches partners.

statements  what partners said, exactly, and the verdicts on it
feed        the signal as it moves, its routes, the change log, heads and walks
delivery    webhook endpoints, their attempts, what was disclosed, and which leaf commits to it
notices     what the hub tells one partner
opinions    what partners hold of each other's signals, and what the hub makes of it
departures  partners that left: the fate of their signals, and their word that they erased what they held
recall      what partners tell the hub after a recall: how far they are, and receipts
inflow      how much each partner sends, by the hour
activity    how much happens by the day and the hour, as counted last
quality     how good each partner's signals have proved, as counted last
reveals     who asked to see many values at once, who agreed, and when they were shown
screening   warning lists of well-known harmless values, and keys that fell
desk        what belongs to one member of staff: counts, opt-outs, saved filters
ties        what ties signals to each other, blind
cases       what a person is asked to decide, and everything that happened to it
bulk        one decision about many signals, frozen signal by signal, and how far it is
government  the register of requests by governments
exports     exports of the ledger and how far their making is
"""

from signals.models.activity import ActivityCount
from signals.models.bulk import BulkItem, BulkRun
from signals.models.cases import Appeal, Case, CaseEvent, PartnerAlarm, RemedyAsked
from signals.models.delivery import Attempt, DisclosedMinute, Disclosure, Endpoint, FormerSecret, Unsummed
from signals.models.departures import Departure
from signals.models.desk import Exposure, OptOut, SavedFilter
from signals.models.exports import Export, ExportState
from signals.models.feed import Change, Head, Route, Signal, Walk
from signals.models.government import GovernmentRequest
from signals.models.inflow import Inflow
from signals.models.notices import Notice, NoticeHead, RecallPlace
from signals.models.opinions import Opinion, Outcome, Retraction, Ruling, ToWeigh, WeighPlace, Weight
from signals.models.quality import QualityCount
from signals.models.recall import Acknowledgement, RecalledSignal, Receipt
from signals.models.reveals import RevealMany, RevealState
from signals.models.screening import Distrust, Sweep, WarningEntry, WarningList
from signals.models.statements import Statement, Submission, Verdict
from signals.models.ties import Ties

__all__ = [
    "Acknowledgement",
    "ActivityCount",
    "Appeal",
    "Attempt",
    "BulkItem",
    "BulkRun",
    "Case",
    "CaseEvent",
    "Change",
    "Departure",
    "DisclosedMinute",
    "Disclosure",
    "Distrust",
    "Endpoint",
    "Export",
    "ExportState",
    "Exposure",
    "FormerSecret",
    "GovernmentRequest",
    "Head",
    "Inflow",
    "Notice",
    "NoticeHead",
    "Opinion",
    "OptOut",
    "Outcome",
    "PartnerAlarm",
    "QualityCount",
    "RecallPlace",
    "RecalledSignal",
    "Receipt",
    "RemedyAsked",
    "Retraction",
    "RevealMany",
    "RevealState",
    "Route",
    "Ruling",
    "SavedFilter",
    "Signal",
    "Statement",
    "Submission",
    "Sweep",
    "Ties",
    "ToWeigh",
    "Unsummed",
    "Verdict",
    "Walk",
    "WarningEntry",
    "WarningList",
    "WeighPlace",
    "Weight",
]
