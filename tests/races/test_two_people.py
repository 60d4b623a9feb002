"""Two who approve the same proposal at once: it is done once, and the other is told."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier

import pytest
from django.contrib.auth.models import User
from django.db import connections

from hub.staff import approvals, failures
from hub.staff.accounts import add_account, set_roles
from hub.staff.changes import SET_ROLES
from hub.staff.failures import Counted
from hub.staff.roles import Role
from tests.companies import now

pytestmark = pytest.mark.races


def at_once(*calls: Callable[[], object]) -> list[object]:
    """What each returned or raised."""
    start = Barrier(len(calls))

    def run(call: Callable[[], object]) -> object:
        start.wait()
        try:
            return call()
        except Exception as error:  # noqa: BLE001  which one is what the test asks
            return error
        finally:
            connections.close_all()

    with ThreadPoolExecutor(len(calls)) as threads:
        return list(threads.map(run, calls))


def a_person(name: str, *roles: Role) -> User:
    add_account(name, roles, actor="system:test", at=now() - timedelta(days=1))
    return User.objects.get(username=name)


def test_a_proposal_is_carried_out_once(committed_db: None) -> None:
    olga, pat, carla = (a_person(name, Role.OPERATOR) for name in ("olga", "pat", "carla"))
    robin = a_person("robin", Role.ANALYST)
    for _round in range(5):
        set_roles(robin, [Role.ANALYST], actor="system:test", at=now())
        proposal = approvals.propose(
            SET_ROLES, by=olga, subject=f"staff:{robin.pk}", facts={"roles": ["auditor"]}, reason="file 17", at=now()
        )
        said = at_once(
            lambda proposal=proposal: approvals.approve(proposal.pk, by=pat, at=now()),  # type: ignore[misc]
            lambda proposal=proposal: approvals.approve(proposal.pk, by=carla, at=now()),  # type: ignore[misc]
        )
        assert sorted(type(one).__name__ for one in said) == ["NotWaiting", "str"], said


def test_many_attempts_at_once_are_no_way_around_the_limit(committed_db: None) -> None:
    counted, at = [Counted("factor of somebody", 5)], now()
    said = at_once(*[lambda: failures.may_try(counted, at=at)] * 16)
    assert sorted(map(str, said)) == ["False"] * 11 + ["True"] * 5
