"""What a batch and a page cost in queries does not depend on how much is in them (COPY is not counted: one a table)."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from hub.ledger import serving
from signals.lifecycle.publish import publish
from signals.lifecycle.verify import verify_next
from tests.bench.statements import batches
from tests.builders import a_programme
from tests.companies import Company, a_company, now, settle


@pytest.fixture
def acme(db: None) -> Company:
    programme = a_programme("csea")
    a_company("birch-chat", programme)
    company = a_company("acme-social", programme)
    company.submit(*batches(company, 10**6, 1))  # the first of all makes the feed's head
    settle()
    return company


def queries_of(act: Callable[[], object]) -> int:
    serving.may_serve()  # asked again every two seconds, which on a busy machine may fall between
    with CaptureQueriesContext(connection) as captured:
        act()
    return len(captured)


def test_verifying_ten_lines_and_five_hundred_takes_the_same_number_of_queries(acme: Company) -> None:
    counts = []
    for first, lines in ((0, 10), (1000, 500)):
        acme.submit(*batches(acme, first, lines))
        counts.append(queries_of(lambda: verify_next(at=now())))

    assert counts[0] == counts[1]
    assert counts[0] <= 27


def test_publishing_ten_signals_and_five_hundred_takes_the_same_number_of_queries(acme: Company) -> None:
    counts = []
    programme = acme.partner.memberships.get().programme_id
    for first, lines in ((0, 10), (1000, 500)):
        acme.submit(*batches(acme, first, lines))
        verify_next(at=now())
        counts.append(queries_of(lambda: publish(programme, at=now())))

    assert counts[0] == counts[1]
    assert counts[0] <= 16


def test_a_page_of_ten_and_one_of_five_hundred_take_the_same_number_of_queries(acme: Company) -> None:
    acme.submit(*batches(acme, 0, 500))
    settle()
    acme.feed(own="true", limit=1)  # notes the API key's use, which happens once a minute

    counts = [queries_of(lambda limit=limit: acme.feed(own="true", limit=limit)) for limit in (10, 500)]  # type: ignore[misc]

    assert counts[0] == counts[1]
    assert counts[0] <= 12
