"""A signal is said: it begins, held or not, or it is revised."""

from __future__ import annotations

import uuid

from hub.vault import keyring
from signals.core import flood, gates, handling
from signals.core.claims import (
    SignalClaims,
)
from signals.core.gates import HoldReason
from signals.core.refusals import (
    AudienceNarrowed,
    SupersededMismatch,
    UnknownSignal,
)
from signals.core.states import State
from signals.lifecycle.effects.batch import OUT, Batch, values_of
from signals.lifecycle.examine import Line, context
from signals.lifecycle.moves import Kind
from signals.lifecycle.rows import AnySignal, NewSignal
from signals.models import Statement
from signals.same_value import Known


def begin(batch: Batch, line: Line, claims: SignalClaims) -> NewSignal:
    """A signal that nobody has heard of: verified, or held for the reasons that the gates give."""
    assert line.key is not None
    assert line.programme is not None
    assert line.reading is not None
    assert line.index is not None
    assert line.expires_at is not None
    reasons = _reasons_to_hold(batch, line, is_flood=_is_flood(batch, line))
    signal = NewSignal(
        programme_id=line.programme.id,
        issuer_id=batch.sender.partner.id,
        statement_id=line.id,
        key_id=line.key.id,
        received_at=batch.sender.received_at,
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
        verified_at=batch.at,
        changed_at=batch.at,
        expires_at=line.expires_at,
    )
    batch.signals[signal.id] = signal
    batch.new_signals.append(signal)
    if line.ties:
        batch.ties[signal.id] = line.ties
    return signal


def revise(batch: Batch, line: Line, claims: SignalClaims) -> AnySignal:
    """The same signal said anew: what is out moves, what is not is judged by the gates once more."""
    assert line.key is not None
    assert line.reading is not None
    assert line.index is not None
    assert line.expires_at is not None
    assert line.programme is not None
    said = batch.said.get(claims.supersedes or "")
    signal = batch.signals.get(said.signal_id) if said is not None and said.signal_id is not None else None
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
    if batch.is_gone(signal):
        raise SupersededMismatch("The signal has been removed; submit it as a new one.", pointer="/supersedes")
    if signal.position is not None and claims.handling.audience == "routed" and batch.routing_fell(signal):
        raise SupersededMismatch(
            "Its routing was signed with a key that has fallen; withdraw it and submit it anew.",
            pointer="/supersedes",
        )
    _check_not_narrower(signal, claims)
    if signal.has_legal_hold:
        line.sealed = _seal_under_hold(signal.statement_id, line, scope)
    routed = claims.handling.audience == "routed"
    if not routed and signal.audience != "programme":
        signal.audience, signal.audience_partners, signal.is_awaiting_routing = "programme", [], False
        signal.routing_key_id, signal.routed_at = None, None
    signal.statement_id, signal.key_id, signal.received_at = line.id, line.key.id, batch.sender.received_at
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
    (batch.ties if isinstance(signal, NewSignal) else batch.ties_anew)[signal.id] = line.ties
    if signal.state in OUT:
        batch.moves[signal.id] = Kind.REVISED
    elif signal.state == State.QUARANTINED.value and signal.position is not None:
        batch.moves[signal.id] = Kind.RESTORED  # said again under a good key: what the fall made doubtful stands anew
    else:
        signal.removal, signal.removed_at = "", None
        was_flood = HoldReason.FLOOD.value in signal.held_reasons  # revising it is no way out
        reasons = _reasons_to_hold(batch, line, is_flood=was_flood)
        signal.state, signal.held_reasons = (State.HELD.value if reasons else State.VERIFIED.value), reasons
    batch.mark(signal)
    return signal


def _seal_under_hold(statement_id: uuid.UUID, line: Line, scope: str) -> bytes:
    """A revision of a signal under legal hold is kept by the hold's key too, not by its month's."""
    standing = Statement.objects.values_list("sealed", flat=True).get(id=statement_id)
    sealer = keyring.sealer(scope, keyring.period_of(bytes(standing or b"")))
    return sealer.seal(keyring.open_sealed(line.sealed, context=context(line.id)), context=context(line.id))


def _check_not_narrower(signal: AnySignal, claims: SignalClaims) -> None:
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
        raise AudienceNarrowed("The TLP only loosens; withdraw the signal and submit it anew.", pointer="/handling/tlp")


def _is_flood(batch: Batch, line: Line) -> bool:
    """Whether a new signal is one too many, of its partner's or of its value; it is counted either way."""
    assert line.reading is not None
    assert line.programme is not None
    is_on = line.programme.gates.get(HoldReason.FLOOD) is not False
    stream = (line.programme.id, line.reading.type)
    allowance = flood.allowance_of(line.programme.gates)
    # Of one value by each index that it goes by: a signal goes by one of them, a partner may have met it by several.
    known = [batch.known.setdefault(value, Known()) for value in values_of(line)]
    is_burst = batch.counting.is_burst(stream)
    is_own = is_burst or flood.repeats_too_often(sum(each.repeats for each in known), allowance)
    is_anybodys = any(flood.is_met_too_often(each.partners, allowance) for each in known)
    known[0].repeats += 1
    if is_own and is_on:
        batch.counting.note_flood(stream)
    return is_own or is_anybodys


def _reasons_to_hold(batch: Batch, line: Line, *, is_flood: bool) -> list[str]:
    assert line.reading is not None
    assert line.programme is not None
    facts = gates.GateFacts(
        weaknesses=line.reading.weaknesses,
        is_known_benign=line.number in batch.harmless,
        is_probationary=batch.sender.partner.is_probationary,
        is_contested=any(batch.known[value].is_contested for value in values_of(line) if value in batch.known),
        is_flood=is_flood,
        settings=line.programme.gates,
    )
    return [reason.value for reason in gates.hold_reasons(facts)]
