"""What the good lines of a submission do to the rows: in line order, all or nothing, one at a time per partner.

A batch reads what it needs in a handful of queries, decides line by line in memory, and writes in a handful of COPYs
and moves. New signals are not published here; a change to a signal that is already out (a revision, a wider audience, a
withdrawal) takes its position at once.
"""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from django.conf import settings
from django.db import connection

from hub.jose import from_base64url
from hub.ledger.leaf import Json
from hub.ledger.record import Event, record_many
from hub.refusal import Refusal
from hub.vault import keyring
from signals import wake
from signals.core import flood, gates, handling
from signals.core.claims import (
    OpinionClaims,
    OutcomeClaims,
    ReceiptClaims,
    RetractionClaims,
    RoutingClaims,
    SignalClaims,
    WithdrawalClaims,
)
from signals.core.gates import HoldReason
from signals.core.handling import Audience
from signals.core.refusals import (
    AudienceNarrowed,
    CannotMove,
    JtiReused,
    KeyNotActive,
    SupersededMismatch,
    TlpNeedsRouting,
    TooManyWaiting,
    UnknownSignal,
    UnknownStatement,
)
from signals.core.statement import OPINION, OUTCOME, RECEIPT, RETRACTION
from signals.core.states import State
from signals.lifecycle import rows, tie
from signals.lifecycle.about import named_signals
from signals.lifecycle.examine import Line, Sender, context
from signals.lifecycle.inflow import Counting
from signals.lifecycle.late import tell_met, tell_refused
from signals.lifecycle.moves import Kind, Taken, lock_signals, take_positions
from signals.lifecycle.opinions import Heard
from signals.lifecycle.publish import record_moves
from signals.lifecycle.receipts import receipt_of
from signals.lifecycle.rows import AnySignal, AnyStatement, NewSignal, NewStatement
from signals.models import Distrust, Receipt, Route, Signal, Statement, Verdict
from signals.models.copying import array, copy_rows
from signals.same_value import Known, Value, known_of
from signals.screening import harmless

_GONE = {State.WITHDRAWN.value, State.EXPIRED.value, State.PURGED.value, State.REFUSED.value}
_OUT = {State.PUBLISHED.value, State.RESTRICTED.value}
_WORDS = {OPINION, OUTCOME}
_ABOUT_OTHERS = {RECEIPT, RETRACTION, *_WORDS}  # nothing of theirs writes the signals that they are about
_NEVER = datetime.max.replace(tzinfo=UTC)  # since when a key that stands is distrusted


@dataclass(frozen=True, slots=True)
class _Routed:
    """Whom a routing admits, by partner id."""

    kind: str
    partners: frozenset[int]


