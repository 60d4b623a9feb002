"""A withdrawal or a routing of one's own signal, also one that came before its signal."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from django.conf import settings
from django.db import connection

from hub.jose import from_base64url
from hub.refusal import Refusal
from signals.core import handling
from signals.core.claims import (
    RoutingClaims,
    WithdrawalClaims,
)
from signals.core.handling import Audience
from signals.core.refusals import (
    AudienceNarrowed,
    CannotMove,
    KeyNotActive,
    TlpNeedsRouting,
    TooManyWaiting,
    UnknownSignal,
)
from signals.core.states import State
from signals.lifecycle.effects.batch import OUT, STATEMENT_ID, Batch, refused_columns
from signals.lifecycle.examine import Line
from signals.lifecycle.moves import Kind
from signals.lifecycle.rows import AnySignal, AnyStatement
from signals.models import Statement

_HOW_MANY_WAIT = "SELECT count(*) FROM signals_statement WHERE partner_id = %s AND effect = 'waiting'"


@dataclass(frozen=True, slots=True)
class _Routed:
    """Whom a routing admits, by partner id."""

    kind: str
    partners: frozenset[int]


def take_about(batch: Batch, line: Line, claims: RoutingClaims | WithdrawalClaims) -> uuid.UUID | None:
    """Let it take effect on the signal, whose id is returned; None where it has yet to come, and this waits for it."""
    assert line.key is not None
    if claims.about.iss != batch.sender.partner.slug:
        raise UnknownSignal("A partner routes and withdraws its own signals only.", pointer="/about/iss")
    said = batch.said.get(claims.about.jti)
    if said is None:
        _count_waiting(batch)
        batch.say(line, None, effect="waiting")
        return None
    signal = batch.signals.get(said.signal_id) if said.signal_id is not None else None
    if signal is None or said.typ != "signal+jws" or said.digest != from_base64url(claims.about.digest):
        raise UnknownSignal("The partner has no signal with this jti and digest.", pointer="/about")
    if signal.programme_id != (line.programme.id if line.programme else 0):
        raise UnknownSignal("The signal belongs to another programme.", pointer="/programme")
    if isinstance(claims, WithdrawalClaims):
        _withdraw(batch, signal, line.id)
    else:
        audience = _routed("only" if claims.only is not None else "except", line.routed_to, signal.issuer_id)
        _route(batch, signal, audience, key_id=line.key.id, received_at=batch.sender.received_at)
    batch.say(line, signal.id)
    return signal.id


def _count_waiting(batch: Batch) -> None:
    if batch.room_to_wait is None:
        with connection.cursor() as cursor:
            cursor.execute(_HOW_MANY_WAIT, [batch.sender.partner.id])
            batch.room_to_wait = settings.MAX_WAITING_STATEMENTS - cursor.fetchone()[0]
    if batch.room_to_wait <= 0:
        raise TooManyWaiting("Too many statements of the partner wait for their signals.", pointer="/about")
    batch.room_to_wait -= 1


def meet(batch: Batch, waiting: AnyStatement, signal: AnySignal, line: Line) -> None:
    """A withdrawal or routing that came before its signal takes effect on it now, or is refused at last.

    What is refused late is as if it had been refused at once: its jti is free again, and the signal stands.
    """
    assert line.jws is not None
    try:
        if bytes(waiting.about_digest or b"") != line.jws.digest or waiting.programme_id != signal.programme_id:
            raise UnknownSignal("The partner has no signal with this jti and digest.", pointer="/about")
        if batch.has_fallen(waiting.key_id, waiting.received_at):
            raise KeyNotActive("The key that signed it is compromised; sign with an active key.")
        if waiting.typ == "withdrawal+jws":
            _withdraw(batch, signal, waiting.id)
        else:
            audience = _routed(waiting.routed_kind, waiting.routed_partners, signal.issuer_id)
            _route(batch, signal, audience, key_id=waiting.key_id, received_at=waiting.received_at)
    except Refusal as refusal:
        _refuse_late(batch, waiting, refusal)
    else:
        waiting.signal_id, waiting.effect = signal.id, "effective"
        batch.met.append(waiting)


def _withdraw(batch: Batch, signal: AnySignal, statement_id: uuid.UUID) -> None:
    if batch.is_gone(signal):
        return  # already removed: saying so again changes nothing
    signal.withdrawal_id = statement_id
    if signal.state in OUT:
        batch.moves[signal.id] = Kind.WITHDRAWN
    else:
        signal.state, signal.removal = State.WITHDRAWN.value, "withdrawn"
        signal.removed_at = signal.removed_at or batch.at
        batch.moves.pop(signal.id, None)
        batch.events.append(batch.withdrawn(signal.id, batch.slugs[signal.programme_id]))
    batch.mark(signal)


def _refuse_late(batch: Batch, waiting: AnyStatement, refusal: Refusal) -> None:
    batch.said.pop(waiting.jti, None)
    if isinstance(waiting, Statement):
        batch.refused_late.append((waiting, refusal))
    else:
        batch.new_statements.remove(waiting)
        for number, verdict in enumerate(batch.verdicts):
            if verdict[STATEMENT_ID] == waiting.id:
                batch.verdicts[number] = (*verdict[:4], *refused_columns(refusal))
    batch.note("statement.refused", [], {"typ": waiting.typ, "code": refusal.code, "late": True}, None)


def _route(batch: Batch, signal: AnySignal, audience: _Routed, *, key_id: int, received_at: datetime) -> None:
    if batch.is_gone(signal):
        raise UnknownSignal("The signal has been removed.", pointer="/about")
    if signal.position is not None and batch.is_hidden(signal):
        raise CannotMove(
            "The signal is quarantined; who may see it changes only while it is served.", state="quarantined"
        )
    if signal.audience == "programme":
        raise AudienceNarrowed("The signal is for the whole programme; an audience only widens.", pointer="/about")
    if batch.routing_fell(signal):  # nobody has seen it: whom the fallen key named counts no more
        signal.is_awaiting_routing, signal.audience, signal.audience_partners = True, "only", []
        batch.unrouted.append(signal.id)
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
        batch.routes += [(signal.id, partner, signal.programme_id) for partner in sorted(audience.partners - known)]
    if signal.state in OUT and batch.moves.get(signal.id) is None:
        batch.moves[signal.id] = Kind.WIDENED
    batch.mark(signal)


def _routed(kind: str, partners: Iterable[int], issuer: int) -> _Routed:
    """A routing's audience; the issuer is always in it, whatever the routing says."""
    named = frozenset(partners)
    return _Routed("only", named | {issuer}) if kind == "only" else _Routed("except", named - {issuer})


def _as_audience(routed: _Routed, tlp: str) -> Audience:
    kind: Literal["only", "except"] = "only" if routed.kind == "only" else "except"
    return Audience(kind, frozenset(map(str, routed.partners)), handling.Tlp(tlp))
