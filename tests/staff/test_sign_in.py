"""Coming and going: each sign-in, sign-out and change of password leaves a leaf; failures leave a bounded number."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime

import msgspec
import pytest
from django.contrib.auth.models import User
from django.db import connections, transaction
from django.test import Client
from pytest_django import Settings

from hub.staff.accounts import add_account
from hub.staff.models import FailedSignIns, OneTimePassword
from hub.staff.roles import Role
from hub.staff.sign_in import count_failure

NOON = datetime(2026, 11, 3, 12, tzinfo=UTC)
pytestmark = pytest.mark.usefixtures("admin_alone")
_numbers = itertools.count()


@pytest.fixture
def robin(committed_db: None) -> tuple[User, str]:
    name = f"robin{next(_numbers)}"
    password = add_account(name, [Role.ANALYST], actor="system:test", at=NOON)
    assert password is not None
    recorded()
    return User.objects.get(username=name), password


def recorded() -> list[tuple[str, str, dict[str, object]]]:
    """What the outbox holds, as (action, actor, facts), which empties it."""
    with connections["ledger"].cursor() as cursor:
        cursor.execute("DELETE FROM ledger_outbox RETURNING id, event")
        events = [msgspec.json.decode(row[1]) for row in sorted(cursor.fetchall())]
    return [(event["action"], event["actor"], event["facts"]) for event in events]


def sign_in(user: User, password: str) -> Client:
    client = Client()
    answer = client.post("/admin/login/", {"username": user.username, "password": password})
    assert answer.status_code == 302, answer.content.decode()
    return client


def test_a_one_time_password_opens_only_the_form_that_changes_it(robin: tuple[User, str]) -> None:
    user, password = robin
    client = sign_in(user, password)
    assert recorded() == [("staff.signed-in", f"staff:{user.pk}", {"by": "password", "second_factor": "none"})]
    for path in ("/admin/", "/admin/auth/user/", "/admin/nowhere/"):
        assert client.get(path).headers["Location"] == "/admin/password_change/"
    assert client.get("/admin/password_change/").status_code == 200
    new = "a long and pleasant sentence"
    answer = client.post(
        "/admin/password_change/", {"old_password": password, "new_password1": new, "new_password2": new}
    )
    assert answer.headers["Location"] == "/admin/password_change/done/"
    assert recorded() == [("staff.password-changed", f"staff:{user.pk}", {})]
    assert not OneTimePassword.objects.filter(user=user).exists()
    assert client.get("/admin/").status_code == 200
    assert sign_in(user, new).get("/admin/").status_code == 200


def test_signing_out_leaves_a_leaf_and_only_by_post(robin: tuple[User, str]) -> None:
    client = sign_in(*robin)
    recorded()
    assert client.get("/admin/logout/").status_code == 405
    assert recorded() == []
    assert client.post("/admin/logout/").status_code == 200
    assert recorded() == [("staff.signed-out", f"staff:{robin[0].pk}", {})]
    assert client.get("/admin/").status_code == 302


def test_somebody_without_a_role_gets_no_further_than_the_form(committed_db: None) -> None:
    User.objects.create_superuser("root", password="a long and pleasant sentence")
    client = Client()
    client.post("/admin/login/", {"username": "root", "password": "a long and pleasant sentence"})
    assert client.get("/admin/").status_code == 302


def test_failures_are_counted_but_leave_few_leaves_and_never_the_name_that_was_typed(robin: tuple[User, str]) -> None:
    user, _ = robin
    answer = Client().post("/admin/login/", {"username": "my secret password", "password": "x"})
    assert answer.status_code == 200
    Client().post("/admin/login/", {"username": user.username, "password": "wrong"})
    assert recorded() == [
        ("staff.sign-in-failed", "system:admin", {"account_exists": False, "count": 1}),
        ("staff.sign-in-failed", "system:admin", {"account_exists": True, "count": 1}),
    ]
    for _ in range(120):
        count_failure(user.username, at=NOON)
    assert [facts["count"] for _, _, facts in recorded()] == [1, 10, 100]
    assert FailedSignIns.objects.get(account=user.pk, minute=NOON).count == 120


def test_another_spelling_of_a_name_is_no_way_around_the_lock(robin: tuple[User, str], settings: Settings) -> None:
    user, password = robin
    settings.SIGN_IN_FAILURES = 6
    client = Client(REMOTE_ADDR="203.0.113.9")
    name = user.username
    wide = chr(ord(name[0]) + 0xFEE0) + name[1:]
    for typed in (name, f"  {name} ", wide, f"{name}\u3000", " " * 1001 + name, f"{name}\0"):
        assert client.post("/admin/login/", {"username": typed, "password": "wrong"}).status_code == 200, repr(typed)
    assert sum(row.count for row in FailedSignIns.objects.filter(account=user.pk)) == 6
    assert client.post("/admin/login/", {"username": f" {wide}", "password": password}).status_code == 429


def test_if_the_ledger_cannot_be_written_nobody_signs_in(robin: tuple[User, str]) -> None:
    user, password = robin
    client = Client(raise_request_exception=False)
    with connections["owner"].cursor() as cursor:
        cursor.execute("REVOKE INSERT ON ledger_outbox FROM heliograph_app")
        try:
            answer = client.post("/admin/login/", {"username": user.username, "password": password})
        finally:
            cursor.execute("GRANT INSERT ON ledger_outbox TO heliograph_app")
    assert answer.status_code == 500
    assert client.get("/admin/").status_code == 302
    with transaction.atomic():
        user.refresh_from_db()
    assert user.last_login is None