@dataclass(slots=True)
class _Said:
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
    """The effects of one submission; the caller holds the partner's lock and a transaction."""

    def __init__(self, lines: Sequence[Line], *, sender: Sender, submission_id: uuid.UUID, at: datetime) -> None:
        self.lines, self.sender, self.submission_id, self.at = lines, sender, submission_id, at
        self.said: dict[str, _Said] = {}
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

    def apply(self) -> None:
        """Decide every line and write everything that follows from it."""
        self._look_up()
        for line in self.lines:
            if line.refusal is None:
                try:
                    self._decide(line)
                except Refusal as refusal:
                    line.refusal = refusal
            if line.refusal is not None:
                self._refuse(line, line.refusal)
        self._write()

    # ------------------------------------------------------------ reading
    def _look_up(self) -> None:
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
            self.said = {jti: _Said(*about) for jti, *about in cursor.fetchall()}
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
            values.update(_values(line))
        self.known = known_of(values, partner_id=self.sender.partner.id, at=self.sender.received_at)
        self.counting.begin(streams, settings_of)

    # ------------------------------------------------------------ deciding
    def _decide(self, line: Line) -> None:
        assert line.jws is not None
        assert line.key is not None
        assert line.claims is not None
        if self._has_fallen(line.key.id, self.sender.received_at):
            raise KeyNotActive("The key is compromised; sign with an active key.")
        earlier = self.said.get(line.jti)
        if earlier is not None:
            if earlier.typ != line.typ or earlier.digest != line.jws.digest:
                raise JtiReused("An earlier statement of the partner has this jti and other bytes.", pointer="/jti")
            if earlier.typ != "signal+jws" and (
                earlier.effect == "undone" or self._has_fallen(earlier.key_id, earlier.received_at)
            ):
                raise JtiReused(
                    "It was signed with a key that has fallen; say it again under a new jti.", pointer="/jti"
                )
            self._accept(line, earlier.id, earlier.signal_id)
            return
        if isinstance(line.claims, SignalClaims):
            signal = self._revise(line, line.claims) if line.claims.supersedes else self._begin(line, line.claims)
            self._say(line, signal.id)
            for waiting in self.waiting.pop(line.jti, []):
                self._meet(waiting, signal, line)
            verdict = State.HELD.value if signal.state == State.HELD.value else "accepted"
            self._accept(line, line.id, signal.id, verdict=verdict)
        elif isinstance(line.claims, ReceiptClaims):
            receipt = receipt_of(line, self.named, partner_id=self.sender.partner.id, at=self.sender.received_at)
            self.receipts.append(receipt)
            self._say(line, receipt.signal_id)
            self._accept(line, line.id, receipt.signal_id)
        elif isinstance(line.claims, OpinionClaims | OutcomeClaims):
            about = self.heard.hear(line, self.named)
            self._say(line, about)
            self._accept(line, line.id, about)
        elif isinstance(line.claims, RetractionClaims):
            self._accept(line, line.id, self._take_back(line, line.claims))
        else:
            self._accept(line, line.id, self._about(line, line.claims))

    def _take_back(self, line: Line, claims: RetractionClaims) -> uuid.UUID:
        assert line.programme is not None
        said = self.said.get(claims.about.jti) if claims.about.iss == self.sender.partner.slug else None
        if said is None or said.typ not in _WORDS or said.digest != from_base64url(claims.about.digest):
            raise UnknownStatement("The partner has no opinion or outcome with this jti and digest.", pointer="/about")
        if said.programme_id != line.programme.id or said.signal_id is None:
            raise UnknownStatement("The opinion or outcome belongs to another programme.", pointer="/programme")
        self.heard.take_back(line, said.id, said.signal_id)
        self._say(line, said.signal_id)
        return said.signal_id

    def _begin(self, line: Line, claims: SignalClaims) -> NewSignal:
        assert line.key is not None
        assert line.programme is not None
        assert line.reading is not None
        assert line.index is not None
        assert line.expires_at is not None
        reasons = self._reasons_to_hold(line, is_flood=self._is_flood(line))
        signal = NewSignal(
            programme_id=line.programme.id,
            issuer_id=self.sender.partner.id,
            statement_id=line.id,
            key_id=line.key.id,
            received_at=self.sender.received_at,
            indicator_type=claims.indicator.type,
            origin=claims.origin,
            violation=claims.violation,
            tlp=claims.handling.tlp,
            permitted=list(claims.handling.permitted),
            audience="only" if claims.handling.audience == "routed" else "programme",
            is_awaiting_routing=claims.handling.audience == "routed",
            state=State.HELD.value if reasons else State.VERIFIED.value,
            held_reasons=reasons,
            index_key_id=line.index.key_id,
            value_index=line.index.digest,
            verified_at=self.at,
            changed_at=self.at,
            expires_at=line.expires_at,
        )
        self.signals[signal.id] = signal
        self.new_signals.append(signal)
        if line.ties:
            self.ties[signal.id] = line.ties
        return signal

    def _revise(self, line: Line, claims: SignalClaims) -> AnySignal:
        assert line.key is not None
        assert line.reading is not None
        assert line.index is not None
        assert line.expires_at is not None
        assert line.programme is not None
        said = self.said.get(claims.supersedes or "")
        signal = self.signals.get(said.signal_id) if said is not None and said.signal_id is not None else None
        if said is None or signal is None or said.typ != "signal+jws":
            raise UnknownSignal("The partner has no signal with this jti.", pointer="/supersedes")
        scope = f"programme:{line.programme.slug}"
        same_value = bytes(signal.value_index or b"") in {
            index.digest for index in keyring.blind_indexes(scope, line.reading.index_key)
        }
        if signal.programme_id != line.programme.id or not same_value:
            raise SupersededMismatch(
                "A revision keeps its signal's programme, type and value; withdraw it and submit a new one instead.",
                pointer="/supersedes",
            )
        if self._is_gone(signal):
            raise SupersededMismatch("The signal has been removed; submit it as a new one.", pointer="/supersedes")
        if signal.position is not None and claims.handling.audience == "routed" and self._routing_fell(signal):
            raise SupersededMismatch(
                "Its routing was signed with a key that has fallen; withdraw it and submit it anew.",
                pointer="/supersedes",
            )
        self._check_not_narrower(signal, claims)
        if signal.has_legal_hold:
            line.sealed = self._seal_under_hold(signal.statement_id, line, scope)
        routed = claims.handling.audience == "routed"
        if not routed and signal.audience != "programme":
            signal.audience, signal.audience_partners, signal.is_awaiting_routing = "programme", [], False
            signal.routing_key_id, signal.routed_at = None, None
        signal.statement_id, signal.key_id, signal.received_at = line.id, line.key.id, self.sender.received_at
        signal.is_cleared = False  # a person cleared what was said then, not what is said now
        signal.origin = claims.origin
        signal.violation, signal.tlp, signal.permitted = (
            claims.violation,
            claims.handling.tlp,
            list(claims.handling.permitted),
        )
        signal.index_key_id, signal.value_index, signal.expires_at = (
            line.index.key_id,
            line.index.digest,
            line.expires_at,
        )
        (self.ties if isinstance(signal, NewSignal) else self.ties_anew)[signal.id] = line.ties
        if signal.state in _OUT:
            self.moves[signal.id] = Kind.REVISED
        elif signal.state == State.QUARANTINED.value and signal.position is not None:
            self.moves[signal.id] = (
                Kind.RESTORED
            )  # said again under a good key: what the fall made doubtful stands anew
        else:
            signal.removal, signal.removed_at = "", None
            was_flood = HoldReason.FLOOD.value in signal.held_reasons  # revising it is no way out
            reasons = self._reasons_to_hold(line, is_flood=was_flood)
            signal.state, signal.held_reasons = (State.HELD.value if reasons else State.VERIFIED.value), reasons
        self._mark(signal)
        return signal

    def _seal_under_hold(self, statement_id: uuid.UUID, line: Line, scope: str) -> bytes:
        """A revision of a signal under legal hold is kept by the hold's key too, not by its month's."""
        standing = Statement.objects.values_list("sealed", flat=True).get(id=statement_id)
        sealer = keyring.sealer(scope, keyring.period_of(bytes(standing or b"")))
        return sealer.seal(keyring.open_sealed(line.sealed, context=context(line.id)), context=context(line.id))

    def _check_not_narrower(self, signal: AnySignal, claims: SignalClaims) -> None:
        if signal.violation != claims.violation:
            raise SupersededMismatch(
                "A revision keeps its signal's violation, which readers filter on.", pointer="/violation"
            )
        was = "programme" if signal.audience == "programme" else "routed"
        if was == "programme" and claims.handling.audience == "routed":
            raise AudienceNarrowed(
                "An audience only widens; withdraw the signal and submit it anew.", pointer="/handling/audience"
            )
        colours = handling.TLP
        if colours[handling.Tlp(claims.handling.tlp)].openness < colours[handling.Tlp(signal.tlp)].openness:
            raise AudienceNarrowed(
                "The TLP only loosens; withdraw the signal and submit it anew.", pointer="/handling/tlp"
            )

    def _about(self, line: Line, claims: RoutingClaims | WithdrawalClaims) -> uuid.UUID | None:
        assert line.key is not None
        if claims.about.iss != self.sender.partner.slug:
            raise UnknownSignal("A partner routes and withdraws its own signals only.", pointer="/about/iss")
        said = self.said.get(claims.about.jti)
        if said is None:
            self._count_waiting()
            self._say(line, None, effect="waiting")
            return None
        signal = self.signals.get(said.signal_id) if said.signal_id is not None else None
        if signal is None or said.typ != "signal+jws" or said.digest != from_base64url(claims.about.digest):
            raise UnknownSignal("The partner has no signal with this jti and digest.", pointer="/about")
        if signal.programme_id != (line.programme.id if line.programme else 0):
            raise UnknownSignal("The signal belongs to another programme.", pointer="/programme")
        if isinstance(claims, WithdrawalClaims):
            self._withdraw(signal, line.id)
        else:
            audience = _routed("only" if claims.only is not None else "except", line.routed_to, signal.issuer_id)
            self._route(signal, audience, key_id=line.key.id, received_at=self.sender.received_at)
        self._say(line, signal.id)
        return signal.id

    def _count_waiting(self) -> None:
        if self.room_to_wait is None:
            with connection.cursor() as cursor:
                cursor.execute(_HOW_MANY_WAIT, [self.sender.partner.id])
                self.room_to_wait = settings.MAX_WAITING_STATEMENTS - cursor.fetchone()[0]
        if self.room_to_wait <= 0:
            raise TooManyWaiting("Too many statements of the partner wait for their signals.", pointer="/about")
        self.room_to_wait -= 1

    def _meet(self, waiting: AnyStatement, signal: AnySignal, line: Line) -> None:
        """A withdrawal or routing that came before its signal takes effect on it now, or is refused at last.

        What is refused late is as if it had been refused at once: its jti is free again, and the signal stands.
        """
        assert line.jws is not None
        try:
            if bytes(waiting.about_digest or b"") != line.jws.digest or waiting.programme_id != signal.programme_id:
                raise UnknownSignal("The partner has no signal with this jti and digest.", pointer="/about")
            if self._has_fallen(waiting.key_id, waiting.received_at):
                raise KeyNotActive("The key that signed it is compromised; sign with an active key.")
            if waiting.typ == "withdrawal+jws":
                self._withdraw(signal, waiting.id)
            else:
                audience = _routed(waiting.routed_kind, waiting.routed_partners, signal.issuer_id)
                self._route(signal, audience, key_id=waiting.key_id, received_at=waiting.received_at)
        except Refusal as refusal:
            self._refuse_late(waiting, refusal)
        else:
            waiting.signal_id, waiting.effect = signal.id, "effective"
            self.met.append(waiting)

    def _withdraw(self, signal: AnySignal, statement_id: uuid.UUID) -> None:
        if self._is_gone(signal):
            return  # already removed: saying so again changes nothing
        signal.withdrawal_id = statement_id
        if signal.state in _OUT:
            self.moves[signal.id] = Kind.WITHDRAWN
        else:
            signal.state, signal.removal = State.WITHDRAWN.value, "withdrawn"
            signal.removed_at = signal.removed_at or self.at
            self.moves.pop(signal.id, None)
            self.events.append(self._withdrawn(signal.id, self.slugs[signal.programme_id]))
        self._mark(signal)

    def _refuse_late(self, waiting: AnyStatement, refusal: Refusal) -> None:
        self.said.pop(waiting.jti, None)
        if isinstance(waiting, Statement):
            self.refused_late.append((waiting, refusal))
        else:
            self.new_statements.remove(waiting)
            for number, verdict in enumerate(self.verdicts):
                if verdict[_STATEMENT_ID] == waiting.id:
                    self.verdicts[number] = (*verdict[:4], *_refused(refusal))
        self._note("statement.refused", [], {"typ": waiting.typ, "code": refusal.code, "late": True}, None)

    def _route(self, signal: AnySignal, audience: _Routed, *, key_id: int, received_at: datetime) -> None:
        if self._is_gone(signal):
            raise UnknownSignal("The signal has been removed.", pointer="/about")
        if signal.position is not None and self._is_hidden(signal):
            raise CannotMove(
                "The signal is quarantined; who may see it changes only while it is served.", state="quarantined"
            )
        if signal.audience == "programme":
            raise AudienceNarrowed("The signal is for the whole programme; an audience only widens.", pointer="/about")
        if self._routing_fell(signal):  # nobody has seen it: whom the fallen key named counts no more
            signal.is_awaiting_routing, signal.audience, signal.audience_partners = True, "only", []
            self.unrouted.append(signal.id)
        old = _Routed(signal.audience, frozenset(signal.audience_partners))
        if not signal.is_awaiting_routing:
            if old == audience:
                return
            handling.require_widening(_as_audience(old, signal.tlp), _as_audience(audience, signal.tlp))
        if handling.TLP[handling.Tlp(signal.tlp)].needs_only and audience.kind != "only":
            raise TlpNeedsRouting("A red signal is routed to named partners with `only`.", pointer="/except")
        signal.audience, signal.audience_partners = audience.kind, sorted(audience.partners)
        signal.is_awaiting_routing = False
        signal.routing_key_id, signal.routed_at = key_id, received_at
        if audience.kind == "only":
            known = old.partners if old.kind == "only" else frozenset()
            self.routes += [(signal.id, partner, signal.programme_id) for partner in sorted(audience.partners - known)]
        if signal.state in _OUT and self.moves.get(signal.id) is None:
            self.moves[signal.id] = Kind.WIDENED
        self._mark(signal)

    def _is_flood(self, line: Line) -> bool:
        """Whether a new signal is one too many, of its partner's or of its value; it is counted either way."""
        assert line.reading is not None
        assert line.programme is not None
        is_on = line.programme.gates.get(HoldReason.FLOOD) is not False
        stream = (line.programme.id, line.reading.type)
        allowance = flood.allowance_of(line.programme.gates)
        is_own, is_anybodys = self.counting.is_burst(stream), False
        for value in _values(line):
            known = self.known.setdefault(value, Known())
            is_own |= flood.repeats_too_often(known.repeats, allowance)
            is_anybodys |= flood.is_met_too_often(known.partners, allowance)
            known.repeats += 1
        if is_own and is_on:
            self.counting.note_flood(stream)
        return is_own or is_anybodys

    def _reasons_to_hold(self, line: Line, *, is_flood: bool) -> list[str]:
        assert line.reading is not None
        assert line.programme is not None
        facts = gates.GateFacts(
            weaknesses=line.reading.weaknesses,
            is_known_benign=line.number in self.harmless,
            is_probationary=self.sender.partner.is_probationary,
            is_contested=any(self.known[value].is_contested for value in _values(line) if value in self.known),
            is_flood=is_flood,
            settings=line.programme.gates,
        )
        return [reason.value for reason in gates.hold_reasons(facts)]

    # ------------------------------------------------------------ noting
    def _say(self, line: Line, signal_id: uuid.UUID | None, *, effect: str = "effective") -> None:
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
        self.said[line.jti] = _Said(
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

    def _is_gone(self, signal: AnySignal) -> bool:
        return signal.state in _GONE or self.moves.get(signal.id) == Kind.WITHDRAWN

    def _has_fallen(self, key_id: int, received_at: datetime) -> bool:
        since = self.fallen.get(key_id, _NEVER)
        return since is None or received_at >= since

    def _routing_fell(self, signal: AnySignal) -> bool:
        if signal.routing_key_id is None or signal.routed_at is None or signal.is_cleared:
            return False
        return self._has_fallen(signal.routing_key_id, signal.routed_at)

    def _is_hidden(self, signal: AnySignal) -> bool:
        """Whether a signal that is out is served as quarantined: moved already, or its key fell a moment ago."""
        if signal.state == State.QUARANTINED.value:
            return self.moves.get(signal.id) != Kind.RESTORED
        fell = self._has_fallen(signal.key_id, signal.received_at) or self._routing_fell(signal)
        return fell and not signal.is_cleared

    def _mark(self, signal: AnySignal) -> None:
        if isinstance(signal, Signal):
            self.changed[signal.id] = signal

    def _accept(
        self, line: Line, statement_id: uuid.UUID, signal_id: uuid.UUID | None, *, verdict: str = "accepted"
    ) -> None:
        assert line.jws is not None
        self.verdicts.append(
            (self.submission_id, line.number, line.typ, line.jti, verdict, "", "", "", statement_id, signal_id)
        )
        if statement_id == line.id and line.programme is not None:
            subjects = [f"signal:{signal_id}"] if signal_id is not None else [f"submission:{self.submission_id}"]
            subjects.append(f"programme:{line.programme.slug}")
            action = "statement.held" if verdict == "held" else "statement.accepted"
            self._note(action, subjects, {"line": line.number, "typ": line.typ, "kid": line.jws.kid}, line.jws.digest)

    def _refuse(self, line: Line, refusal: Refusal) -> None:
        self.verdicts.append((self.submission_id, line.number, line.typ, line.jti, *_refused(refusal)))
        facts: dict[str, Json] = {"line": line.number, "typ": line.typ, "code": refusal.code}
        self._note("statement.refused", [], facts, None)

    def _note(self, action: str, subjects: list[str], facts: dict[str, Json], digest: bytes | None) -> None:
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

    # ------------------------------------------------------------ writing
    def _write(self) -> None:
        self._write_late_refusals()
        rows.write(self.new_signals, self.new_statements)
        tie.write_new(self.ties)
        if self.ties_anew:
            tie.write_anew(self.ties_anew)
        Receipt.objects.bulk_create(self.receipts)
        self.heard.write()
        self.counting.write()
        copy_rows(Verdict, _VERDICT_COLUMNS, self.verdicts)
        if self.met:
            earlier = [row for row in self.met if isinstance(row, Statement)]
            Statement.objects.bulk_update(earlier, ["signal_id", "effect"])
            tell_met(earlier, at=self.at)
        for row in self.met:
            Verdict.objects.filter(statement_id=row.id, signal_id__isnull=True).update(signal_id=row.signal_id)
        if self.changed:
            Signal.objects.bulk_update(self.changed.values(), _REVISABLE)
        if self.unrouted:
            with connection.cursor() as cursor:
                cursor.execute("DELETE FROM signals_route WHERE signal_id = ANY(%s)", [self.unrouted])
        if self.routes:
            copy_rows(
                Route,
                ["signal_id", "partner_id", "programme_id", "position"],
                ((*route, self.signals[route[0]].position) for route in self.routes),
            )
        record_many(self.events)
        self._move()

    def _write_late_refusals(self) -> None:
        """First of all: a late refusal frees its jti, which a later line of this very batch may have taken."""
        for row, refusal in self.refused_late:
            Statement.objects.filter(id=row.id).delete()
            tell_refused([row], code=refusal.code, at=self.at)
            verdict, code, detail, pointer, statement_id, _ = _refused(refusal)
            Verdict.objects.filter(statement_id=row.id, signal_id__isnull=True).update(
                verdict=verdict, code=code, detail=detail, pointer=pointer, statement_id=statement_id
            )

    def _move(self) -> None:
        groups: dict[tuple[int, Kind], list[uuid.UUID]] = {}
        for identity, kind in self.moves.items():
            groups.setdefault((self.signals[identity].programme_id, kind), []).append(identity)
        for (programme_id, kind), ids in sorted(groups.items()):
            taken = take_positions(programme_id, ids, kind=kind, at=self.at)
            self._record_move(kind, self.slugs[programme_id], ids, taken)
            wake.changed(programme_id, taken.to)
        if self.moves:
            wake.deliver()

    def _record_move(self, kind: Kind, slug: str, ids: Iterable[uuid.UUID], taken: Taken) -> None:
        if kind != Kind.WITHDRAWN:
            record_moves(f"signal.{kind.value}", slug, taken)
            return
        record_many([self._withdrawn(identity, slug, head=taken.to) for identity in ids])

    def _withdrawn(self, signal_id: uuid.UUID, slug: str, **facts: Json) -> Event:
        actor = f"partner:{self.sender.partner.slug}"
        return Event("signal.withdrawn", actor, self.at, (f"signal:{signal_id}", f"programme:{slug}"), facts)


def _refused(refusal: Refusal) -> tuple[object, ...]:
    """The last six columns of a refused line's verdict."""
    return "refused", refusal.code, refusal.detail[:500], (refusal.pointer or "")[:200], None, None


def _routed(kind: str, partners: Iterable[int], issuer: int) -> _Routed:
    """A routing's audience; the issuer is always in it, whatever the routing says."""
    named = frozenset(partners)
    return _Routed("only", named | {issuer}) if kind == "only" else _Routed("except", named - {issuer})


def _values(line: Line) -> Sequence[Value]:
    """The line's value by every live index key; more than one only while the keys are being replaced."""
    assert line.programme is not None
    assert line.index is not None
    return [(line.programme.id, digest) for digest in (line.index.digest, *line.other_indexes)]


def _as_audience(routed: _Routed, tlp: str) -> Audience:
    kind: Literal["only", "except"] = "only" if routed.kind == "only" else "except"
    return Audience(kind, frozenset(map(str, routed.partners)), handling.Tlp(tlp))


def lock_issuer(partner_id: int) -> None:
    """Take a partner's turn until the transaction ends: its submissions take effect one after the other."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [f"heliograph issuer {partner_id}"])


_VERDICT_COLUMNS = [
    *("submission_id", "line", "typ", "jti", "verdict", "code", "detail", "pointer", "statement_id", "signal_id"),
]
_STATEMENT_ID = _VERDICT_COLUMNS.index("statement_id")
_REVISABLE = [
    *("statement_id", "key_id", "received_at", "violation", "tlp", "permitted", "audience", "audience_partners"),
    *("is_awaiting_routing", "state", "removal", "removed_at", "held_reasons", "withdrawal_id", "index_key_id"),
    *("value_index", "expires_at", "is_cleared", "routing_key_id", "routed_at", "origin"),
]

# Arrays, not one parameter a jti: a thousand of those cost Django more than the look-up costs PostgreSQL.
_SAID = """
SELECT jti, id, typ, digest, signal_id, effect, key_id, received_at, programme_id
  FROM signals_statement WHERE partner_id = %s AND jti = ANY(%s::text[])
"""
_HOW_MANY_WAIT = "SELECT count(*) FROM signals_statement WHERE partner_id = %s AND effect = 'waiting'"
_WAITING = """
SELECT * FROM signals_statement WHERE partner_id = %s AND about_jti = ANY(%s::text[]) AND effect = 'waiting'
 ORDER BY received_at, id
"""
