"""Fixtures everybody needs: databases made by the real migrations, used under the application's own role."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import pytest
from django.conf import settings
from django.core.management import call_command
from django.db import connections
from pytest_django import DjangoDbBlocker

from tests.cluster import postgres

# Every test client loads the middleware anew, and WhiteNoise would look through all static files each time: half of the
# time of a test of the API. The live hubs of other tests do as in production.
settings.WHITENOISE_AUTOREFRESH = True

TEMPLATE = "heliograph_template"
_ALIASES = ("default", "owner", "ledger")


def _point_at(name: str) -> None:
    for alias in _ALIASES:
        connections[alias].close()
        connections[alias].settings_dict["NAME"] = name


def _clone(name: str) -> None:
    with postgres.bootstrap_connection() as connection:
        connection.execute(f'CREATE DATABASE "{name}" TEMPLATE "{TEMPLATE}" OWNER heliograph_owner STRATEGY FILE_COPY')


def _drop(name: str) -> None:
    with postgres.bootstrap_connection() as connection:
        connection.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')


@pytest.fixture(scope="session")
def django_db_setup(django_db_blocker: DjangoDbBlocker) -> Iterator[None]:
    """Migrate a template once, as the owner; every test works on a clone of it, as the application."""
    with django_db_blocker.unblock():
        with postgres.bootstrap_connection() as connection:
            postgres.create_database(connection, TEMPLATE)
        _point_at(TEMPLATE)
        call_command("prepare_database", verbosity=0)
        _point_at("heliograph_test")
        _clone("heliograph_test")
    yield
    with django_db_blocker.unblock():
        _point_at("postgres")


@pytest.fixture(scope="module")
def _committed_module(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[None]:
    name = f"heliograph_{uuid.uuid4().hex[:12]}"
    with django_db_blocker.unblock():
        _clone(name)
        _point_at(name)
        yield
        _point_at("heliograph_test")
        _drop(name)


@pytest.fixture
def committed_db(_committed_module: None, django_db_blocker: DjangoDbBlocker) -> Iterator[None]:
    """A database of the module's own where commits are real, so that several connections can meet (races, journeys)."""
    with django_db_blocker.unblock():
        yield
        for alias in _ALIASES:
            connections[alias].close()
