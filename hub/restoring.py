"""Bring a database that was put back from a backup up to what its mirror remembers: the rights that were taken since.

A backup forgets revocations, suspensions, ends, withdrawals, purges and whatever else took a right away. Serving from
it would undo them. The mirror holds their leaves; they are applied again here, each by the verb that made it, and a new
epoch makes every channel walk again. Where a leaf does not say enough to do the same again (an address, a password),
what it touched is stopped until a person has looked at it. What was submitted since the backup is lost here; its
partners still have it, and a `jti` makes submitting it again safe. A suspension that was lifted again since comes back:
lifting it is for a person.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any
from uuid import UUID

from django.conf import settings
from django.contrib.auth.models import User
from django.contrib.sessions.models import Session
from django.db import connection, transaction

from hub.ledger import rebuild, retention, serving
from hub.ledger.epochs import record_restored, renew_epoch
from hub.ledger.leaf import Leaf
from hub.ledger.mirror import Mirror
from hub.refusal import Refusal
from hub.staff.accounts import set_roles, switch_off
from hub.staff.approvals import expire_restored
from hub.staff.factors import forget_codes
from hub.staff.identities import unlink
from hub.staff.roles import Role
from hub.vault import keyring
from partners import public
from partners.core.limits import OwnLimits
from partners.core.programmes import OnLeaving, ProgrammeSettings
from partners.lifecycle.begin_membership import Terms
from partners.lifecycle.change_limits import change_limits
from partners.lifecycle.change_membership import change_membership
from partners.lifecycle.change_programme import change_programme
from partners.lifecycle.end_membership import end_membership
from partners.lifecycle.part_with_partner import part_with_partner
from partners.lifecycle.probation import begin_probation
from partners.lifecycle.retire_key import retire_key
from partners.lifecycle.revoke_api_key import revoke_api_key
from partners.lifecycle.suspend_membership import suspend_membership
from partners.lifecycle.suspend_partner import suspend_partner
from signals.bulk.running import stop_restored
from signals.core.endpoints import Stop
from signals.core.leaving import Fate
from signals.lifecycle.endpoints import remove_endpoint, stop_again
from signals.lifecycle.exports import fail_restored
from signals.lifecycle.leave import leave_again
from signals.lifecycle.notices import tell_restored
from signals.lifecycle.quarantine import revoke_compromised_key
from signals.lifecycle.reapply import hold_again, purge_again, withdraw_again
from signals.lifecycle.reveal_many import end_restored
from signals.lifecycle.rule import dispute, refute, refute_unserved, undo, undo_unserved
from signals.models import Endpoint, Ruling, Signal
from signals.voices import standing_ruling

ACTOR = "system:restore"
_ACCOUNTS_SINCE = 10_000  # more than were ever enrolled between a backup and its restore


@dataclass(slots=True)
class Restored:
    """What was done: how many leaves were applied again per action, and which could not be, with the reason.

    `stopped` says what was stopped and waits for a person.
    """

    applied: dict[str, int] = field(default_factory=dict)
    skipped: list[str] = field(default_factory=list)
    stopped: list[str] = field(default_factory=list)
    epoch: int = 0
    brought_back: int = 0  # leaves, from the tiles


def restore(*, size: int, at: datetime) -> Restored:
    """Apply the mirror's leaves from index `size` on, renew the epoch, bring lost leaves back, put the mirror aside.

    `size` is the restored tree's. May be run again when it was interrupted: every verb it calls changes nothing twice,
    and the leaves come back only after all that the journal says beyond `size` was applied. Raises CannotRebuild, also
    while a sequencer is at work, and StoreAway, both before anything was done.
    """
    with rebuild.alone() as sequencer:
        missing = rebuild.plan()
        result = Restored()
        mirror = Mirror()
        minimum = _apply(mirror.journal(size), result, at=at)
        with transaction.atomic():
            Session.objects.all().delete()  # those that ended since would go on
            _skip_account_numbers()
            result.epoch = renew_epoch("restored", actor=ACTOR, at=at)
            record_restored(actor=ACTOR, at=at, brought_back=missing.leaves if missing else 0)
            tell_restored(epoch=result.epoch, at=at)
            for run in stop_restored(actor=ACTOR, at=at):
                result.stopped.append(
                    f"Bulk run {run.pk} is stopped: it was at work in the backup, and may have been stopped or undone "
                    "since. Look at it under Bulk runs, and let it go on or undo it."
                )
            for approval in expire_restored(actor=ACTOR, at=at):
                result.stopped.append(
                    f"Proposal {approval.pk} ({approval.act}) is over: it waited for a second person in the backup and "
                    "may have been approved or refused since. Propose it anew if it is still wanted."
                )
            for reveal_id in end_restored():
                result.stopped.append(
                    f"Reveal {reveal_id} is over: it was agreed to in the backup, and may have been looked at since."
                )
            for export_id in fail_restored(actor=ACTOR, at=at):
                result.stopped.append(
                    f"Export {export_id}, which opens values, is given up: it may have been made since the backup."
                )
        if missing:
            result.brought_back = rebuild.carry_out(missing, sequencer)
        again = retention.lying_below(minimum)
        if again:
            retention.part_with(again, reason="restored", actor=ACTOR, at=at)
        mirror.archive(at=at)
    serving.forget()
    return result


def _apply(journal: Iterable[tuple[int, Leaf]], result: Restored, *, at: datetime) -> int:
    """Do again what each leaf says; returns the minimum index to which leaves were parted with, 0 for none."""
    minimum = 0
    for index, leaf in journal:
        apply = _VERBS.get(leaf.action)
        if apply is None:
            continue
        try:
            sentence = apply(_Said.of(leaf), at)
        except (Refusal, _Unknown) as why:
            result.skipped.append(f"leaf {index}, {leaf.action}: {why}")
        else:
            result.applied[leaf.action] = result.applied.get(leaf.action, 0) + 1
            if isinstance(sentence, str) and sentence not in result.stopped:
                result.stopped.append(sentence)
            if isinstance(sentence, int):
                minimum = max(minimum, sentence)
    return minimum


def _skip_account_numbers() -> None:
    """Leaves name staff by number: no new account may get that of somebody who was enrolled after the backup."""
    with connection.cursor() as cursor:  # one by one: the application may not set a sequence
        cursor.execute(
            "SELECT max(nextval(pg_get_serial_sequence('auth_user', 'id'))) FROM generate_series(1, %s)",
            [_ACCOUNTS_SINCE],
        )


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


class _Unknown(Exception):
    """The restored database never heard of it."""


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


def _end_rolled_api_key(said: _Said, at: datetime) -> str:
    slug, key_id = said.subjects["partner"], str(said.facts["rolled_from"])
    revoke_api_key(key_id, partner_slug=slug, actor=ACTOR, at=at)
    return f"API key {key_id} of {slug} is revoked: it was rolled, and its successor is lost. Issue a new one."


def _change_membership(said: _Said, at: datetime) -> None:
    after = _after(said)
    until = after["training_valid_until"]
    terms = Terms(
        may_submit=bool(after["may_submit"]),
        may_receive=bool(after["may_receive"]),
        agreement_version=int(after["agreement_version"]),
        training_valid_until=date.fromisoformat(until) if until else None,
    )
    change_membership(said.subjects["partner"], said.subjects["programme"], terms, actor=ACTOR, at=at)


def _leave_again(said: _Said, at: datetime) -> None:
    leave_again(
        UUID(said.subjects["departure"]),
        said.subjects["partner"],
        said.subjects["programme"],
        generation=int(str(said.facts["generation"])),
        fate=Fate(str(said.facts["fate"])),
        due_at=datetime.fromisoformat(str(said.facts["due_at"])),
        at=at,
    )


def _change_limits(said: _Said, at: datetime) -> None:
    change_limits(said.subjects["partner"], OwnLimits(**_after(said)), actor=ACTOR, at=at)


def _change_programme(said: _Said, at: datetime) -> None:
    after = _after(said)
    asked = ProgrammeSettings(
        violations=tuple(after["violations"]),
        indicator_types=tuple(after["indicator_types"]),
        retention_days=after["retention_days"],
        gates=after["gates"],
        agreement_version=after["agreement_version"],
        is_training_required=after["is_training_required"],
        on_leaving=after.get("on_leaving", OnLeaving.KEEP.value),  # older leaves do not say
    )
    change_programme(said.subjects["programme"], after["name"], asked, actor=ACTOR, at=at)


def _stop_changed_endpoint(said: _Said, at: datetime) -> str:
    endpoint = stop_again(UUID(said.subjects["endpoint"]), reason=Stop.HUB_RESTORED, actor=ACTOR, at=at)
    return (
        f"Endpoint {endpoint.id} of {said.subjects['partner']} is stopped: its address, filter or secret was changed "
        "after the backup. Its partner mends and resumes it."
    )


def _stop_endpoint(said: _Said, at: datetime) -> None:
    stop_again(UUID(said.subjects["endpoint"]), reason=Stop(str(said.facts["reason"])), actor=ACTOR, at=at)


def _change_roles(said: _Said, at: datetime) -> None:
    roles = said.facts["after"]
    assert isinstance(roles, list)
    set_roles(_staff(said), [Role(name) for name in roles], actor=ACTOR, at=at)


def _stop_account(said: _Said, at: datetime) -> str:
    user = _staff(said)
    switch_off(user, actor=ACTOR, at=at)
    return (
        f"Staff account {user.username} is switched off: its password was changed after the backup, and the old one "
        f"would open again. Run `manage.py readmit_staff {user.username}`."
    )


def _stop_account_of_removed_factors(said: _Said, at: datetime) -> str:
    user = _staff(said)
    switch_off(user, actor=ACTOR, at=at)
    return (
        f"Staff account {user.username} is switched off: a second factor of it was removed after the backup and would "
        f"open again. Run `manage.py reset_second_factors {user.username}`, then `readmit_staff {user.username}`."
    )


def _stop_account_whose_password_was_closed(said: _Said, at: datetime) -> str | None:
    """Linking closed its password, where single sign-on is the only way in; the backup has it open."""
    if not settings.OIDC_ONLY:
        return None
    user = _staff(said)
    switch_off(user, actor=ACTOR, at=at)
    return (
        f"Staff account {user.username} is switched off: single sign-on was linked to it after the backup, and its "
        f"password would open it again. Run `manage.py readmit_staff {user.username}`; they link it anew."
    )


def _hold(said: _Said, at: datetime) -> str | None:
    identity = UUID(said.subjects["signal"])
    if hold_again(identity, actor=ACTOR, at=at):
        return None
    return f"Signal {identity} is under legal hold again, but the month that sealed it in the backup is destroyed."


def _rule_again(said: _Said, at: datetime) -> None:
    identity, ruling = UUID(said.subjects["signal"]), str(said.facts["ruling"])
    here = Ruling.objects.filter(signal_id=identity)
    again = here.filter(ruled=ruling, actor=ACTOR).exclude(
        number__in=here.filter(undoes__isnull=False).values("undoes")
    )
    is_removed = Signal.objects.filter(pk=identity).exclude(removal="").exists()  # and may come back
    # One that was lifted since is a person's to lift again.
    verb = {"disputed": dispute, "refuted": refute_unserved if is_removed else refute}.get(ruling)
    if verb and not again.exists():
        verb(identity, reason=str(said.facts["reason"]), actor=ACTOR, at=at)
    elif ruling == "undone" and not again.exists():  # once for each signal: what is left standing is the safer side
        stands = standing_ruling(identity)
        if stands is not None and stands.ruled == said.facts["of"]:
            (undo_unserved if is_removed else undo)(stands, actor=ACTOR, at=at)


def _after(said: _Said) -> dict[str, Any]:
    after = said.facts["after"]
    assert isinstance(after, dict)
    return after


def _staff(said: _Said) -> User:
    user = User.objects.filter(pk=int(said.subjects["staff"]), is_staff=True).first()
    if user is None:
        raise _Unknown("The account was made after the backup.")
    return user


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
    "api-key.rolled": _end_rolled_api_key,
    "departure.began": _leave_again,
    "endpoint.changed": _stop_changed_endpoint,
    "endpoint.disabled": _stop_endpoint,
    "endpoint.removed": _remove_endpoint,
    "endpoint.secret-rotated": _stop_changed_endpoint,
    "key.retired": lambda said, at: retire_key(
        said.subjects["key"], partner_slug=said.subjects["partner"], actor=ACTOR, at=at
    ),
    "key.revoked": _revoke_key,
    "ledger.minimum-raised": lambda said, at: int(str(said.facts["minimum_index"])),  # noqa: ARG005  parted when all are back
    "legal-hold.placed": _hold,
    "membership.changed": _change_membership,
    "membership.ended": lambda said, at: end_membership(
        said.subjects["partner"], said.subjects["programme"], actor=ACTOR, at=at
    ),
    "membership.suspended": lambda said, at: suspend_membership(
        said.subjects["partner"], said.subjects["programme"], actor=ACTOR, at=at
    ),
    "partner.limits-changed": _change_limits,
    "partner.left": lambda said, at: part_with_partner(said.subjects["partner"], actor=ACTOR, at=at),
    "partner.probation-began": lambda said, at: begin_probation(said.subjects["partner"], actor=ACTOR, at=at),
    "partner.suspended": lambda said, at: suspend_partner(said.subjects["partner"], actor=ACTOR, at=at),
    "programme.changed": _change_programme,
    "signal.purged": _signals(purge_again),
    "signal.ruled": _rule_again,
    "signal.withdrawn": _signals(withdraw_again),
    "staff.password-changed": _stop_account,
    "staff.password-renewed": _stop_account,
    "staff.recovery-code-used": lambda said, at: forget_codes(_staff(said), actor=ACTOR, at=at),
    "staff.recovery-codes-made": lambda said, at: forget_codes(_staff(said), actor=ACTOR, at=at),
    "staff.roles-changed": _change_roles,
    "staff.second-factor-removed": _stop_account_of_removed_factors,
    "staff.second-factors-reset": _stop_account_of_removed_factors,
    "staff.sign-on-linked": _stop_account_whose_password_was_closed,
    "staff.sign-on-unlinked": lambda said, at: unlink(_staff(said), actor=ACTOR, at=at),
    "staff.switched-off": lambda said, at: switch_off(_staff(said), actor=ACTOR, at=at),
    "vault.period-destroyed": _destroy_period,
}


def actions() -> Iterable[str]:
    """The actions that are applied again."""
    return _VERBS.keys()
