"""Fixtures everybody needs: databases made by the real migrations, used under the application's own role."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import pytest
from django.conf import settings
from django.core.management import call_command
from django.db import connections, transaction
from django.test.client import ClientHandler
from pytest_django import DjangoDbBlocker

from partners.models import Programme
from tests.builders import a_programme
from tests.cluster import postgres
from tests.companies import Company, a_company

# Every test client loads the middleware anew, and WhiteNoise would look through all static files each time: half of the
# time of a test of the API. The live hubs of other tests do as in production.
settings.WHITENOISE_AUTOREFRESH = True

# Half a million rounds of hashing for each account: the slow hash is Django's to test, and the live hubs hash as in
# production.
settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]

_load_middleware = ClientHandler.load_middleware
_loaded: list[ClientHandler] = []


def _share_middleware(handler: ClientHandler, is_async: bool = False) -> None:
    """Take what another client loaded under the same settings: loading takes longer than most requests."""
    held_to = settings._wrapped  # another object as soon as a test overrides a setting, and again when it is over
    if not _loaded or vars(_loaded[0])["held_to"] is not held_to:
        _load_middleware(handler, is_async)
        _loaded[:] = [handler]
    vars(handler).update(vars(_loaded[0]), enforce_csrf_checks=handler.enforce_csrf_checks, held_to=held_to)


ClientHandler.load_middleware = _share_middleware  # type: ignore[assignment,method-assign]

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
def module_db(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[None]:
    """A transaction around all tests of a module: what it makes once, each test finds as it was made."""
    around_all = transaction.atomic()
    with django_db_blocker.unblock():
        around_all.__enter__()
    yield
    with django_db_blocker.unblock():
        transaction.set_rollback(True)
        around_all.__exit__(None, None, None)


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
        for alias in _ALIASES:  # a good one may serve the next test too
            if connections[alias].connection is not None and not connections[alias].is_usable():
                connections[alias].close()


# ---------------------------------------------------------------- a programme, and three of its members
@pytest.fixture
def csea() -> Programme:
    return a_programme("csea")


@pytest.fixture
def acme(csea: Programme) -> Company:
    return a_company("acme-social", csea)


@pytest.fixture
def birch(csea: Programme) -> Company:
    return a_company("birch-chat", csea)


@pytest.fixture
def cedar(csea: Programme) -> Company:
    return a_company("cedar-video", csea)
