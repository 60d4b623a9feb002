"""Two people for one act: somebody proposes it and says why, somebody else sees what will happen and lets it happen.

The act is done in the transaction that approves it. What the second person approves is exactly what the first proposed:
what an act says of itself is kept as a hash, and where it says something else by now, nothing is done.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeAlias
from uuid import UUID

from django.conf import settings
from django.contrib.auth.models import User
from django.db import transaction

from hub.ledger.leaf import Json
from hub.ledger.record import Event, record_many
from hub.refusal import Refusal
from hub.staff.models import Approval, ApprovalState
from hub.staff.roles import Capability, Who, has, require

_AT_ONCE = 200  # proposals that one call of the sweep lets expire
_SYSTEM = "system:approvals"

Description: TypeAlias = Sequence[tuple[str, str]]  # what stands before the second person: a name and a fact, in lines


@dataclass(frozen=True, slots=True, kw_only=True)
class Act:
    """Something that one person alone may not do.

    `describe` says in full what will happen to what, with nothing in it that needs revealing, and says the same as long
    as nothing that matters has changed: no ages, no counts that grow. `hold` locks the rows it reads, so that nothing
    changes between the last look and the act. `perform` makes one call to a verb and returns the sentence to show.
    `lapse` lets go of whatever waits for the proposal, in the transaction that refuses or withdraws it or lets it
    expire; the proposal says by then which of these it is.
    """

    name: str  # dotted: "staff.set-roles"
    meaning: str  # for a person: "Change somebody's roles"
    to_propose: Capability
    to_approve: Capability
    perform: Callable[[Approval, Who], str]
    describe: Callable[[Approval], Description]
    hold: Callable[[Approval], object] = lambda approval: None  # noqa: ARG005  nothing but the proposal itself
    lapse: Callable[[Approval, Who], object] = lambda approval, who: None  # noqa: ARG005  nothing waits for it


ACTS: dict[str, Act] = {}


def register(act: Act) -> Act:
    """Make an act known; the module of its admin page calls this when it is imported. Raises ValueError for a twin."""
    if act.name in ACTS:
        raise ValueError(f"There is an act {act.name!r} already.")
    ACTS[act.name] = act
    return act


class ReasonMissing(Refusal):
    """Nobody proposes or refuses without a reason."""

    code = "reason-missing"


class NotWaiting(Refusal):
    """There is no such proposal, or it has been decided, withdrawn or left too long."""

    code = "not-waiting"


class OwnProposal(Refusal):
    """The second person is somebody else than the first, and was here before the proposal was."""

    code = "own-proposal"


class NotOwnProposal(Refusal):
    """Only who proposed something withdraws it."""

    code = "not-own-proposal"


class ProposerMayNot(Refusal):
    """Who proposed it may not do so any more."""

    code = "proposer-may-not"


class Stale(Refusal):
    """What would happen now is not what was proposed."""

    code = "proposal-stale"


def propose(act: Act, *, by: User, subject: str, facts: Mapping[str, Json], reason: str, at: datetime) -> Approval:
    """Lay an act before a second person; nothing else happens yet.

    `subject` is what it is done to, as the ledger writes it; `facts` are closed values that name nobody, for they stand
    in the ledger (the reason is kept there as a commitment only). Refuses ReasonMissing; raises PermissionDenied for
    somebody who lacks `act.to_propose`.
    """
    with transaction.atomic():
        [proposer] = _people([by.pk])
        require(proposer, act.to_propose)
        approval = Approval(
            act=act.name,
            subject=subject,
            facts=json.loads(json.dumps(facts)),  # as it will come back from the database
            reason=_reason(reason),
            proposer=proposer,
            proposed_at=at,
            expires_at=at + timedelta(hours=settings.APPROVAL_HOURS),
        )
        approval.shown = digest(act.describe(approval))
        approval.save(force_insert=True)
        shown = approval.shown.hex()
        _record("approval.proposed", approval, actor=f"staff:{proposer.pk}", at=at, facts={"shown": shown})
    return approval


def hold_proposer(by: User) -> None:
    """Lock the account of who is about to propose, before what it is about: in the order in which `approve` locks.

    In the caller's transaction. Whoever proposes something about rows that it locks first calls this before.
    """
    _people([by.pk])


def approve(approval_id: UUID, *, by: User, at: datetime) -> str:
    """Do what was proposed, as its second person; returns the act's sentence.

    Both people are read anew and must hold their capability now. Refuses NotWaiting, OwnProposal, ProposerMayNot and
    Stale, and whatever the act refuses: then nothing happened, and the proposal still waits. Raises PermissionDenied
    for somebody who lacks the act's `to_approve`. Locks the proposal, the two accounts, then what the act holds.
    """
    with transaction.atomic():
        approval = _waiting(approval_id)
        answer = None if _let_expire(approval, at=at) else _grant(approval, by=by, at=at)
    if answer is None:
        raise _too_late(approval)
    return answer


def refuse(approval_id: UUID, *, by: User, reason: str, at: datetime) -> None:
    """Say no, as the second person, and why. Refuses NotWaiting, OwnProposal and ReasonMissing."""
    with transaction.atomic():
        approval = _waiting(approval_id)
        is_late = _let_expire(approval, at=at)
        if not is_late:
            act = _act(approval)
            [decider] = _people([by.pk])
            require(decider, act.to_approve)
            _check_is_somebody_else(approval, decider)
            _decide(approval, ApprovalState.REFUSED, by=decider, answer=_reason(reason), at=at)
            _record("approval.refused", approval, actor=f"staff:{decider.pk}", at=at, said=approval.answer)
            _lapse(approval, Who(actor=f"staff:{decider.pk}", at=at))
    if is_late:
        raise _too_late(approval)


def withdraw(approval_id: UUID, *, by: User, at: datetime) -> None:
    """Take back one's own proposal. Refuses NotWaiting and NotOwnProposal."""
    with transaction.atomic():
        approval = _waiting(approval_id)
        if approval.proposer_id != by.pk:
            raise NotOwnProposal("Only who proposed it withdraws it; you may refuse it.")
        _decide(approval, ApprovalState.WITHDRAWN, by=by, answer="", at=at)
        _record("approval.withdrawn", approval, actor=f"staff:{by.pk}", at=at)
        _lapse(approval, Who(actor=f"staff:{by.pk}", at=at))


