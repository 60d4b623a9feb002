"""A partner says what it holds of another's signal, or did about it, or takes that back: the rows of such lines."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from signals.core.claims import OpinionClaims, OutcomeClaims
from signals.core.opinions import Opinion as Held
from signals.core.refusals import OwnSignal, UnknownSignal
from signals.lifecycle.about import Named, named, was_shown
from signals.lifecycle.examine import Line
from signals.models import Opinion, Outcome, Retraction, Signal, ToWeigh
from signals.models.copying import copy_rows

_OPINION = ("statement_id", "signal_id", "partner_id", "key_id", "held", "reason", "received_at")
_OUTCOME = ("statement_id", "signal_id", "partner_id", "key_id", "did", "review", "basis", "policy", "received_at")
_RETRACTION = ("statement_id", "retracted_id", "signal_id", "key_id", "received_at")


@dataclass(slots=True)
class Heard:
    """What the lines of one batch say about others' signals, to be written together."""

    partner_id: int
    at: datetime  # when the hub received it
    opinions: list[tuple[object, ...]] = field(default_factory=list)
    outcomes: list[tuple[object, ...]] = field(default_factory=list)
    retractions: list[tuple[object, ...]] = field(default_factory=list)
    touched: set[UUID] = field(default_factory=set)

    def hear(self, line: Line, signals: Mapping[Named, Signal]) -> UUID:
        """Take an opinion or outcome, and return the signal it is about.

        Refuses UnknownSignal in the same words whether there is no such signal or it is not for this partner, and
        OwnSignal.
        """
        assert isinstance(line.claims, OpinionClaims | OutcomeClaims)
        assert line.programme is not None
        assert line.key is not None
        signal = signals.get(named(line.claims.about))
        if signal is not None and signal.issuer_id == self.partner_id:
            raise OwnSignal("The signal is the partner's own.", pointer="/about/iss")
        if signal is None or signal.programme_id != line.programme.id or not was_shown(signal, self.partner_id):
            raise UnknownSignal("The partner has no signal with this jti and digest.", pointer="/about")
        said = (line.id, signal.id, self.partner_id, line.key.id)
        if isinstance(line.claims, OpinionClaims):
            self.opinions.append((*said, held(line.claims).value, line.claims.reason or "", self.at))
        else:
            claims = line.claims
            self.outcomes.append(
                (*said, list(claims.did), claims.review, claims.basis or "", claims.policy or "", self.at)
            )
        self.touched.add(signal.id)
        return signal.id

    def take_back(self, line: Line, retracted_id: UUID, signal_id: UUID) -> None:
        """Take a retraction of an earlier statement of the partner about this signal."""
        assert line.key is not None
        self.retractions.append((line.id, retracted_id, signal_id, line.key.id, self.at))
        self.touched.add(signal_id)

    def write(self) -> None:
        """Insert all of it; `signals.lifecycle.weigh` does the rest."""
        copy_rows(Opinion, _OPINION, self.opinions)
        copy_rows(Outcome, _OUTCOME, self.outcomes)
        copy_rows(Retraction, _RETRACTION, self.retractions)
        weigh_again(self.touched)


def held(claims: OpinionClaims) -> Held:
    """The opinion that these claims state."""
    return Held(f"confirm-{claims.observation}" if claims.opinion == "confirm" else claims.opinion)


def weigh_again(ids: Iterable[UUID]) -> None:
    """Have these signals weighed once the caller's transaction commits; doubles do no harm."""
    copy_rows(ToWeigh, ("signal_id",), ((identity,) for identity in ids))
