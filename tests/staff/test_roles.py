"""The table of roles and capabilities, spelled out: a change to it must be made twice, knowingly."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from django.contrib.auth.models import AnonymousUser, User
from django.core.exceptions import PermissionDenied
from pytest_django import DjangoAssertNumQueries

from hub.staff.accounts import add_account, set_roles
from hub.staff.roles import CAPABILITIES, Capability, Role, has, require, roles_of

NOON = datetime(2026, 11, 3, 12, tzinfo=UTC)

TABLE = {
    "approvals.view": "analyst, senior analyst, compliance, operator, auditor",
    "compliance.ask": "compliance, auditor",
    "compliance.register": "compliance",
    "endpoints.manage": "operator",
    "endpoints.view": "senior analyst, compliance, operator, auditor",
    "keys.manage": "operator",
    "ledger.export": "compliance, auditor",
    "ledger.read": "compliance, operator, auditor",
    "partners.approve": "senior analyst, compliance, operator",
    "partners.manage": "operator",
    "partners.propose": "analyst, senior analyst, operator",
    "partners.view": "analyst, senior analyst, compliance, operator, auditor",
    "programmes.manage": "operator",
    "signals.legal-hold": "compliance",
    "signals.quarantine": "senior analyst",
    "signals.reveal": "analyst, senior analyst, compliance",
    "signals.search": "analyst, senior analyst, compliance",
    "signals.triage": "analyst, senior analyst",
    "signals.view": "analyst, senior analyst, compliance, operator, auditor",
    "staff.approve": "compliance, operator",
    "staff.manage": "operator",
    "staff.view": "compliance, operator, auditor",
    "submissions.view": "analyst, senior analyst, compliance, operator, auditor",
    "warning-lists.manage": "senior analyst",
}


def test_each_capability_is_held_by_exactly_these_roles() -> None:
    held = {
        capability.value: ", ".join(role.value for role in Role if capability in CAPABILITIES[role])
        for capability in sorted(Capability)
    }
    assert held == TABLE


def test_an_auditor_changes_nothing() -> None:
    assert not [
        capability for capability in CAPABILITIES[Role.AUDITOR] if "manage" in capability or "triage" in capability
    ]


def a_person(name: str, *roles: Role) -> User:
    add_account(name, roles, actor="system:test", at=NOON)
    return User.objects.get(username=name)


@pytest.mark.django_db
@pytest.mark.parametrize("role", list(Role))
@pytest.mark.parametrize("capability", list(Capability))
def test_a_role_opens_what_its_row_says_and_nothing_else(role: Role, capability: Capability) -> None:
    user = a_person("robin", role)
    if capability in CAPABILITIES[role]:
        assert require(user, capability) == user
    else:
        with pytest.raises(PermissionDenied, match=capability.value):
            require(user, capability)


@pytest.mark.django_db
def test_superusers_strangers_and_people_who_left_have_no_capability() -> None:
    root = User(username="root", is_superuser=True, is_staff=True)
    root.save()
    left = a_person("left", *Role)
    left.is_active = False
    outside = a_person("outside", *Role)
    outside.is_staff = False
    for somebody in (AnonymousUser(), root, left, outside):
        assert not any(has(somebody, capability) for capability in Capability)


@pytest.mark.django_db
def test_roles_add_up_and_are_read_by_one_query(django_assert_num_queries: DjangoAssertNumQueries) -> None:
    a_person("sam", Role.AUDITOR)
    set_roles(User.objects.get(username="sam"), [Role.OPERATOR, Role.ANALYST], actor="system:test", at=NOON)
    sam = User.objects.get(username="sam")
    with django_assert_num_queries(1):
        assert roles_of(sam) == {Role.OPERATOR, Role.ANALYST}
        assert has(sam, Capability.SIGNALS_TRIAGE)
        assert has(sam, Capability.STAFF_MANAGE)
        assert not has(sam, Capability.LEDGER_EXPORT)
