"""What one submission is judged by, read at once, and what comes of its lines, gathered until it is written."""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from django.db import connection

from hub.jose import from_base64url
from hub.ledger.leaf import Json
from hub.ledger.record import Event
from hub.refusal import Refusal
from signals.core.claims import (
    RoutingClaims,
    SignalClaims,
)
from signals.core.statement import OPINION, OUTCOME, RECEIPT, RETRACTION
from signals.core.states import State
from signals.lifecycle.about import named_signals
from signals.lifecycle.examine import Line, Sender
from signals.lifecycle.inflow import Counting
from signals.lifecycle.moves import Kind, lock_signals
from signals.lifecycle.opinions import Heard
from signals.lifecycle.rows import AnySignal, AnyStatement, NewSignal, NewStatement
from signals.models import Distrust, Receipt, Signal, Statement
from signals.models.copying import array
from signals.same_value import Known, Value, known_of
from signals.screening import harmless

OUT = {State.PUBLISHED.value, State.RESTRICTED.value}
_GONE = {State.WITHDRAWN.value, State.EXPIRED.value, State.PURGED.value, State.REFUSED.value}
WORDS = {OPINION, OUTCOME}
_ABOUT_OTHERS = {RECEIPT, RETRACTION, *WORDS}  # nothing of theirs writes the signals that they are about
_NEVER = datetime.max.replace(tzinfo=UTC)  # since when a key that stands is distrusted


@dataclass(slots=True)
class Said:
    """An accepted statement, from an earlier submission or from this one."""

    id: uuid.UUID
    typ: str
    digest: bytes
    signal_id: uuid.UUID | None
    effect: str
    key_id: int
    received_at: datetime
    programme_id: int


