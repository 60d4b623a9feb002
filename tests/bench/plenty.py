"""A hub as years of work leave it, laid down by COPY: signals, cases and what hangs on them, in programmes of its own.

Every value is sealed under its own row's name and every signal has its statement, changes, verdict and leaf, so that
pages open and join what they would. Nothing was signed for it and nobody was asked: no promise but the desk's pace is
measured on it.
"""

from __future__ import annotations

import hashlib
import heapq
import random
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from django.db import models, transaction

from hub.vault import keyring
from hub.vault.keyring import Sealer
from signals.core import indicators, statement
from signals.core.indicators import Reading
from signals.lifecycle.examine import context, fragment
from signals.lifecycle.tie import ties_of
from signals.models import Change, Head, RecallPlace, Signal, Statement, Submission, Ties, Verdict, WeighPlace, Weight
from signals.models.copying import copy_rows
from tests.bench import rig
from tests.bench.statements import VIOLATIONS, indicator, signed
from tests.builders import a_programme
from tests.companies import Company, a_company

COMPANIES = 24
DAYS = 300
_AT_ONCE = 20_000
_PER_SUBMISSION = 100
_SAMPLES = 440  # statements that are really signed; their bytes, under other names, are everybody's
_REMOVED_WITHIN = timedelta(days=20)  # nothing of it is due to be purged
_SAME = 50  # one value in so many is said by several companies

FATES = {  # of a thousand signals: half a per cent held, so that a person is asked
    "published": 912,
    "restricted": 3,
    "withdrawn": 30,
    "expired": 40,
    "quarantined": 2,
    "held": 5,
    "refused": 3,
    "purged": 5,
}
FEW = 200  # of each, whose ids are remembered
_MOVES = {  # what came after they were published
    "restricted": "restricted",
    "withdrawn": "withdrawn",
    "expired": "expired",
    "purged": "expired",
    "quarantined": "quarantined",
}
_TAKEN = ("programme_id", "position", "revision", "statement_id", "audience", "audience_partners")
_DISPUTED = '{"opinions": {"false-positive": 2}, "outcomes": {}}'
_BORNE_OUT = '{"opinions": {"confirm-own": 1, "seen": 1}, "outcomes": {"account-actioned": 1}}'

Row = dict[str, Any]  # of a table: every row of one has the same columns in the same order


@dataclass
class Plenty:
    """What was laid, for whoever wants to look at it."""

    companies: list[Company]
    programmes: dict[int, str]
    signals: int
    heads: dict[int, int] = field(default_factory=dict)  # by programme
    by_state: dict[str, list[uuid.UUID]] = field(default_factory=dict)  # a few of each


def lay(size: int, *, now: datetime, beside: Callable[[list[Row]], None]) -> Plenty:
    """So many signals of the past 300 days by 24 companies in two programmes, the most by a few of them.

    `beside` is called with the rows of signals in the transaction that lays them: the hub that runs meanwhile would ask
    for what it misses.
    """
    programmes = [a_programme("desk-one"), a_programme("desk-two")]
    companies = [a_company(f"desk-company-{number:02}", *programmes) for number in range(COMPANIES)]
    plenty = Plenty(companies, {each.pk: each.slug for each in programmes}, size)
    for programme in programmes:
        Head.objects.create(programme_id=programme.pk, at=now)
        for place in (WeighPlace, RecallPlace):  # the hub that runs meanwhile need not look through it for news
            place.objects.create(programme_id=programme.pk, position=2 * size)
    writer = _Writer(plenty, now, beside)
    started = time.monotonic()
    for first in range(0, size, _AT_ONCE):
        writer.write(range(first, min(size, first + _AT_ONCE)))
        if first and first % 200_000 == 0:
            rig.say(f"{first:,} signals after {time.monotonic() - started:.0f} s")
    writer.end()
    rig.say(f"{size:,} signals laid in {time.monotonic() - started:.0f} s")
    return plenty


