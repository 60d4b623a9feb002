"""What is done to the hub's own people by two others: its acts, told to approvals.py."""

from __future__ import annotations

from django.contrib.auth.models import User

from hub.refusal import Refusal
from hub.staff import factors
from hub.staff.accounts import set_roles
from hub.staff.approvals import Act, Description, register
from hub.staff.models import Approval
from hub.staff.roles import Capability, Role, Who, member, roles_of


class OwnRights(Refusal):
    """Nobody is the second person to what gives or restores their own rights."""

    code = "own-rights"


def subject_of(user: User) -> str:
    """As the ledger writes it."""
    return f"staff:{user.pk}"


def _person(approval: Approval) -> User:
    return User.objects.get(pk=int(approval.subject.removeprefix("staff:")))


def _hold(approval: Approval) -> None:
    User.objects.select_for_update(no_key=True).get(pk=_person(approval).pk)


def _say_roles(approval: Approval) -> Description:
    person = _person(approval)
    return (
        ("Account", person.username + ("" if person.is_active else " (switched off)")),
        ("Roles now", ", ".join(sorted(role.value for role in roles_of(person))) or "none"),
        ("Roles then", ", ".join(approval.facts["roles"])),
    )


def _set_roles(approval: Approval, who: Who) -> str:
    person = _person(approval)
    check_is_not(person, who)
    set_roles(person, [Role(name) for name in approval.facts["roles"]], **who)
    return f"{person.username} has the roles {', '.join(approval.facts['roles'])}."


def _say_factors(approval: Approval) -> Description:
    person = _person(approval)
    found = factors.of(person)
    app = [f"authenticator app of {found.app.added_at:%Y-%m-%d}"] if found.app else []
    return (
        ("Account", person.username + ("" if person.is_active else " (switched off)")),
        ("Roles", ", ".join(sorted(role.value for role in roles_of(person))) or "none"),
        ("Removed for good", ", ".join([*app, *(f"{key.name} of {key.added_at:%Y-%m-%d}" for key in found.keys)])),
        ("Then", "its sessions end, and whoever signs in next with its password enrols a new second factor"),
    )


def _reset_factors(approval: Approval, who: Who) -> str:
    person = _person(approval)
    check_is_not(person, who)
    factors.reset(person, **who)
    return f"{person.username} has no second factor any more, and enrols a new one at the next sign-in."


def check_is_not(person: User, who: Who) -> None:
    """Refuses OwnRights where the second person is the one it is about."""
    if member(who).pk == person.pk:
        raise OwnRights("This is about your own account: somebody else decides.")


SET_ROLES = register(
    Act(
        name="staff.set-roles",
        meaning="Change somebody's roles",
        to_propose=Capability.STAFF_MANAGE,
        to_approve=Capability.STAFF_APPROVE,
        perform=_set_roles,
        describe=_say_roles,
        hold=_hold,
    )
)

RESET_FACTORS = register(
    Act(
        name="staff.reset-second-factors",
        meaning="Remove all second factors of somebody who lost theirs",
        to_propose=Capability.STAFF_MANAGE,
        to_approve=Capability.STAFF_APPROVE,
        perform=_reset_factors,
        describe=_say_factors,
        hold=_hold,
    )
)
