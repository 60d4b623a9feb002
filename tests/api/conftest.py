"""Two companies in one programme and one outside it, as most tests of the doors need them."""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy
from typing import NamedTuple

import pytest
import redis
from pytest_django import DjangoDbBlocker

from hub.ledger import serving
from partners.models import Programme
from tests.builders import a_programme
from tests.cluster import valkey
from tests.companies import Company, a_company


class Cast(NamedTuple):
    acme: Company
    birch: Company
    outsider: Company
    csea: Programme


@pytest.fixture
def full_buckets() -> Iterator[None]:
    """Before the test and after it: all come from one address, and companies of many databases have the same ids."""

    def fill() -> None:
        with redis.Redis(unix_socket_path=str(valkey.socket)) as client:
            for key in client.scan_iter("*:limit:{*"):
                client.delete(key)

    fill()
    yield
    fill()


@pytest.fixture(scope="module")
def _made_once(module_db: None, django_db_blocker: DjangoDbBlocker) -> Cast:
    with django_db_blocker.unblock():
        csea, ncii = a_programme("csea"), a_programme("ncii")
        return Cast(a_company("acme-social", csea), a_company("birch-chat", csea, ncii), a_company("outsider"), csea)


@pytest.fixture
def cast(_made_once: Cast, db: None) -> Cast:
    """Everybody as they were made, whatever the tests before did to them."""
    serving.may_serve()  # asked every two seconds; not in the middle of a test that counts queries
    return deepcopy(_made_once)
