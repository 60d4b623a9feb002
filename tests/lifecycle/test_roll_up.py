"""roll up: a minute of disclosures gets one leaf, nothing is lost or doubled, and a partner can check its own pages."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest
from django.db import connection
from django.db.utils import ProgrammingError

from hub.ledger.tlog.merkle import leaf_hashes, root_of
from signals import monitoring
from signals.compliance.minutes import is_whole, minute_of, rows_of, waiting
from signals.core.refusals import NotFound
from signals.lifecycle import roll_up as verb
from signals.lifecycle.moves import root_of_pairs
from signals.lifecycle.notices import post_notices
from signals.lifecycle.recalls import tell_recalls
from signals.lifecycle.roll_up import roll_up, roll_up_past_minutes
from signals.models import DisclosedMinute, Disclosure, Unsummed
from tests.builders import a_programme
from tests.companies import Company, a_company, now
from tests.lifecycle.conftest import LedgerRefuses, Recorded

pytestmark = pytest.mark.django_db


@pytest.fixture
def pair(db: None) -> tuple[Company, Company]:
    programme = a_programme("csea")
    return a_company("acme-social", programme), a_company("birch-chat", programme)


def pages(acme: Company, birch: Company, count: int = 3) -> list[dict[str, Any]]:
    """So many pages of one signal each, as birch reads them, all in one minute: the clock stands still at this door."""
    acme.say(*(acme.sign(acme.signal()) for _ in range(count)))
    read: list[dict[str, Any]] = []
    after: dict[str, str] = {}
    at = now()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("signals.api.v1.feed.timezone", SimpleNamespace(now=lambda: at))
        for _ in range(count):
            read.append(birch.feed(limit=1, **after))
            after = {"after": read[-1]["next"]}
    return read


def sum_all(at: datetime | None = None) -> int:
    return roll_up(until=now() + timedelta(days=1), at=at or now())


def disclosed(recorded: Recorded) -> list[dict[str, Any]]:
    return [event for event in recorded() if event["action"].endswith(".disclosed")]


def test_a_minutes_pages_have_one_leaf_over_their_root(pair: tuple[Company, Company], recorded: Recorded) -> None:
    read = pages(*pair)
    assert disclosed(recorded) == []
    assert waiting() == 3
    assert sum_all() == 3
    minute = DisclosedMinute.objects.get()
    [event] = disclosed(recorded)
    assert (event["action"], event["actor"]) == ("feed.disclosed", "partner:birch-chat")
    assert set(event["subjects"]) == {"partner:birch-chat", "programme:csea", f"disclosures:{minute.id}"}
    assert (event["facts"]["disclosures"], event["facts"]["count"]) == (3, 3)
    rows = rows_of(minute.id)
    assert root_of(leaf_hashes(rows)).hex() == event["facts"]["root"]
    # What birch does with the pages it kept: each one's own root stands in one row.
    kept = [root_of_pairs((UUID(item["id"]), item["revision"]) for item in page["items"]).hex() for page in read]
    assert [json.loads(row)["root"] for row in rows] == kept
    assert (waiting(), sum_all()) == (0, 0)
    assert is_whole(minute)


def test_a_row_tells_no_place_in_the_feed_and_another_range_has_another_span(pair: tuple[Company, Company]) -> None:
    pages(*pair)
    sum_all()
    rows = [json.loads(row) for row in rows_of(DisclosedMinute.objects.get().id)]
    assert all(set(row) == {"at", "channel", "count", "root", "span", "v", "walk"} for row in rows)
    assert len({row["span"] for row in rows}) == 3


def test_what_is_committed_late_has_a_second_leaf_of_its_minute(
    pair: tuple[Company, Company], recorded: Recorded
) -> None:
    pages(*pair, count=2)
    late = Unsummed.objects.order_by("disclosure_id").first()
    assert late is not None
    Unsummed.objects.filter(pk=late.pk).delete()  # its transaction has not committed yet
    assert sum_all() == 1
    Unsummed.objects.create(disclosure_id=late.disclosure_id, at=late.at)
    assert sum_all() == 1
    assert len(disclosed(recorded)) == 2
    for disclosure in Disclosure.objects.select_related("walk"):
        minute = minute_of(disclosure)
        assert minute is not None
        assert minute.disclosure_ids == [disclosure.id]


def test_only_minutes_that_are_over_are_summed_by_the_clock(pair: tuple[Company, Company]) -> None:
    pages(*pair, count=1)
    if Unsummed.objects.get().waits_since.minute == now().minute:
        assert roll_up_past_minutes(at=now()) == 0
    row = Unsummed.objects.get()
    Unsummed.objects.all().delete()
    Unsummed.objects.create(disclosure_id=row.pk, at=row.at, waits_since=now() - timedelta(minutes=3))
    assert monitoring.overdue()["roll_up"] > 60
    assert roll_up_past_minutes(at=now()) == 1
    assert monitoring.overdue()["roll_up"] == 0


def test_notices_and_pages_are_summed_apart_and_each_channel_for_itself(
    pair: tuple[Company, Company], recorded: Recorded
) -> None:
    acme, birch = pair
    jws = acme.sign(acme.signal())
    acme.say(jws)
    birch.feed()
    acme.say(acme.withdrawal(jws))
    tell_recalls(at=now())
    post_notices(at=now())
    assert birch.http.get("/api/v1/notices").status_code == 200
    acme.feed(own="true")
    sum_all()
    found = {(event["action"], event["actor"]) for event in disclosed(recorded)}
    assert found == {
        ("feed.disclosed", "partner:birch-chat"),
        ("notices.disclosed", "partner:birch-chat"),
        ("feed.disclosed", "partner:acme-social"),
    }
    [event] = [event for event in disclosed(recorded) if event["action"] == "notices.disclosed"]
    assert not any(subject.startswith("programme:") for subject in event["subjects"])


def test_a_large_backlog_is_summed_in_parts(pair: tuple[Company, Company], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verb, "BATCH", 2)
    pages(*pair)
    assert [sum_all(), sum_all(), sum_all()] == [2, 1, 0]
    assert sum(len(minute.disclosure_ids) for minute in DisclosedMinute.objects.all()) == 3


def test_nobody_reads_anothers_rows(pair: tuple[Company, Company]) -> None:
    acme, birch = pair
    pages(acme, birch, count=1)
    sum_all()
    minute = DisclosedMinute.objects.get()
    assert rows_of(minute.id, partner_id=birch.partner.pk) == rows_of(minute.id)
    for identity, partner in ((minute.id, acme), (UUID(int=1), birch)):
        with pytest.raises(NotFound):
            rows_of(identity, partner_id=partner.partner.pk)


def test_if_the_ledger_cannot_be_written_everything_still_waits(
    pair: tuple[Company, Company], ledger_refuses: LedgerRefuses
) -> None:
    pages(*pair)
    with ledger_refuses():
        sum_all()
    assert waiting() == 3
    assert not DisclosedMinute.objects.exists()
    assert sum_all() == 3


def test_if_nothing_can_wait_for_its_leaf_nothing_is_shown(
    pair: tuple[Company, Company], no_leaf_to_come: LedgerRefuses
) -> None:
    acme, birch = pair
    acme.say(acme.sign(acme.signal()))
    with no_leaf_to_come():
        birch.feed()
    assert not Disclosure.objects.exists()


@pytest.mark.parametrize("statement", ["UPDATE {} SET at = now()", "DELETE FROM {}", "TRUNCATE {}"])
def test_what_a_leaf_commits_to_is_rewritten_by_nobody(pair: tuple[Company, Company], statement: str) -> None:
    pages(*pair, count=1)
    sum_all()
    with pytest.raises(ProgrammingError, match="permission denied"), connection.cursor() as cursor:
        cursor.execute(statement.format("signals_disclosedminute"))
