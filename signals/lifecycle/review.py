"""A person decides about a held signal: approve it, its checks run again, or refuse it; or take that back."""

from __future__ import annotations

from datetime import datetime
from typing import Protocol
from uuid import UUID

from django.db import transaction

from hub.ledger.record import record
from partners import public
from partners.public import MembershipFacts, ProgrammeFacts
from signals import wake
from signals.core.refusals import CannotMove
from signals.core.states import State
from signals.lifecycle.late import tell_authors
from signals.lifecycle.leave import look_again
from signals.lifecycle.moves import lock_signals
from signals.models import Distrust, Signal


def approve(signal_id: UUID, *, actor: str, at: datetime) -> Signal:
    """Let a held signal go on to be published, at a new position, if it would still be taken today.

    Refuses CannotMove when it is not held any more, has expired, its key has fallen, or its partner may not submit.
    """
    with transaction.atomic():
        signal = _held(signal_id)
        fallen = Distrust.objects.filter(key_id=signal.key_id).first()
        programme = public.programme_by_id(signal.programme_id)
        issuer = public.partner(signal.issuer_id)
        member = public.membership(signal.issuer_id, programme.slug, at=at)
        why_not = obstacle(signal, fallen=fallen, member=member, programme=programme, at=at)
        if why_not:
            raise CannotMove(why_not)
        signal.state = State.VERIFIED.value
        signal.verified_at = at
        signal.save(update_fields=["state", "verified_at"])
        record(
            "hold.approved",
            actor=actor,
            at=at,
            subjects=[f"signal:{signal.id}", f"partner:{issuer.slug}", f"programme:{programme.slug}"],
            facts={"reasons": list(signal.held_reasons)},
        )
        tell_authors([signal.id], state=State.VERIFIED, at=at)
        wake.publish()
    return signal


class Candidate(Protocol):
    """What is asked of a held signal before it may be published."""

    @property
    def expires_at(self) -> datetime:
        """When it ends."""

    @property
    def received_at(self) -> datetime:
        """When the hub received it."""

    @property
    def is_cleared(self) -> bool:
        """Whether an analyst let it stand although its key fell."""

    @property
    def violation(self) -> str:
        """Of the programme's words."""

    @property
    def indicator_type(self) -> str:
        """Of the indicator."""


def obstacle(
    signal: Candidate,
    *,
    fallen: Distrust | None,
    member: MembershipFacts | None,
    programme: ProgrammeFacts,
    at: datetime,
) -> str:
    """Why a held signal would not be taken today, in a sentence; empty if it would."""
    if signal.expires_at <= at:
        return "The signal has expired while it was held."
    is_distrusted = fallen is not None and (fallen.since is None or fallen.since <= signal.received_at)
    if is_distrusted and not signal.is_cleared:
        return "The key that signed it has fallen; the partner must say it again under a good key."
    if member is None or not member.may_submit:
        return "The partner may not submit to this programme at present."
    if signal.violation not in programme.violations or signal.indicator_type not in programme.indicator_types:
        return "The programme no longer takes this violation or type."
    return ""


def refuse(signal_id: UUID, *, actor: str, at: datetime) -> Signal:
    """Turn a held signal down; its author sees `refused-by-review`."""
    with transaction.atomic():
        signal = _held(signal_id)
        signal.state, signal.removal, signal.removed_at = State.REFUSED.value, "withdrawn", at
        signal.save(update_fields=["state", "removal", "removed_at"])
        record(
            "hold.refused",
            actor=actor,
            at=at,
            subjects=[f"signal:{signal.id}"],
            facts={"reasons": list(signal.held_reasons)},
        )
        tell_authors([signal.id], state=State.REFUSED, at=at)
    return signal


def hold_again(signal_id: UUID, *, actor: str, at: datetime) -> Signal:
    """Take an approval or a refusal back, while nobody has been served by it: the signal is held as before.

    Refuses CannotMove when it has been published, purged or withdrawn meanwhile, or has expired.
    """
    with transaction.atomic():
        signal = lock_signals([signal_id]).get(signal_id)
        if signal is None or not signal.held_reasons or signal.revision or signal.expires_at <= at:
            raise CannotMove("It has been published, withdrawn or has expired since: the decision stands.")
        if signal.state not in {State.VERIFIED.value, State.REFUSED.value}:
            raise CannotMove(f"The signal is {signal.state} by now: the decision stands.")
        look_again([signal])
        was = signal.state
        signal.state, signal.removal, signal.removed_at = State.HELD.value, "", None
        signal.save(update_fields=["state", "removal", "removed_at"])
        subjects = [f"signal:{signal.id}"]
        record("hold.reopened", actor=actor, at=at, subjects=subjects, facts={"was": was})
        tell_authors([signal.id], state=State.HELD, at=at)
    return signal


def _held(signal_id: UUID) -> Signal:
    signal = lock_signals([signal_id]).get(signal_id)
    if signal is None or signal.state != State.HELD.value:
        raise CannotMove("The signal is not held any more: somebody decided, or its author withdrew it.")
    return signal