class _Writer:
    """Rows in order of time: what is moved later waits in a heap for its turn, so that positions rise with time."""

    def __init__(self, plenty: Plenty, now: datetime, beside: Callable[[list[Row]], None]) -> None:
        self.plenty, self.now, self.beside = plenty, now, beside
        self.start, self.step = now - timedelta(days=DAYS), timedelta(days=DAYS) / max(1, plenty.signals)
        self.random = random.Random(5)
        self.samples = _samples(plenty.companies[0])
        self.programmes = list(plenty.programmes)
        self.fates = [fate for fate, share in FATES.items() for _ in range(share)]
        self.random.shuffle(self.fates)
        self.waiting: list[tuple[datetime, int, Row]] = []
        self.sealers: dict[tuple[int, str], Sealer] = {}
        self.index_keys = {
            key: keyring.blind_index(f"programme:{slug}", b"").key_id for key, slug in plenty.programmes.items()
        }
        self.signals: list[Row] = []
        self.changes: list[Row] = []
        self.ties: list[Row] = []

    def write(self, numbers: range) -> None:
        """Lay these signals, what was said for them, and what has happened meanwhile."""
        statements, verdicts, submissions, weights = [], [], [], []
        for number in numbers:
            at = self.start + self.step * number
            self._move_due(at)
            signal = self._say(number, at)
            statements.append(self._statement(signal, number))
            verdicts.append(_verdict(signal, number))
            if number % _PER_SUBMISSION == 0:
                submissions.append(self._submission(number, at, min(_PER_SUBMISSION, numbers.stop - number)))
            if (standing := _standing(signal, number)) is not None:
                weights.append(standing)
        with transaction.atomic():
            self._flush()
            lay_rows(Statement, statements)
            lay_rows(Submission, submissions)
            lay_rows(Verdict, verdicts)
            lay_rows(Weight, weights)

    def end(self) -> None:
        """What has not moved yet moves now."""
        self._move_due(self.now + timedelta(days=1))
        with transaction.atomic():
            self._flush()

    def _flush(self) -> None:
        lay_rows(Signal, self.signals)
        lay_rows(Change, self.changes)
        lay_rows(Ties, self.ties)
        for programme_id, head in self.plenty.heads.items():
            Head.objects.filter(programme_id=programme_id).update(position=head)
        self.beside(self.signals)
        self.signals.clear()
        self.changes.clear()
        self.ties.clear()

    def _say(self, number: int, at: datetime) -> Row:
        company = self.plenty.companies[int(COMPANIES * self.random.random() ** 2)]
        programme = self.programmes[number % 10 // 7]
        fate = self.fates[number % len(self.fates)]
        value = number % (_SAMPLES * 7) if number % _SAME == 0 else number
        is_stopped = fate in {"held", "refused"}
        signal: Row = {
            "id": uuid_of("signal", number),
            "arrival": number + 1,
            "programme_id": programme,
            "issuer_id": company.partner.pk,
            "statement_id": uuid_of("statement", number),
            "key_id": company.key.row.pk,
            "received_at": at,
            "indicator_type": str(indicator(number % _SAMPLES)["type"]),
            "origin": "own",
            "violation": VIOLATIONS[number % len(VIOLATIONS)],
            "tlp": "amber",
            "permitted": ["investigate"],
            "audience": "programme",
            "audience_partners": [],
            "is_awaiting_routing": False,
            "state": fate,
            "removal": "",
            "held_reasons": ["probation"] if is_stopped else [],
            "is_cleared": False,
            "revision": 0,
            "position": None,
            "index_key_id": self.index_keys[programme],
            "value_index": hashlib.sha256(b"%d %d" % (programme, value)).digest(),
            "verified_at": at + timedelta(seconds=1),
            "published_at": None,
            "changed_at": at + timedelta(seconds=1),
            "removed_at": None,
            "expires_at": max(at + timedelta(days=365), self.now + timedelta(days=2)),
            "has_legal_hold": False,
        }
        if keys := self._ties(signal, number):
            self.ties.append({"signal_id": signal["id"], "keys": keys})
        few = self.plenty.by_state.setdefault(fate, [])
        if len(few) < FEW:
            few.append(signal["id"])
        else:
            few[self.random.randrange(FEW)] = signal["id"]
        if not is_stopped:
            self._move(signal, "published", at + timedelta(seconds=2))
        if fate in _MOVES:
            lately = self.now - self.random.random() * _REMOVED_WITHIN
            heapq.heappush(self.waiting, (min(self.now, max(at + timedelta(hours=1), lately)), number, signal))
        else:
            self.signals.append(signal)
        return signal

    def _ties(self, signal: Row, number: int) -> list[int]:
        """As of its sample, so that a host is everybody's; pictures are drawn, so that bands are met by chance."""
        said = indicator(number % _SAMPLES)
        value = f"{self.random.getrandbits(256):064x}" if said["type"] == "pdq" else str(said["value"])
        service = str(said["service"]) if "service" in said else None
        reading = Reading(str(said["type"]), value, service, (), (), (), "")
        scope = f"programme:{self.plenty.programmes[signal['programme_id']]}"
        return ties_of(scope, reading, issuer_id=signal["issuer_id"], incident=None)

    def _move_due(self, at: datetime) -> None:
        while self.waiting and self.waiting[0][0] <= at:
            moved_at, _, signal = heapq.heappop(self.waiting)
            kind = _MOVES[signal["state"]]
            self._move(signal, kind, moved_at)
            if kind != "restricted":
                signal |= {"removal": kind, "removed_at": moved_at}
            if signal["state"] == "purged":
                signal |= {"index_key_id": "", "value_index": None}
            self.signals.append(signal)

    def _move(self, signal: Row, kind: str, at: datetime) -> None:
        heads, programme = self.plenty.heads, signal["programme_id"]
        heads[programme] = heads.get(programme, 0) + 1
        signal |= {"revision": signal["revision"] + 1, "position": heads[programme], "changed_at": at}
        if kind == "published":
            signal["published_at"] = at
        taken = {name: signal[name] for name in _TAKEN}
        self.changes.append({**taken, "signal_id": signal["id"], "kind": kind, "at": at})

    def _statement(self, signal: Row, number: int) -> Row:
        identity, sealed = signal["statement_id"], None
        if signal["state"] != "purged":
            sealer = self._sealer(signal["programme_id"], signal["expires_at"])
            sealed = sealer.seal(self.samples[number % _SAMPLES], context=context(identity))
        return {
            "id": identity,
            "partner_id": signal["issuer_id"],
            "jti": f"laid-{number}",
            "typ": "signal+jws",
            "digest": hashlib.sha256(identity.bytes).digest(),
            "key_id": signal["key_id"],
            "programme_id": signal["programme_id"],
            "signal_id": signal["id"],
            "effect": "effective",
            "routed_kind": "",
            "routed_partners": [],
            "received_at": signal["received_at"],
            "sealed": sealed,
        }

    def _submission(self, number: int, at: datetime, count: int) -> Row:
        company, identity = self.plenty.companies[number % COMPANIES], _submission_of(number)
        return {
            "id": identity,
            "partner_id": company.partner.pk,
            "api_key_id": company.token.split("_")[2],
            "may_backfill": False,
            "received_at": at,
            "statement_count": count,
            "digest": hashlib.sha256(identity.bytes).digest(),
            "state": "done",
            "attempts": 1,
            "next_attempt_at": at,
            "finished_at": at + timedelta(seconds=1),
        }

    def _sealer(self, programme: int, expires_at: datetime) -> Sealer:
        key = (programme, keyring.month_of(expires_at))
        if key not in self.sealers:
            self.sealers[key] = keyring.sealer(f"programme:{self.plenty.programmes[programme]}", key[1])
        return self.sealers[key]


def uuid_of(kind: str, number: int) -> uuid.UUID:
    """The same every time, and as scattered as random ones."""
    return uuid.UUID(bytes=hashlib.md5(f"{kind} {number}".encode(), usedforsecurity=False).digest(), version=4)


def _samples(company: Company) -> list[bytes]:
    """Statements really signed, as the feed shows them."""
    opened = []
    for number, line in enumerate(signed(company, range(_SAMPLES))):
        said = indicator(number)
        service = str(said["service"]) if "service" in said else None
        reading = indicators.read(str(said["type"]), str(said["value"]), service=service)
        opened.append(fragment(statement.parse(line), reading))
    return opened


def _submission_of(number: int) -> uuid.UUID:
    return uuid_of("submission", number // _PER_SUBMISSION)


def _verdict(signal: Row, number: int) -> Row:
    return {
        "submission_id": _submission_of(number),
        "line": number % _PER_SUBMISSION + 1,
        "typ": "signal+jws",
        "jti": f"laid-{number}",
        "verdict": "held" if signal["state"] == "held" else "accepted",
        "code": "",
        "detail": "",
        "pointer": "",
        "statement_id": signal["statement_id"],
        "signal_id": signal["id"],
    }


def _standing(signal: Row, number: int) -> Row | None:
    """Of what is disputed, and of one in ten of the others; nothing was said of the rest."""
    is_disputed = signal["state"] == "restricted"
    if not is_disputed and (number % 10 or signal["state"] != "published"):
        return None
    standing, counts = ("disputed", _DISPUTED) if is_disputed else ("corroborated", _BORNE_OUT)
    return {
        "signal_id": signal["id"],
        "standing": standing,
        "shown_standing": standing,
        "is_restricted": is_disputed,
        "counts": counts,
        "shown_counts": counts,
        "at": signal["received_at"],
    }


def lay_rows(model: type[models.Model], rows: list[Row]) -> None:
    """Insert them by one COPY."""
    if rows:
        copy_rows(model, tuple(rows[0]), [tuple(row.values()) for row in rows])