def expire_proposals(*, at: datetime) -> int:
    """Let go of what nobody decided in time; returns how many. The sweep calls it until there are none."""
    with transaction.atomic():
        rows = Approval.objects.select_for_update(skip_locked=True)
        late = list(rows.filter(state=ApprovalState.WAITING.value, expires_at__lte=at)[:_AT_ONCE])
        for approval in late:
            _let_expire(approval, at=at)
    return len(late)


def expire_restored(*, actor: str, at: datetime) -> list[Approval]:
    """Let go of all that waits in a backup that was put back; returns what did.

    The backup does not know what was approved, refused or withdrawn since; nobody may approve what somebody refused.
    """
    with transaction.atomic():
        rows = Approval.objects.select_for_update().filter(state=ApprovalState.WAITING.value)
        waiting = list(rows.order_by("proposed_at", "pk"))
        for approval in waiting:
            _expire(approval, actor=actor, at=at)
    return waiting


def description(approval: Approval) -> Description:
    """What will happen, said by the act as things stand now; empty for an act that this version does not know."""
    act = ACTS.get(approval.act)
    return act.describe(approval) if act is not None else ()


def is_stale(approval: Approval, shown: Description) -> bool:
    """Whether this description is another than the one that was proposed."""
    return digest(shown) != bytes(approval.shown)


def digest(shown: Description) -> bytes:
    """SHA-256 over the lines, as JSON."""
    return hashlib.sha256(json.dumps([list(line) for line in shown]).encode()).digest()


def may_decide(approval: Approval, somebody: User) -> bool:
    """Whether this person may be the second one, as far as can be seen before the rows are locked."""
    act = ACTS.get(approval.act)
    return act is not None and approval.proposer_id != somebody.pk and has(somebody, act.to_approve)


