"""Show somebody of the staff many values at once: asked for, agreed to by a second person, shown once, written down."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from django.contrib.auth.models import User
from django.db import transaction

from hub.ledger.leaf import Json
from hub.ledger.record import Event, record_many
from hub.ledger.tlog.merkle import leaf_hashes, root_of
from hub.staff import approvals
from hub.staff.approvals import Act
from hub.staff.models import Approval
from hub.staff.roles import Capability, Who
from partners import public
from signals.core.refusals import CannotMove
from signals.lifecycle.reveal import Revealed, opened
from signals.models import RevealMany, RevealState, Signal, Statement

GRANTED_FOR: Final = timedelta(hours=24)
"""How long somebody has to look once a second person has agreed."""

_SUBJECT = "reveal:"


@dataclass(frozen=True, slots=True)
class Shown:
    """One of many: the value and the note, or none where nothing is left to open."""

    signal_id: UUID
    revealed: Revealed | None


def ask(signal_ids: Collection[UUID], *, reason: str, by: User, at: datetime) -> RevealMany:
    """Ask to see the values of up to 200 signals; nothing is opened before a second person agrees.

    Refuses CannotMove for none, for too many, and for what there is not; ReasonMissing without a reason.
    """
    ids = sorted(set(signal_ids))
    if not 1 <= len(ids) <= RevealMany.MOST:
        raise CannotMove(f"Choose between one and {RevealMany.MOST} signals.")
    if Signal.objects.filter(id__in=ids).count() != len(ids):
        raise CannotMove("One of these signals is gone. Choose anew.")
    with transaction.atomic():
        asked = RevealMany.objects.create(signal_ids=ids, asked_by=f"staff:{by.pk}", asked_at=at)
        facts: dict[str, Json] = {"signals": len(ids), "root": _root(ids)}
        approvals.propose(REVEAL_MANY, by=by, subject=f"{_SUBJECT}{asked.pk}", facts=facts, reason=reason, at=at)
    return asked


def show(reveal_id: UUID, *, actor: str, at: datetime) -> list[Shown]:
    """Open what one asked for, once; who saw which is written down in the transaction that opens the seals.

    Refuses CannotMove unless it is this person's, a second one has agreed, and it was not looked at before.
    """
    with transaction.atomic():
        asked = RevealMany.objects.select_for_update().filter(pk=reveal_id, asked_by=actor).first()
        if asked is None or not may_look(asked, at=at):
            raise CannotMove(
                "There is nothing to look at: nobody has agreed yet, or you have seen it, or a day is over."
            )
        asked.state, asked.shown_at = RevealState.SHOWN.value, at
        asked.save(update_fields=["state", "shown_at"])
        found = _open(asked.signal_ids)
        seen = [one for one in found if one.revealed is not None]
        facts: dict[str, Json] = {"together": len(seen)}
        record_many(
            [
                Event("value.revealed", actor, at, (f"signal:{one.signal_id}", f"{_SUBJECT}{asked.pk}"), facts, {})
                for one in seen
            ]
        )
    return found


def end_restored() -> list[UUID]:
    """End what waits to be looked at in a backup that was put back, for it may have been seen since; returns its ids.

    In the caller's transaction, whose leaf says that the hub was restored.
    """
    rows = RevealMany.objects.select_for_update().filter(state=RevealState.GRANTED.value)
    ended = list(rows.order_by("pk").values_list("pk", flat=True))
    RevealMany.objects.filter(pk__in=ended).update(state=RevealState.OVER.value)
    return ended


def may_look(asked: RevealMany, *, at: datetime) -> bool:
    """Whether whoever asked may look now."""
    is_granted = asked.state == RevealState.GRANTED and asked.approved_at is not None
    return is_granted and asked.approved_at is not None and at - asked.approved_at <= GRANTED_FOR


def _open(ids: Sequence[UUID]) -> list[Shown]:
    signals = Signal.objects.in_bulk(ids)
    statements = Statement.objects.in_bulk([signal.statement_id for signal in signals.values()])
    shown = []
    for each in ids:
        statement = statements.get(signals[each].statement_id) if each in signals else None
        try:
            shown.append(Shown(each, opened(statement)))
        except CannotMove:
            shown.append(Shown(each, None))
    return shown


def _root(ids: Sequence[UUID]) -> str:
    """RFC 6962 over the ids, 16 bytes each, in their order."""
    return root_of(leaf_hashes(each.bytes for each in ids)).hex()


def _asked(approval: Approval) -> RevealMany:
    return RevealMany.objects.get(pk=UUID(approval.subject.removeprefix(_SUBJECT)))


def _describe(approval: Approval) -> Sequence[tuple[str, str]]:
    """Whose they are and what they are about; nothing that opens a seal, and nothing that changes by itself."""
    ids = _asked(approval).signal_ids
    rows = list(Signal.objects.filter(id__in=ids))
    partners, programmes = public.partner_slugs(), public.programme_slugs()
    counted = [
        ("Programme", Counter(programmes.get(row.programme_id, "?") for row in rows)),
        ("Said by", Counter(partners.get(row.issuer_id, "?") for row in rows)),
        ("Type", Counter(row.indicator_type for row in rows)),
        ("Violation", Counter(row.violation for row in rows)),
    ]
    return [
        ("What", f"The values and notes of {len(ids)} signals, shown in full to whoever asks, once"),
        *((name, ", ".join(f"{count} {word}" for word, count in sorted(counts.items()))) for name, counts in counted),
        ("Signals", ", ".join(str(each)[:8] for each in ids)),
        ("Chosen as", str(approval.facts["root"])),
    ]


def _perform(approval: Approval, who: Who) -> str:
    asked = RevealMany.objects.select_for_update().get(pk=_asked(approval).pk)
    if asked.state != RevealState.ASKED:
        raise CannotMove("This reveal waits for nobody any more.")
    asked.state, asked.approved_by, asked.approved_at = RevealState.GRANTED.value, who["actor"], who["at"]
    asked.save(update_fields=["state", "approved_by", "approved_at"])
    return f"Whoever asked may see {len(asked.signal_ids)} values, once, within a day."


def _lapse(approval: Approval, who: Who) -> None:
    del who  # the proposal's own leaf says who
    RevealMany.objects.filter(pk=_asked(approval).pk).update(state=RevealState.OVER.value)


REVEAL_MANY = approvals.register(
    Act(
        name="values.reveal-many",
        meaning="See many values in full",
        to_propose=Capability.SIGNALS_REVEAL,
        to_approve=Capability.SIGNALS_REVEAL,
        perform=_perform,
        describe=_describe,
        lapse=_lapse,
    )
)
