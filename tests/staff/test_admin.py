"""The floor's own pages in the admin: who sees them, what they show, and that they change nothing."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest
from django.contrib.auth.models import User
from django.db import connection, transaction
from django.test import Client
from pytest_django import DjangoAssertNumQueries

from hub.ledger.mirror import Mirror
from hub.ledger.record import record
from hub.ledger.sequence import drain
from hub.staff.accounts import add_account
from hub.staff.roles import CAPABILITIES, Capability, Role
from tests.ledger.conftest import ledger as _ledger

NOON = datetime(2026, 11, 3, 12, tzinfo=UTC)
pytestmark = pytest.mark.usefixtures("admin_alone")
ledger = _ledger
SIGNAL = "signal:0191b7a4-0000-4000-8000-000000000001"


def a_client(name: str, *roles: Role) -> Client:
    if not User.objects.filter(username=name).exists():
        add_account(name, roles, actor="system:test", at=NOON, password="a long and pleasant sentence")
    client = Client()
    client.force_login(User.objects.get(username=name))
    return client


@pytest.mark.django_db
@pytest.mark.parametrize("role", list(Role))
@pytest.mark.parametrize(
    ("path", "capability"),
    [("/admin/ledger/reading/", Capability.LEDGER_READ), ("/admin/auth/user/", Capability.STAFF_VIEW)],
)
def test_a_page_opens_to_the_roles_that_hold_its_capability(role: Role, path: str, capability: Capability) -> None:
    client = a_client("robin", role)
    assert client.get(path).status_code == (200 if capability in CAPABILITIES[role] else 403)
    assert (path in client.get("/admin/").content.decode()) == (capability in CAPABILITIES[role])
    for change in ("add/", "1/change/", "1/delete/"):
        assert client.post(path + change).status_code in {302, 403, 404}
    assert client.post(path, {"action": "delete_selected", "_selected_action": "1"}).status_code in {200, 302, 403}
    assert User.objects.filter(username="robin").exists()


def test_leaves_are_listed_found_and_re_hashed(
    ledger: Mirror, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    with transaction.atomic():
        for n in range(3):
            record(
                "signal.withdrawn", actor="partner:acme", at=NOON, subjects=[SIGNAL], facts={"reason": "error", "n": n}
            )
        record("value.revealed", actor="staff:7", at=NOON, subjects=["signal:other"], private={"value": "canary"})
    drain()
    client = a_client("casey", Role.AUDITOR)
    client.get("/admin/")  # the first page of a session notes when it began
    with django_assert_max_num_queries(7):
        everything = client.get("/admin/ledger/reading/").content.decode()
    assert "value.revealed" in everything
    assert "signal:other" in everything
    assert client.get("/admin/ledger/reading/", {"q": SIGNAL}).content.decode().count(f">{SIGNAL}<") == 3
    both = {"q": f"{SIGNAL} partner:nobody"}
    assert f">{SIGNAL}<" not in client.get("/admin/ledger/reading/", both).content.decode()
    assert "signal:other" not in client.get("/admin/ledger/reading/", {"action": "signal.withdrawn"}).content.decode()
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT index, entry FROM ledger_reading WHERE action = 'value.revealed' ORDER BY index DESC LIMIT 1"
        )
        index, entry = cursor.fetchone()
    page = client.get(f"/admin/ledger/reading/{index}/change/").content.decode()
    assert json.loads(bytes(entry))["nonce"] in page
    assert 'alt="True"' in page
    assert "canary" not in page
    assert "was shown an indicator" in page
