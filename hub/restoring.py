"""Bring a database that was put back from a backup up to what its mirror remembers: the rights that were taken since.

A backup forgets revocations, suspensions, ends, withdrawals and purges. Serving from it would undo them. The mirror
holds their leaves; they are applied again here, each by the verb that made it, and a new epoch makes every channel walk
again. What was submitted since the backup is lost here; its partners still have it, and a `jti` makes submitting it
again safe. A suspension that was lifted again since comes back: lifting it is for a person.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from django.db import transaction

from hub.ledger import serving
from hub.ledger.epochs import record_restored, renew_epoch
from hub.ledger.leaf import Leaf
from hub.ledger.mirror import Mirror
from hub.refusal import Refusal
from hub.vault import keyring
from partners import public
from partners.lifecycle.end_membership import end_membership
from partners.lifecycle.part_with_partner import part_with_partner
from partners.lifecycle.revoke_api_key import revoke_api_key
from partners.lifecycle.suspend_membership import suspend_membership
from partners.lifecycle.suspend_partner import suspend_partner
from signals.lifecycle.endpoints import remove_endpoint
from signals.lifecycle.quarantine import revoke_compromised_key
from signals.lifecycle.reapply import purge_again, withdraw_again
from signals.models import Endpoint

ACTOR = "system:restore"


@dataclass(slots=True)
class Restored:
    """What was done: how many leaves were applied again per action, and which could not be, with the reason."""

    applied: dict[str, int] = field(default_factory=dict)
    skipped: list[str] = field(default_factory=list)
    epoch: int = 0


def restore(*, size: int, at: datetime) -> Restored:
    """Apply the mirror's leaves from index `size` on, renew the epoch, and put the mirror aside.

    `size` is the restored tree's. May be run again when it was interrupted: every verb it calls changes nothing twice.
    """
    result = Restored()
    mirror = Mirror()
    for index, leaf in mirror.journal(size):
        apply = _VERBS.get(leaf.action)
        if apply is None:
            continue
        try:
            apply(_Said.of(leaf), at)
        except Refusal as refusal:
            result.skipped.append(f"leaf {index}, {leaf.action}: {refusal.detail}")
        else:
            result.applied[leaf.action] = result.applied.get(leaf.action, 0) + 1
    with transaction.atomic():
        result.epoch = renew_epoch("restored", actor=ACTOR, at=at)
        record_restored(actor=ACTOR, at=at)
    mirror.archive(at=at)
    serving.forget()
    return result


@dataclass(frozen=True, slots=True)
class _Said:
    """A leaf's subjects by kind, and its facts."""

    subjects: dict[str, str]
    facts: dict[str, object]

    @classmethod
    def of(cls, leaf: Leaf) -> _Said:
        return cls({kind: name for kind, _, name in (s.id.partition(":") for s in leaf.subjects)}, leaf.facts)


def _partner_id(said: _Said) -> int:
    slug = said.subjects["partner"]
    found = public.partners_by_slug([slug]).get(slug)
    if found is None:
        raise _Unknown("The partner was enrolled after the backup.")
    return found.id


class _Unknown(Refusal):
    """The restored database never heard of it."""

    code = "unknown-after-restore"


def _revoke_key(said: _Said, at: datetime) -> None:
    since = said.facts.get("compromised_at")
    revoke_compromised_key(
        said.subjects["key"],
        partner_id=_partner_id(said),
        compromised_at=datetime.fromisoformat(str(since)) if since else None,
        actor=ACTOR,
        at=at,
    )


def _revoke_api_key(said: _Said, at: datetime) -> None:
    revoke_api_key(str(said.facts["api_key"]), partner_slug=said.subjects["partner"], actor=ACTOR, at=at)


def _remove_endpoint(said: _Said, at: datetime) -> None:
    identity = UUID(said.subjects["endpoint"])
    if Endpoint.objects.filter(id=identity).exclude(state="deleted").exists():
        remove_endpoint(identity, partner_id=_partner_id(said), actor=ACTOR, at=at)


def _destroy_period(said: _Said, at: datetime) -> None:
    del at
    keyring.destroy_period(str(said.facts["scope"]), str(said.facts["period"]))


def _signals(verb: Callable[..., int]) -> Callable[[_Said, datetime], None]:
    def apply(said: _Said, at: datetime) -> None:
        verb([UUID(said.subjects["signal"])], actor=ACTOR, at=at)

    return apply


_VERBS: dict[str, Callable[[_Said, datetime], object]] = {
    "api-key.revoked": _revoke_api_key,
    "endpoint.removed": _remove_endpoint,
    "key.revoked": _revoke_key,
    "membership.ended": lambda said, at: end_membership(
        said.subjects["partner"], said.subjects["programme"], actor=ACTOR, at=at
    ),
    "membership.suspended": lambda said, at: suspend_membership(
        said.subjects["partner"], said.subjects["programme"], actor=ACTOR, at=at
    ),
    "partner.left": lambda said, at: part_with_partner(said.subjects["partner"], actor=ACTOR, at=at),
    "partner.suspended": lambda said, at: suspend_partner(said.subjects["partner"], actor=ACTOR, at=at),
    "signal.purged": _signals(purge_again),
    "signal.withdrawn": _signals(withdraw_again),
    "vault.period-destroyed": _destroy_period,
}


def actions() -> Iterable[str]:
    """The actions that are applied again."""
    return _VERBS.keys()
