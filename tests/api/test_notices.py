"""The door to one's own notices: its cursors are the partner's alone, and what was forgotten is said, never skipped."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from django.db import transaction
from pytest_django import DjangoAssertNumQueries

from hub.ledger.epochs import renew_epoch
from signals.core.notices import NoticeKind
from signals.lifecycle.notices import forget_notices, notify, post_notices
from signals.models import Disclosure, Notice, Walk
from tests.api.conftest import Cast
from tests.builders import an_api_key
from tests.companies import Company, now
from tests.lifecycle.conftest import LedgerRefuses, ledger_refuses, no_leaf_to_come

__all__ = ["ledger_refuses", "no_leaf_to_come"]

NOTICES = "/api/v1/notices"


def get(company: Company, query: str = "", accept: str = "application/json") -> Any:
    return company.http.get(f"{NOTICES}?{query}", headers={"accept": accept})


def tell(company: Company, *kids: str) -> None:
    for kid in kids:
        with transaction.atomic():
            notify(company.partner.pk, NoticeKind.KEY_RETIRED, {"kid": kid}, at=now())
    post_notices(at=now())


def kids(page: Any) -> list[str]:
    return [item["facts"]["kid"] for item in page["items"]]


def test_a_partner_reads_its_own_notices_page_by_page_and_nobody_elses(cast: Cast) -> None:
    tell(cast.acme, "a", "b", "c")
    tell(cast.birch, "d")
    first = get(cast.acme, "limit=2").json()
    assert (kids(first), first["more"], first["listed"], first["channel"]) == (["a", "b"], True, False, "notices")
    second = get(cast.acme, f"after={first['next']}").json()
    assert (kids(second), second["more"], second["listed"]) == (["c"], False, True)
    last = get(cast.acme, f"after={second['next']}").json()
    assert (last["items"], last["more"], last["listed"]) == ([], False, False)
    assert kids(get(cast.birch).json()) == ["d"]
    tell(cast.acme, "e")
    assert kids(get(cast.acme, f"after={last['next']}").json()) == ["e"]


def test_lines_end_with_the_page(cast: Cast) -> None:
    tell(cast.acme, "a")
    answer = get(cast.acme, accept="application/x-ndjson")
    assert answer["Content-Type"] == "application/x-ndjson"
    item, page = (json.loads(line) for line in answer.content.splitlines())
    assert item["facts"] == {"kid": "a"}
    assert page["page"]["channel"] == "notices"


def test_a_cursor_opens_nothing_but_the_notices_of_its_partner(cast: Cast) -> None:
    tell(cast.acme, "a")
    ours, feeds = get(cast.acme).json()["next"], cast.acme.feed()["next"]
    for who, path, cursor in (
        (cast.birch, NOTICES, ours),
        (cast.acme, NOTICES, feeds),
        (cast.acme, "/api/v1/programmes/csea/feed", ours),
        (cast.acme, NOTICES, "nonsense"),
    ):
        answer = who.http.get(path, {"after": cursor})
        assert (answer.status_code, answer.json()["code"]) == (400, "cursor-invalid")


def test_a_cursor_from_before_a_restore_or_behind_what_was_forgotten_is_gone(cast: Cast) -> None:
    tell(cast.acme, "a", "b", "c")
    behind = get(cast.acme, "limit=1").json()["next"]
    at_the_end = get(cast.acme).json()["next"]
    assert forget_notices(at=now() + timedelta(days=89)) == 0
    assert forget_notices(at=now() + timedelta(days=91)) == 3
    assert forget_notices(at=now() + timedelta(days=91)) == 0
    gone = get(cast.acme, f"after={behind}")
    assert (gone.status_code, gone.json()["code"]) == (410, "cursor-expired")
    assert get(cast.acme, f"after={at_the_end}").json()["items"] == []
    tell(cast.acme, "d")
    assert kids(get(cast.acme).json()) == ["d"], "a new walk begins with what is kept"
    with transaction.atomic():
        renew_epoch("restored", actor="system:restore", at=now())
    gone = get(cast.acme, f"after={at_the_end}")
    assert (gone.status_code, gone.json()["code"]) == (410, "cursor-expired")


@pytest.mark.parametrize("query", ["limit=0", "limit=1001", "wait=61", "own=true", "type=url"])
def test_parameters_are_read_strictly(cast: Cast, query: str) -> None:
    problem = get(cast.acme, query).json()
    assert (problem["code"], problem["parameter"]) == ("parameter-invalid", query.partition("=")[0])
    assert not Walk.objects.exists()


def test_a_head_request_tells_nothing(cast: Cast) -> None:
    tell(cast.acme, "a")
    assert cast.acme.http.head(NOTICES).status_code == 200
    assert not Walk.objects.exists()
    assert not Disclosure.objects.exists()


def test_it_takes_the_scope_of_reading(cast: Cast) -> None:
    token = an_api_key(cast.acme.partner, scopes=["statements:submit"])
    answer = cast.acme.http.get(NOTICES, headers={"authorization": f"Bearer {token}"})
    assert (answer.status_code, answer.json()["code"]) == (403, "missing-scope")


def test_a_page_costs_the_same_whatever_it_holds(cast: Cast, django_assert_num_queries: DjangoAssertNumQueries) -> None:
    tell(cast.acme, *map(str, range(50)))
    cursor = get(cast.acme, "limit=1").json()["next"]
    with django_assert_num_queries(7):
        assert len(get(cast.acme, f"after={cursor}").json()["items"]) == 49


def test_what_the_ledger_cannot_record_is_not_told(
    cast: Cast, ledger_refuses: LedgerRefuses, no_leaf_to_come: LedgerRefuses
) -> None:
    tell(cast.acme, "a")
    with no_leaf_to_come():
        get(cast.acme)
    assert not Disclosure.objects.exists()
    with ledger_refuses():
        forget_notices(at=now() + timedelta(days=91))
    assert Notice.objects.count() == 1
