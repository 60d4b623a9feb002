"""The new rows of a batch as plain values: a model instance per line would cost half as much as its signature."""

from __future__ import annotations

import uuid
from collections.abc import Collection
from dataclasses import dataclass, field, fields
from datetime import datetime
from operator import attrgetter
from typing import TypeAlias

from signals.models import Signal, Statement
from signals.models.copying import copy_rows


@dataclass(slots=True)
class NewSignal:
    """A row of Signal before it is written: the same names, the same values."""

    programme_id: int
    issuer_id: int
    statement_id: uuid.UUID
    key_id: int
    received_at: datetime
    indicator_type: str
    origin: str
    violation: str
    tlp: str
    permitted: list[str]
    audience: str
    is_awaiting_routing: bool
    state: str
    held_reasons: list[str]
    index_key_id: str
    value_index: bytes
    verified_at: datetime
    changed_at: datetime
    expires_at: datetime
    id: uuid.UUID = field(default_factory=uuid.uuid4)
    audience_partners: list[int] = field(default_factory=list)
    removal: str = ""
    removed_at: datetime | None = None
    is_cleared: bool = False
    withdrawal_id: uuid.UUID | None = None
    revision: int = 0
    position: int | None = None
    has_legal_hold: bool = False
    routing_key_id: int | None = None
    routed_at: datetime | None = None


@dataclass(slots=True)
class NewStatement:
    """A row of Statement before it is written: the same names, the same values."""

    id: uuid.UUID
    partner_id: int
    jti: str
    typ: str
    digest: bytes
    key_id: int
    programme_id: int
    signal_id: uuid.UUID | None
    about_jti: str | None
    about_digest: bytes | None
    effect: str
    received_at: datetime
    sealed: bytes
    routed_kind: str = ""
    routed_partners: list[int] = field(default_factory=list)


AnySignal: TypeAlias = Signal | NewSignal
AnyStatement: TypeAlias = Statement | NewStatement

_SIGNAL = tuple(each.name for each in fields(NewSignal))
_STATEMENT = tuple(each.name for each in fields(NewStatement))


def write(signals: Collection[NewSignal], statements: Collection[NewStatement]) -> None:
    """Insert them, in this order: signals arrive in the order of their lines."""
    copy_rows(Signal, _SIGNAL, map(attrgetter(*_SIGNAL), signals))
    copy_rows(Statement, _STATEMENT, map(attrgetter(*_STATEMENT), statements))
