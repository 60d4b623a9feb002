"""Masked values: opened and masked for one page of rows, kept nowhere, for a stored mask would be personal data."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from uuid import UUID

import msgspec

from hub.vault import keyring
from signals.core import indicators
from signals.core.indicators import Reading
from signals.lifecycle.examine import context
from signals.models import Signal, Statement

LIMIT = 200  # seals opened for one page
ERASED = "erased"
UNREADABLE = "cannot be opened"


class _Indicator(msgspec.Struct, frozen=True):
    type: str
    value: str
    service: str | None = None


class _Indicated(msgspec.Struct, frozen=True):
    indicator: _Indicator


class _Observed(msgspec.Struct, frozen=True):
    first: int | None = None
    last: int | None = None


class Words(msgspec.Struct, frozen=True):
    """What the author said of the indicator, without the value and the note."""

    jti: str
    role: str = ""
    evidence: str = ""
    review: str = ""
    origin: str = ""
    severity: str = ""
    confidence: int | None = None
    incident: str | None = None
    observed: _Observed | None = None


class _Whole(msgspec.Struct, frozen=True):
    indicator: _Indicator
    signal: Words


_indicated = msgspec.json.Decoder(_Indicated)
_whole = msgspec.json.Decoder(_Whole)


@dataclass(frozen=True, slots=True)
class Said:
    """A statement opened for its page: `masked` for people; `reading` for the warning lists only."""

    masked: str
    words: Words | None = None
    reading: Reading | None = None


def masked(signals: Collection[Signal]) -> dict[UUID, str]:
    """The masked value of each signal, by its id. One query; at most LIMIT signals."""
    sealed = _sealed([signal.statement_id for signal in list(signals)[:LIMIT]])
    return {signal.id: _masked(signal.statement_id, sealed.get(signal.statement_id)) for signal in signals}


def said(signal: Signal) -> Said:
    """What the author said of a signal, the value masked. One query."""
    sealed = _sealed([signal.statement_id]).get(signal.statement_id)
    if sealed is None:
        return Said(ERASED)
    try:
        opened = keyring.open_sealed(sealed, context=context(signal.statement_id))
    except keyring.KeyDestroyed:
        return Said(ERASED)
    except keyring.CannotOpen:
        return Said(UNREADABLE)
    whole = _whole.decode(b"{" + opened + b"}")
    reading = indicators.read(whole.indicator.type, whole.indicator.value, service=whole.indicator.service)
    return Said(_with_service(reading.masked, reading.service), whole.signal, reading)


def readings(statements: Mapping[UUID, UUID]) -> dict[UUID, Reading]:
    """How the hub reads the value of each signal that can be opened: for comparing, never for a page. One query.

    Takes the ids of signals, each with its statement's.
    """
    sealed, found = _sealed(list(statements.values())[:LIMIT]), {}
    for identity, statement_id in statements.items():
        if statement_id not in sealed:
            continue
        try:
            opened = keyring.open_sealed(sealed[statement_id], context=context(statement_id))
        except (keyring.KeyDestroyed, keyring.CannotOpen):
            continue
        said = _indicated.decode(b"{" + opened + b"}").indicator
        found[identity] = indicators.read(said.type, said.value, service=said.service)
    return found


def _sealed(ids: Collection[UUID]) -> Mapping[UUID, bytes]:
    rows = Statement.objects.filter(id__in=list(ids), sealed__isnull=False).values_list("id", "sealed")
    return {identity: bytes(sealed or b"") for identity, sealed in rows}


def _masked(statement_id: UUID, sealed: bytes | None) -> str:
    if sealed is None:
        return ERASED
    try:
        opened = keyring.open_sealed(sealed, context=context(statement_id))
    except keyring.KeyDestroyed:
        return ERASED
    except keyring.CannotOpen:
        return UNREADABLE
    found = _indicated.decode(b"{" + opened + b"}").indicator
    return _with_service(indicators.INDICATOR_TYPES[found.type].mask(found.value), found.service)


def _with_service(value: str, service: str | None) -> str:
    return value if service is None else f"{value} at {service}"
