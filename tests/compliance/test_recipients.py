"""Who received a signal, which revision and when; all recipients since a moment; and questions about a whole hub."""

from __future__ import annotations

import csv
import io
from datetime import datetime, timedelta
from uuid import UUID

import pytest
from pytest_django import DjangoAssertNumQueries

from hub.ledger.models import Epoch
from partners.models import Programme
from signals.compliance import overview
from signals.compliance.recipients import Recipient, as_csv, escaped, recipients, report, signals_of
from signals.lifecycle import legal_hold
from signals.lifecycle.expire import expire_due
from signals.models import Signal
from tests.builders import a_programme
from tests.companies import Company, a_company, another_key, now

pytestmark = pytest.mark.django_db


@pytest.fixture
def csea(db: None) -> Programme:
    return a_programme("csea")


def said(acme: Company, *lines: bytes) -> list[UUID]:
    return [UUID(verdict["signal"]) for verdict in acme.say(*lines)]


def short(found: list[Recipient]) -> list[tuple[str, int | None, bool]]:
    return [(each.partner, each.revision, each.is_possible) for each in found]


def test_each_revision_is_named_with_who_was_handed_it(acme: Company, birch: Company, csea: Programme) -> None:
    first = acme.signal("https://bad.example/1")
    jws = acme.sign(first)
    [identity] = said(acme, jws)
    assert recipients([identity]) == []
    birch.feed()
    dora = a_company("dora-games", csea)
    revised = acme.signal("https://bad.example/1", supersedes=first["jti"], confidence=20)
    acme.say(acme.sign(revised))
    dora.feed()
    assert short(recipients([identity])) == [("birch-chat", 1, False), ("dora-games", 2, False)]
    birch.feed()
    acme.feed(own="true")
    assert short(recipients([identity])) == [
        ("birch-chat", 1, False),
        ("dora-games", 2, False),
        ("birch-chat", 2, False),
    ]
    moments = [each.at for each in recipients([identity]) if each.at is not None]
    assert moments == sorted(moments)


def test_a_tombstone_is_no_value_and_what_was_handed_before_it_stays(acme: Company, birch: Company) -> None:
    jws = acme.sign(acme.signal())
    [identity] = said(acme, jws)
    birch.feed()
    acme.say(acme.withdrawal(jws))
    birch.feed()
    assert short(recipients([identity])) == [("birch-chat", 1, False)]


def test_since_a_moment_means_handed_out_at_or_after_it(acme: Company, birch: Company) -> None:
    [identity] = said(acme, acme.sign(acme.signal()))
    birch.feed()
    [first] = recipients([identity])
    assert first.at is not None
    assert recipients([identity], since=first.at + timedelta(seconds=1)) == []
    assert len(recipients([identity], since=first.at)) == 1


def test_after_a_restore_whoever_could_have_read_is_a_possible_recipient(acme: Company, birch: Company) -> None:
    [identity] = said(acme, acme.sign(acme.signal()))
    Epoch.objects.create(number=2, started_at=now(), reason="restored")
    assert short(recipients([identity])) == [("birch-chat", None, True)]
    birch.feed()
    assert short(recipients([identity])) == [("birch-chat", 1, False)]
    assert recipients([identity], since=now()) == []


def test_a_report_counts_by_channel_and_its_file_has_no_formula(acme: Company, birch: Company) -> None:
    ids = said(acme, *(acme.sign(acme.signal()) for _ in range(3)))
    birch.feed()
    found = report(ids)
    [line] = found.lines
    assert (line.partner, line.channel, line.signals, line.possibly) == ("birch-chat", "pull", 3, 0)
    rows = list(csv.DictReader(io.StringIO(as_csv(found))))
    assert {row["signal"] for row in rows} == {str(each) for each in ids}
    assert {row["certainty"] for row in rows} == {"disclosed"}
    assert escaped(["=1+1", "+1", "-1", "@x", "\tx", "x", None, 7]) == [
        "'=1+1",
        "'+1",
        "'-1",
        "'@x",
        "'\tx",
        "x",
        "",
        "7",
    ]


def test_the_signals_of_an_issuer_or_of_one_key(acme: Company, birch: Company) -> None:
    spare = another_key(acme)
    [one] = said(acme, acme.sign(acme.signal()))
    [other] = said(acme, acme.sign(acme.signal(), key=spare))
    assert signals_of(acme.partner.pk) == ([other, one], None)
    assert signals_of(acme.partner.pk, kid=spare.row.kid) == ([other], None)
    assert signals_of(acme.partner.pk, kid="nobodys") == signals_of(birch.partner.pk) == ([], None)


def test_the_signals_of_an_issuer_come_in_pages_and_none_twice(acme: Company) -> None:
    ids = said(acme, *(acme.sign(acme.signal()) for _ in range(7)))
    seen: list[list[UUID]] = []
    before: int | None = None
    while not seen or before is not None:
        some, before = signals_of(acme.partner.pk, before=before, most=3)
        seen.append(some)
    assert [len(some) for some in seen] == [3, 3, 1]
    assert [each for some in seen for each in some] == ids[::-1]


def test_a_report_costs_the_same_queries_whatever_it_names(
    acme: Company, birch: Company, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    ids = said(acme, *(acme.sign(acme.signal()) for _ in range(20)))
    birch.feed()
    for some in (ids[:1], ids):
        with django_assert_num_queries(7):
            assert len(report(some).recipients) == len(some)


# ---------------------------------------------------------------- overview
def retention(*, at: datetime) -> list[overview.Retention]:
    return overview.retention(overview.count_retention(at=at))


def test_retention_names_what_is_due_overdue_and_held(acme: Company, birch: Company) -> None:
    one, other, third = said(acme, *(acme.sign(acme.signal()) for _ in range(3)))
    Signal.objects.filter(id=one).update(expires_at=now() + timedelta(days=3))
    Signal.objects.filter(id=other).update(expires_at=now() - timedelta(days=3))
    legal_hold.place(third, reason="7 Js 1/26", actor="staff:7", at=now())
    [found] = retention(at=now())
    assert (found.programme, found.live, found.ends_soon, found.not_expired, found.held) == ("csea", 3, 1, 1, 1)
    expire_due(at=now())
    [found] = retention(at=now())
    assert (found.live, found.not_expired, found.to_purge, found.not_purged) == (2, 0, 1, 0)
    [found] = retention(at=now() + timedelta(days=400))
    assert found.not_purged == 1
    assert [signal.id for signal in overview.holds()] == [third]


def test_everything_about_a_partner_on_one_page(
    acme: Company, birch: Company, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    said(acme, *(acme.sign(acme.signal()) for _ in range(3)))
    birch.feed()
    with django_assert_num_queries(5):
        found = overview.about("birch-chat", at=now())
    assert found is not None
    assert found.disclosed == 3
    assert overview.count_issued() == [(acme.partner.pk, "published", 3)]
    assert overview.about("nobody", at=now()) is None