def _grant(approval: Approval, *, by: User, at: datetime) -> str:
    act = _act(approval)
    people = {person.pk: person for person in _people({approval.proposer_id, by.pk})}
    approver, proposer = people[by.pk], people[approval.proposer_id]
    require(approver, act.to_approve)
    _check_is_somebody_else(approval, approver)
    if not has(proposer, act.to_propose):
        raise ProposerMayNot(f"{proposer.username} may not propose this any more; refuse it, or let it expire.")
    act.hold(approval)
    if is_stale(approval, act.describe(approval)):
        raise Stale("What it is about has changed since it was proposed. Nothing was done; it must be proposed anew.")
    actor = f"staff:{approver.pk}"
    answer = act.perform(approval, Who(actor=actor, at=at))
    _decide(approval, ApprovalState.GRANTED, by=approver, answer=answer, at=at)
    _record("approval.granted", approval, actor=actor, at=at, facts={"shown": bytes(approval.shown).hex()})
    return answer


def _check_is_somebody_else(approval: Approval, decider: User) -> None:
    """That nobody holds two accounts cannot be seen from here; that one was not made for this proposal can."""
    if decider.pk == approval.proposer_id:
        raise OwnProposal("You proposed this yourself: somebody else decides. You may withdraw it.")
    if decider.date_joined >= approval.proposed_at:
        raise OwnProposal("Your account is younger than this proposal: somebody who was here before decides.")


def _waiting(approval_id: UUID) -> Approval:
    approval = Approval.objects.select_for_update().filter(pk=approval_id).first()
    if approval is None:
        raise NotWaiting("There is no such proposal.")
    if approval.state != ApprovalState.WAITING:
        raise NotWaiting(f"This proposal waits no longer: it is {approval.state}.")
    return approval


def _act(approval: Approval) -> Act:
    act = ACTS.get(approval.act)
    if act is None:
        raise NotWaiting("This version of the hub does not know what was proposed; it must be proposed anew.")
    return act


def _people(pks: set[int] | list[int]) -> list[User]:
    """These accounts as they are now, locked in order, so that nobody loses a role while it is being used."""
    return list(User.objects.select_for_update(no_key=True).filter(pk__in=pks).order_by("pk"))


def _reason(reason: str) -> str:
    if not reason.strip():
        raise ReasonMissing("Say why: whoever looks at this later must understand it.")
    return reason.strip()


def _let_expire(approval: Approval, *, at: datetime) -> bool:
    if approval.expires_at > at:
        return False
    _expire(approval, actor=_SYSTEM, at=at)
    return True


def _expire(approval: Approval, *, actor: str, at: datetime) -> None:
    _decide(approval, ApprovalState.EXPIRED, by=None, answer="", at=at)
    _record("approval.expired", approval, actor=actor, at=at)
    _lapse(approval, Who(actor=actor, at=at))


def _lapse(approval: Approval, who: Who) -> None:
    act = ACTS.get(approval.act)  # an act that this version does not know holds nothing either
    if act is not None:
        act.lapse(approval, who)


def _too_late(approval: Approval) -> NotWaiting:
    return NotWaiting(f"This proposal expired at {approval.expires_at:%Y-%m-%d %H:%M} UTC; it must be proposed anew.")


def _decide(approval: Approval, state: ApprovalState, *, by: User | None, answer: str, at: datetime) -> None:
    approval.state, approval.decider, approval.answer, approval.decided_at = state.value, by, answer, at
    approval.save(update_fields=["state", "decider", "answer", "decided_at"])


def _record(
    action: str,
    approval: Approval,
    *,
    actor: str,
    at: datetime,
    facts: Mapping[str, Json] | None = None,
    said: str = "",
) -> None:
    """One leaf about the proposal, its subject and its proposer; what people wrote is kept as a commitment."""
    about = f"approval:{approval.pk}"
    subjects = tuple(dict.fromkeys((about, approval.subject, f"staff:{approval.proposer_id}")))
    known: dict[str, Json] = {"act": approval.act, "facts": approval.facts, **(facts or {})}
    private = {"reason": approval.reason, **({"answer": said} if said else {})}
    record_many([Event(action, actor, at, subjects, known, private, (about,))])
