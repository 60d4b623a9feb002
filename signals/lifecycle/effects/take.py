"""Take the lines of a submission in their order, each by what it is, and write what came of them."""

from __future__ import annotations

import uuid

from django.db import connection

from hub.jose import from_base64url
from hub.refusal import Refusal
from signals.core.claims import (
    OpinionClaims,
    OutcomeClaims,
    ReceiptClaims,
    RetractionClaims,
    SignalClaims,
)
from signals.core.refusals import (
    JtiReused,
    KeyNotActive,
    UnknownStatement,
)
from signals.core.states import State
from signals.lifecycle.effects.about_own import meet, take_about
from signals.lifecycle.effects.batch import WORDS, Batch
from signals.lifecycle.effects.signal import begin, revise
from signals.lifecycle.effects.write import write
from signals.lifecycle.examine import Line
from signals.lifecycle.receipts import receipt_of


def take_effect(batch: Batch) -> None:
    """Decide every line and write everything that follows from it."""
    batch.look_up()
    for line in batch.lines:
        if line.refusal is None:
            try:
                _decide(batch, line)
            except Refusal as refusal:
                line.refusal = refusal
        if line.refusal is not None:
            batch.refuse(line, line.refusal)
    write(batch)


def _decide(batch: Batch, line: Line) -> None:
    assert line.jws is not None
    assert line.key is not None
    assert line.claims is not None
    if batch.has_fallen(line.key.id, batch.sender.received_at):
        raise KeyNotActive("The key is compromised; sign with an active key.")
    earlier = batch.said.get(line.jti)
    if earlier is not None:
        if earlier.typ != line.typ or earlier.digest != line.jws.digest:
            raise JtiReused("An earlier statement of the partner has this jti and other bytes.", pointer="/jti")
        if earlier.typ != "signal+jws" and (
            earlier.effect == "undone" or batch.has_fallen(earlier.key_id, earlier.received_at)
        ):
            raise JtiReused("It was signed with a key that has fallen; say it again under a new jti.", pointer="/jti")
        batch.accept(line, earlier.id, earlier.signal_id)
        return
    if isinstance(line.claims, SignalClaims):
        signal = revise(batch, line, line.claims) if line.claims.supersedes else begin(batch, line, line.claims)
        batch.say(line, signal.id)
        for waiting in batch.waiting.pop(line.jti, []):
            meet(batch, waiting, signal, line)
        verdict = State.HELD.value if signal.state == State.HELD.value else "accepted"
        batch.accept(line, line.id, signal.id, verdict=verdict)
    elif isinstance(line.claims, ReceiptClaims):
        receipt = receipt_of(line, batch.named, partner_id=batch.sender.partner.id, at=batch.sender.received_at)
        batch.receipts.append(receipt)
        batch.say(line, receipt.signal_id)
        batch.accept(line, line.id, receipt.signal_id)
    elif isinstance(line.claims, OpinionClaims | OutcomeClaims):
        about = batch.heard.hear(line, batch.named)
        batch.say(line, about)
        batch.accept(line, line.id, about)
    elif isinstance(line.claims, RetractionClaims):
        batch.accept(line, line.id, _take_back(batch, line, line.claims))
    else:
        batch.accept(line, line.id, take_about(batch, line, line.claims))


def _take_back(batch: Batch, line: Line, claims: RetractionClaims) -> uuid.UUID:
    assert line.programme is not None
    said = batch.said.get(claims.about.jti) if claims.about.iss == batch.sender.partner.slug else None
    if said is None or said.typ not in WORDS or said.digest != from_base64url(claims.about.digest):
        raise UnknownStatement("The partner has no opinion or outcome with this jti and digest.", pointer="/about")
    if said.programme_id != line.programme.id or said.signal_id is None:
        raise UnknownStatement("The opinion or outcome belongs to another programme.", pointer="/programme")
    batch.heard.take_back(line, said.id, said.signal_id)
    batch.say(line, said.signal_id)
    return said.signal_id


def lock_issuer(partner_id: int) -> None:
    """Take a partner's turn until the transaction ends: its submissions take effect one after the other."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [f"heliograph issuer {partner_id}"])