class Batch:
    """The effects of one submission; who gathers them holds the partner's lock and a transaction."""

    def __init__(self, lines: Sequence[Line], *, sender: Sender, submission_id: uuid.UUID, at: datetime) -> None:
        self.lines, self.sender, self.submission_id, self.at = lines, sender, submission_id, at
        self.said: dict[str, Said] = {}
        self.signals: dict[uuid.UUID, AnySignal] = {}
        self.new_signals: list[NewSignal] = []
        self.new_statements: list[NewStatement] = []
        self.ties: dict[uuid.UUID, list[int]] = {}  # of the new
        self.ties_anew: dict[uuid.UUID, list[int]] = {}  # of those that a revision may tie to others than before
        self.waiting: dict[str, list[AnyStatement]] = {}  # by the jti they are about
        self.moves: dict[uuid.UUID, Kind] = {}
        self.changed: dict[uuid.UUID, Signal] = {}
        self.routes: list[tuple[uuid.UUID, int, int]] = []
        self.met: list[AnyStatement] = []  # what waited for its signal and has taken effect on it
        self.refused_late: list[tuple[Statement, Refusal]] = []  # what waited since earlier and cannot take effect
        self.receipts: list[Receipt] = []
        self.heard = Heard(sender.partner.id, sender.received_at)
        self.counting = Counting(sender.partner.id, received_at=sender.received_at, may_backfill=sender.may_backfill)
        self.known: dict[Value, Known] = {}  # of the values that come, by each blind index that they go by
        self.unrouted: list[uuid.UUID] = []  # signals whose routes a fallen key made
        self.slugs = {line.programme.id: line.programme.slug for line in lines if line.programme is not None}
        self.events: list[Event] = []
        self.verdicts: list[tuple[object, ...]] = []
        self.room_to_wait: int | None = None  # for statements whose signal has not come; counted when there is one

    def look_up(self) -> None:
        """Read what the lines are judged by, in a handful of queries, and lock the signals that they name."""
        good = [line for line in self.lines if line.refusal is None]
        jtis = {line.jti for line in good}
        for line in good:
            if isinstance(line.claims, SignalClaims):
                jtis |= {line.claims.supersedes} if line.claims.supersedes else set()
            elif line.claims is not None:
                jtis.add(line.claims.about.jti)
        mine = (self.sender.partner.id, array(jtis))
        with connection.cursor() as cursor:
            cursor.execute(_SAID, mine)
            self.said = {jti: Said(*about) for jti, *about in cursor.fetchall()}
        for row in Statement.objects.raw(_WAITING, mine):
            self.waiting.setdefault(row.about_jti or "", []).append(row)
        mine_said = [said for said in self.said.values() if said.typ not in _ABOUT_OTHERS]
        named = {said.signal_id for said in mine_said if said.signal_id is not None}
        self.signals = {**lock_signals(named)} if named else {}
        readings = {line.number: line.reading for line in good if line.reading is not None}
        self.harmless = harmless(readings)
        self.named = named_signals(good)
        self.fallen = {row.key_id: row.since for row in Distrust.objects.all()}
        self._look_up_floods([line for line in good if line.reading is not None])

    def _look_up_floods(self, said: Sequence[Line]) -> None:
        streams: Counter[tuple[int, str]] = Counter()
        settings_of: dict[int, Mapping[str, object]] = {}
        values: set[Value] = set()
        for line in said:
            assert line.programme is not None
            assert line.reading is not None
            streams[line.programme.id, line.reading.type] += 1
            settings_of[line.programme.id] = line.programme.gates
            values.update(values_of(line))
        self.known = known_of(values, partner_id=self.sender.partner.id, at=self.sender.received_at)
        self.counting.begin(streams, settings_of)

    def say(self, line: Line, signal_id: uuid.UUID | None, *, effect: str = "effective") -> None:
        """Note a line as an accepted statement; one that waits for its signal is met when that comes."""
        assert line.jws is not None
        assert line.key is not None
        assert line.programme is not None
        about = line.claims.about if line.claims is not None and not isinstance(line.claims, SignalClaims) else None
        statement = NewStatement(
            id=line.id,
            partner_id=self.sender.partner.id,
            jti=line.jti,
            typ=line.typ,
            digest=line.jws.digest,
            key_id=line.key.id,
            programme_id=line.programme.id,
            signal_id=signal_id,
            about_jti=about.jti if about else None,
            about_digest=from_base64url(about.digest) if about else None,
            effect=effect,
            received_at=self.sender.received_at,
            sealed=line.sealed,
        )
        if isinstance(line.claims, RoutingClaims):
            statement.routed_kind = "only" if line.claims.only is not None else "except"
            statement.routed_partners = sorted(line.routed_to)
        self.new_statements.append(statement)
        self.said[line.jti] = Said(
            line.id,
            line.typ,
            line.jws.digest,
            signal_id,
            effect,
            line.key.id,
            self.sender.received_at,
            line.programme.id,
        )
        if effect == "waiting" and about is not None:
            self.waiting.setdefault(about.jti, []).append(statement)

    def accept(
        self, line: Line, statement_id: uuid.UUID, signal_id: uuid.UUID | None, *, verdict: str = "accepted"
    ) -> None:
        """Note the verdict on a line, and its leaf unless it has been accepted before."""
        assert line.jws is not None
        self.verdicts.append(
            (self.submission_id, line.number, line.typ, line.jti, verdict, "", "", "", statement_id, signal_id)
        )
        if statement_id == line.id and line.programme is not None:
            subjects = [f"signal:{signal_id}"] if signal_id is not None else [f"submission:{self.submission_id}"]
            subjects.append(f"programme:{line.programme.slug}")
            action = "statement.held" if verdict == "held" else "statement.accepted"
            self.note(action, subjects, {"line": line.number, "typ": line.typ, "kid": line.jws.kid}, line.jws.digest)

    def refuse(self, line: Line, refusal: Refusal) -> None:
        """Note that a line is refused, and why."""
        self.verdicts.append((self.submission_id, line.number, line.typ, line.jti, *refused_columns(refusal)))
        facts: dict[str, Json] = {"line": line.number, "typ": line.typ, "code": refusal.code}
        self.note("statement.refused", [], facts, None)

    def note(self, action: str, subjects: list[str], facts: dict[str, Json], digest: bytes | None) -> None:
        """Note a leaf of the sender's."""
        self.events.append(
            Event(
                action=action,
                actor=f"partner:{self.sender.partner.slug}",
                at=self.at,
                subjects=(f"partner:{self.sender.partner.slug}", *subjects),
                facts={"submission": str(self.submission_id), **facts},
                private={"payload_digest": digest} if digest is not None else {},
                private_about=tuple(subjects[:1]) if digest is not None else (),  # purging it closes the commitment
            )
        )

    def withdrawn(self, signal_id: uuid.UUID, slug: str, **facts: Json) -> Event:
        """The leaf of a withdrawal."""
        actor = f"partner:{self.sender.partner.slug}"
        return Event("signal.withdrawn", actor, self.at, (f"signal:{signal_id}", f"programme:{slug}"), facts)

    def is_gone(self, signal: AnySignal) -> bool:
        """Whether it was removed, by a line of this batch at the latest."""
        return signal.state in _GONE or self.moves.get(signal.id) == Kind.WITHDRAWN

    def has_fallen(self, key_id: int, received_at: datetime) -> bool:
        """Whether what was received then under this key counts no more."""
        since = self.fallen.get(key_id, _NEVER)
        return since is None or received_at >= since

    def routing_fell(self, signal: AnySignal) -> bool:
        """Whether whom it is for was said under a key that has fallen."""
        if signal.routing_key_id is None or signal.routed_at is None or signal.is_cleared:
            return False
        return self.has_fallen(signal.routing_key_id, signal.routed_at)

    def is_hidden(self, signal: AnySignal) -> bool:
        """Whether a signal that is out is served as quarantined: moved already, or its key fell a moment ago."""
        if signal.state == State.QUARANTINED.value:
            return self.moves.get(signal.id) != Kind.RESTORED
        fell = self.has_fallen(signal.key_id, signal.received_at) or self.routing_fell(signal)
        return fell and not signal.is_cleared

    def mark(self, signal: AnySignal) -> None:
        """Have a signal's row written again; that of a new one is written anyway."""
        if isinstance(signal, Signal):
            self.changed[signal.id] = signal


def refused_columns(refusal: Refusal) -> tuple[object, ...]:
    """The last six columns of a refused line's verdict."""
    return "refused", refusal.code, refusal.detail[:500], (refusal.pointer or "")[:200], None, None


def values_of(line: Line) -> Sequence[Value]:
    """The line's value by every live index key; more than one only while the keys are being replaced."""
    assert line.programme is not None
    assert line.index is not None
    return [(line.programme.id, digest) for digest in (line.index.digest, *line.other_indexes)]


VERDICT_COLUMNS = [
    *("submission_id", "line", "typ", "jti", "verdict", "code", "detail", "pointer", "statement_id", "signal_id"),
]
STATEMENT_ID = VERDICT_COLUMNS.index("statement_id")

# Arrays, not one parameter a jti: a thousand of those cost Django more than the look-up costs PostgreSQL.
_SAID = """
SELECT jti, id, typ, digest, signal_id, effect, key_id, received_at, programme_id
  FROM signals_statement WHERE partner_id = %s AND jti = ANY(%s::text[])
"""
_WAITING = """
SELECT * FROM signals_statement WHERE partner_id = %s AND about_jti = ANY(%s::text[]) AND effect = 'waiting'
 ORDER BY received_at, id
"""
