"""Alive, ready, and figures for the monitor only."""

from __future__ import annotations

import pytest
from django.db import connections
from django.test import Client
from pytest_django import Settings

from hub import health

FIGURES = (
    "heliograph_broker_up 1.0",
    "heliograph_database_up 1.0",
    "heliograph_outbox_rows 0.0",
    "heliograph_unsigned_leaves 0.0",
)


def test_livez_asks_nobody(client: Client) -> None:
    assert client.get("/livez").content == b"alive\n"


@pytest.mark.django_db
def test_readyz_is_ready_on_a_migrated_database_with_a_broker(client: Client) -> None:
    answer = client.get("/readyz")
    assert (answer.status_code, answer.json()) == (200, {"ready": True, "missing": {}})


@pytest.mark.django_db
def test_readyz_names_a_missing_broker(client: Client, settings: Settings) -> None:
    settings.BROKER_URL = "redis+socket:///nowhere/valkey.sock"
    answer = client.get("/readyz")
    assert (answer.status_code, answer.json()["missing"]) == (503, {"broker": "The broker does not answer."})


def test_readyz_names_a_missing_database(client: Client, committed_db: None) -> None:
    name = connections["default"].settings_dict["NAME"]
    connections["default"].close()
    connections["default"].settings_dict["NAME"] = "nowhere"
    try:
        assert client.get("/readyz").json()["missing"] == {"database": "The database does not answer."}
        assert "heliograph_database_up 0.0" in client.get("/metrics").content.decode()
    finally:
        connections["default"].close()
        connections["default"].settings_dict["NAME"] = name


@pytest.mark.django_db
def test_metrics_are_for_this_machine_unless_there_is_a_token(client: Client, settings: Settings) -> None:
    text = client.get("/metrics").content.decode()
    assert all(figure in text for figure in FIGURES)
    assert client.get("/metrics", REMOTE_ADDR="198.51.100.7").status_code == 404
    assert client.get("/metrics", headers={"X-Forwarded-For": "127.0.0.1"}).status_code == 404
    settings.METRICS_TOKEN = "a-token"
    assert client.get("/metrics").status_code == 404
    assert client.get("/metrics", headers={"Authorization": "Bearer a-token"}).status_code == 200


@pytest.mark.django_db
def test_the_backlog_of_the_ledger_is_counted() -> None:
    assert health.outbox_backlog() == (0, 0.0)
