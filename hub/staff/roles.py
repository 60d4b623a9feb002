"""Who of the hub's own people may do what: closed lists of roles and capabilities, and one table between them."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from enum import StrEnum
from typing import TypeAlias, TypedDict

from django.contrib.auth.models import AbstractBaseUser, AnonymousUser, User
from django.core.exceptions import PermissionDenied
from django.db.models import prefetch_related_objects

TO_STEP_UP = "is_to_step_up"  # on `request.user`, by sessions.py
Somebody: TypeAlias = AbstractBaseUser | AnonymousUser  # what `request.user` may be


class Who(TypedDict):
    """What every verb is told besides its own matter: `suspend_partner(slug, **who)`."""

    actor: str  # "staff:7"
    at: datetime


class Role(StrEnum):
    """Stored as the Django group of the same name."""

    ANALYST = "analyst"
    SENIOR_ANALYST = "senior analyst"
    COMPLIANCE = "compliance"
    OPERATOR = "operator"
    AUDITOR = "auditor"


class Capability(StrEnum):
    """One thing that a door asks for before it opens."""

    SIGNALS_VIEW = "signals.view"  # lists, values masked
    SIGNALS_REVEAL = "signals.reveal"  # one value in full; leaves a leaf
    SIGNALS_SEARCH = "signals.search"  # by value, through the blind index; leaves a leaf
    SIGNALS_TRIAGE = "signals.triage"  # approve or refuse what is held
    SIGNALS_QUARANTINE = "signals.quarantine"
    SIGNALS_LEGAL_HOLD = "signals.legal-hold"  # keep what would be purged
    SUBMISSIONS_VIEW = "submissions.view"
    WARNING_LISTS_MANAGE = "warning-lists.manage"
    PARTNERS_VIEW = "partners.view"  # with their memberships, keys and programmes
    PARTNERS_MANAGE = "partners.manage"
    PARTNERS_PROPOSE = "partners.propose"  # that a company be suspended; a second person decides
    PARTNERS_APPROVE = "partners.approve"  # be the second person to what a company loses or comes to see
    PROGRAMMES_MANAGE = "programmes.manage"
    KEYS_MANAGE = "keys.manage"  # partners' signing keys and API keys
    ENDPOINTS_VIEW = "endpoints.view"
    ENDPOINTS_MANAGE = "endpoints.manage"
    LEDGER_READ = "ledger.read"
    COMPLIANCE_REGISTER = "compliance.register"  # keep the register of requests by governments
    COMPLIANCE_ASK = "compliance.ask"  # who received what, what people were shown, what is due to be erased
    LEDGER_EXPORT = "ledger.export"
    STAFF_VIEW = "staff.view"
    STAFF_MANAGE = "staff.manage"
    STAFF_APPROVE = "staff.approve"  # be the second person to what touches the hub's own people
    APPROVALS_VIEW = "approvals.view"  # what waits for a second person; each act says who may be that person


_C = Capability
_ANALYST = {
    _C.SIGNALS_VIEW,
    _C.SIGNALS_REVEAL,
    _C.SIGNALS_SEARCH,
    _C.SIGNALS_TRIAGE,
    _C.SUBMISSIONS_VIEW,
    _C.PARTNERS_VIEW,
    _C.PARTNERS_PROPOSE,
    _C.APPROVALS_VIEW,
}
_OVERSIGHT = {
    _C.SIGNALS_VIEW,
    _C.SUBMISSIONS_VIEW,
    _C.PARTNERS_VIEW,
    _C.ENDPOINTS_VIEW,
    _C.STAFF_VIEW,
    _C.LEDGER_READ,
    _C.LEDGER_EXPORT,
    _C.COMPLIANCE_ASK,
    _C.APPROVALS_VIEW,
}

CAPABILITIES: dict[Role, frozenset[Capability]] = {
    Role.ANALYST: frozenset(_ANALYST),
    Role.SENIOR_ANALYST: frozenset(
        _ANALYST | {_C.SIGNALS_QUARANTINE, _C.WARNING_LISTS_MANAGE, _C.ENDPOINTS_VIEW, _C.PARTNERS_APPROVE}
    ),
    Role.COMPLIANCE: frozenset(
        _OVERSIGHT
        | {_C.COMPLIANCE_REGISTER, _C.SIGNALS_SEARCH, _C.SIGNALS_REVEAL, _C.SIGNALS_LEGAL_HOLD, _C.STAFF_APPROVE}
        | {_C.PARTNERS_APPROVE}
    ),
    Role.OPERATOR: frozenset(
        {
            _C.SIGNALS_VIEW,
            _C.SUBMISSIONS_VIEW,
            _C.PARTNERS_VIEW,
            _C.PARTNERS_MANAGE,
            _C.PARTNERS_PROPOSE,
            _C.PARTNERS_APPROVE,
            _C.PROGRAMMES_MANAGE,
            _C.KEYS_MANAGE,
            _C.ENDPOINTS_VIEW,
            _C.ENDPOINTS_MANAGE,
            _C.STAFF_VIEW,
            _C.STAFF_MANAGE,
            _C.STAFF_APPROVE,
            _C.APPROVALS_VIEW,
            _C.LEDGER_READ,
        }
    ),
    Role.AUDITOR: frozenset(_OVERSIGHT),
}


_READ_FROM = "_roles_read_from"  # on the user object: the groups, and the roles they are


def roles_of(somebody: Somebody) -> frozenset[Role]:
    """The roles of an active member of staff, by one query per user object; being a superuser gives none."""
    if not (isinstance(somebody, User) and somebody.is_active and somebody.is_staff):
        return frozenset()
    groups = getattr(somebody, "_prefetched_objects_cache", {}).get("groups")
    if groups is None:
        prefetch_related_objects([somebody], "groups")
        groups = somebody.groups.all()
    of_these, roles = getattr(somebody, _READ_FROM, (None, frozenset[Role]()))
    if of_these is not groups:  # a page asks dozens of times; Django forgets the groups when they change
        names = {group.name for group in groups}
        roles = frozenset(role for role in Role if role.value in names)
        setattr(somebody, _READ_FROM, (groups, roles))
    return roles


def capabilities(roles: Iterable[Role]) -> frozenset[Capability]:
    """What all these roles together may do."""
    return frozenset[Capability]().union(*(CAPABILITIES[role] for role in roles))


def has(somebody: Somebody, capability: Capability) -> bool:
    """Whether one of their roles holds it."""
    return capability in capabilities(roles_of(somebody))


# These need a fresh second factor: what shows, exports, opens a way out, or makes keys and people.
FRESH = frozenset(
    {
        *(_C.SIGNALS_REVEAL, _C.LEDGER_EXPORT, _C.KEYS_MANAGE, _C.PARTNERS_MANAGE, _C.ENDPOINTS_MANAGE),
        *(_C.STAFF_MANAGE, _C.STAFF_APPROVE, _C.PARTNERS_APPROVE),
    }
)


class StepUpNeeded(PermissionDenied):
    """What is asked for needs a fresh second factor; whoever lets it pass answers 403, so nothing opens by mistake."""


def require(somebody: Somebody, capability: Capability) -> User:
    """The member of staff, or PermissionDenied (403 in the admin) with a sentence that names what is missing.

    Raises StepUpNeeded where the capability is in FRESH and this request's person has a second factor that was not
    proved lately: sessions.py says so on `request.user`, and answers with the page that asks for it.
    """
    if not isinstance(somebody, User) or not has(somebody, capability):
        raise PermissionDenied(f"This needs the capability {capability.value}; ask an operator for a role that has it.")
    if capability in FRESH and needs_step_up(somebody):
        raise StepUpNeeded("This needs a fresh second factor.")
    return somebody


def needs_step_up(somebody: Somebody) -> bool:
    """Whether this request's person has a second factor not proved lately; False for who came by no request."""
    return bool(getattr(somebody, TO_STEP_UP, False))


def member(who: Who) -> User:
    """The member of staff that a verb was called by: for what needs the person, not only the name in the ledger."""
    return User.objects.get(pk=int(who["actor"].removeprefix("staff:")), is_staff=True)
