"""Show a member of staff an indicator's value in full: written down first, in the transaction that opens the seal."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import msgspec
from django.db import transaction

from hub.ledger.record import record
from hub.vault import keyring
from signals.core.refusals import CannotMove
from signals.lifecycle.examine import context
from signals.lifecycle.letters import answer_context
from signals.models import Attempt, Signal, Statement


class _Indicator(msgspec.Struct, frozen=True):
    type: str
    value: str
    service: str | None = None
    changes: tuple[str, ...] = ()


class _Note(msgspec.Struct, frozen=True):
    note: str | None = None


class _Said(msgspec.Struct, frozen=True):
    indicator: _Indicator
    signal: _Note


_decoder = msgspec.json.Decoder(_Said)


def read_answer(endpoint_id: UUID, *, actor: str, at: datetime) -> str:
    """What a receiver answered to the latest attempt that has an answer, and record who read it.

    A receiver may repeat what it was sent. Refuses CannotMove where there is nothing to read.
    """
    with transaction.atomic():
        attempts = Attempt.objects.filter(endpoint_id=endpoint_id, sealed_excerpt__isnull=False)
        attempt = attempts.order_by("-at").first()
        if attempt is None or attempt.sealed_excerpt is None:
            raise CannotMove("No receiver has answered with any text.")
        record("attempt.read", actor=actor, at=at, subjects=[f"endpoint:{endpoint_id}"])
        try:
            opened = keyring.open_sealed(bytes(attempt.sealed_excerpt), context=answer_context(endpoint_id))
        except keyring.KeyDestroyed:
            raise CannotMove("The key of that month has been destroyed; nobody can read it any more.") from None
    return f"{attempt.at:%Y-%m-%d %H:%M:%S} UTC, status {attempt.status}: {opened.decode('utf-8')}"


@dataclass(frozen=True, slots=True)
class Revealed:
    """What was sealed: the normalised value and the author's note. For one page's eyes; never logged, never stored."""

    type: str
    value: str
    service: str | None
    changes: tuple[str, ...]
    note: str | None


def reveal(signal_id: UUID, *, actor: str, at: datetime, reason: str = "") -> Revealed:
    """Open a signal's value and note, and record who saw them. Refuses CannotMove where nothing is left to open.

    The reason, where one is given, is kept as a commitment only: it may name a person.
    """
    with transaction.atomic():
        signal = Signal.objects.filter(id=signal_id).first()
        statement = Statement.objects.filter(id=signal.statement_id).first() if signal is not None else None
        why = {"reason": reason} if reason else {}
        record("value.revealed", actor=actor, at=at, subjects=[f"signal:{signal_id}"], private=why)
        return opened(statement)


def opened(statement: Statement | None) -> Revealed:
    """What a statement says, opened; the caller writes down, in the same transaction, who sees it.

    Refuses CannotMove where nothing is left to open.
    """
    if statement is None or statement.sealed is None:
        raise CannotMove("The value has been erased; nobody can read it any more.")
    try:
        whole = keyring.open_sealed(bytes(statement.sealed), context=context(statement.id))
    except keyring.KeyDestroyed:
        raise CannotMove("The key of the value's month has been destroyed; nobody can read it any more.") from None
    said = _decoder.decode(b"{" + whole + b"}")
    found = said.indicator
    return Revealed(found.type, found.value, found.service, found.changes, said.signal.note)
