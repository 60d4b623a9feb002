"""The recall board: who had it, told or cleared, waiting or overdue; and it stays fast with much to look at."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from hub.ledger.epochs import record_restored, renew_epoch
from hub.ledger.models import Epoch
from partners.models import Membership, Programme
from signals.compliance.recall import overdue, overdue_by_programme, who_had
from signals.core.recall import Standing
from signals.lifecycle.moves import Kind, lock_signals, take_positions
from signals.models import Acknowledgement, Change, Endpoint, Receipt, Signal, Walk
from tests.companies import Company, a_company, now
from tests.races.following import Follower

pytestmark = pytest.mark.django_db
LATER = timedelta(hours=25)


def said(company: Company) -> tuple[Signal, bytes]:
    jws = company.sign(company.signal())
    [verdict] = company.say(jws)
    return Signal.objects.get(id=verdict["signal"]), jws


def stand(company: Company, reader: Follower, *, position: int | None = None) -> None:
    """Acknowledge as the door does, at the reader's newest walk."""
    walk = Walk.objects.filter(partner_id=company.partner.pk, channel="pull").latest("id")
    head = Change.objects.latest("position").position
    Acknowledgement.objects.update_or_create(
        partner_id=company.partner.pk,
        programme_id=Programme.objects.get().pk,
        channel="pull",
        defaults={"walk": walk, "position": head if position is None else position, "at": now()},
    )


def board(signal: Signal, *, after: timedelta = timedelta(0)) -> dict[int, Standing]:
    found = who_had(signal.id, at=now() + after)
    assert found is not None
    return {copy.partner_id: copy.standing for copy in found.copies}


def test_who_was_shown_it_waits_then_is_told_and_who_was_not_shown_is_not_asked(
    acme: Company, birch: Company, cedar: Company
) -> None:
    signal, jws = said(acme)
    reader = Follower(birch, "csea")
    reader.pull()
    assert who_had(signal.id, at=now()) is None, "it stands"
    acme.say(acme.withdrawal(jws))
    Follower(cedar, "csea").pull()  # begins after the removal: it sees nothing
    assert board(signal) == {birch.partner.pk: Standing.WAITING}
    assert board(signal, after=LATER) == {birch.partner.pk: Standing.OVERDUE}
    reader.pull()
    assert board(signal) == {birch.partner.pk: Standing.WAITING}, "to be shown the tombstone is not to apply it"
    stand(birch, reader)
    assert board(signal, after=LATER) == {birch.partner.pk: Standing.TOLD}
    found = who_had(signal.id, at=now())
    assert found is not None
    assert (found.kind, found.had, found.possibly_had, found.acknowledged) == ("withdrawn", 1, 0, 1)


def test_a_walk_that_began_after_the_removal_clears_at_its_floor(acme: Company, birch: Company) -> None:
    signal, jws = said(acme)
    reader = Follower(birch, "csea")
    reader.pull()
    acme.say(acme.withdrawal(jws))
    said(acme)
    reader.rewalk()
    reader.pull()
    stand(birch, reader, position=0)
    assert board(signal) == {birch.partner.pk: Standing.WAITING}
    stand(birch, reader)
    assert board(signal) == {birch.partner.pk: Standing.CLEARED}


def test_an_endpoint_acknowledges_by_its_place_and_one_that_said_goodbye_is_cleared(
    acme: Company, birch: Company
) -> None:
    signal, jws = said(acme)
    endpoint = Endpoint.objects.create(
        partner_id=birch.partner.pk,
        programme_id=signal.programme_id,
        url="",
        sealed_secret=b"",
        next_attempt_at=now(),
        created_at=now(),
    )
    walk = Walk.objects.create(
        partner_id=birch.partner.pk,
        programme_id=signal.programme_id,
        channel=f"endpoint:{endpoint.id}",
        epoch=1,
        generation=1,
        floor=0,
        started_at=now(),
    )
    rows = Endpoint.objects.filter(id=endpoint.id)
    rows.update(walk=walk, position=-1)
    disclose(walk, since=-1, to=1, head=1, at=now())
    acme.say(acme.withdrawal(jws))
    assert board(signal) == {birch.partner.pk: Standing.WAITING}
    rows.update(position=2, last_success_at=now())
    assert board(signal) == {birch.partner.pk: Standing.TOLD}
    rows.update(position=-1, walk=None, state="disabled", state_reason="membership-ended")
    assert board(signal) == {birch.partner.pk: Standing.CLEARED}


def test_a_receipt_of_the_partner_stands_for_all_its_channels(acme: Company, birch: Company) -> None:
    signal, jws = said(acme)
    Follower(birch, "csea").pull()
    acme.say(acme.withdrawal(jws))
    Receipt.objects.create(
        statement_id=UUID(int=1),
        signal_id=signal.id,
        partner_id=birch.partner.pk,
        key_id=birch.key.row.pk,
        received_at=now(),
    )
    assert board(signal, after=LATER) == {birch.partner.pk: Standing.RECEIPT}
    assert overdue(at=now() + LATER) == []


def test_what_is_overdue_is_found_from_the_channels_that_are_behind(
    acme: Company, birch: Company, cedar: Company
) -> None:
    (first, its_jws), (second, other_jws) = said(acme), said(acme)
    behind, quick = Follower(birch, "csea"), Follower(cedar, "csea")
    behind.pull()
    quick.pull()
    acme.say(acme.withdrawal(its_jws), acme.withdrawal(other_jws))
    quick.pull()
    stand(cedar, quick)
    assert overdue(at=now()) == []
    late = overdue(at=now() + LATER)
    assert {(each.signal_id, each.partner_id) for each in late} == {
        (first.id, birch.partner.pk),
        (second.id, birch.partner.pk),
    }
    assert overdue_by_programme(at=now() + LATER) == {"csea": 2}
    stand(birch, behind)
    assert overdue(at=now() + LATER) == []
    assert overdue_by_programme(at=now() + LATER) == {"csea": 0}


def test_what_a_restore_lost_counts_as_had_by_everybody_of_that_time(
    acme: Company, birch: Company, cedar: Company
) -> None:
    signal, jws = said(acme)
    only, its_routing = acme.sign(acme.signal(audience="routed")), ["cedar-video"]
    [verdict, _] = acme.say(only, acme.routing(only, only=its_routing))
    Follower(birch, "csea").pull()
    renew_epoch("restored", actor="system:restore", at=now())
    record_restored(actor="system:restore", at=now())
    acme.say(acme.withdrawal(jws), acme.withdrawal(only))
    late = a_company("dune-mail", Programme.objects.get())
    Membership.objects.filter(partner=late.partner).update(began_at=now())
    found, routed = who_had(signal.id, at=now()), who_had(UUID(verdict["signal"]), at=now())
    assert found is not None
    assert routed is not None
    assert [(copy.partner_id, copy.channel, copy.is_possible) for copy in found.copies] == [
        (birch.partner.pk, "pull", False),
        (cedar.partner.pk, "pull", True),
    ]
    assert [(copy.partner_id, copy.is_possible) for copy in routed.copies] == [(cedar.partner.pk, True)]
    assert (found.had, found.possibly_had) == (1, 1)


def test_a_signal_said_after_the_restore_is_not_possibly_had(acme: Company, birch: Company) -> None:
    Epoch.objects.create(number=2, started_at=now() - timedelta(minutes=1), reason="restored")
    signal, jws = said(acme)
    acme.say(acme.withdrawal(jws))
    found = who_had(signal.id, at=now())
    assert found is not None
    assert found.copies == ()


def disclose(walk: Walk, *, since: int, to: int, head: int, at: datetime) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO signals_disclosure (walk_id, from_position, to_position, head, count, root, at)"
            " VALUES (%s, %s, %s, %s, 1, '', %s)",
            [walk.pk, since, to, head, at],
        )


PARTNERS, PAGES, SIGNALS = 200, 500, 500  # 100,000 disclosures of 200 walks, spread over a week


@pytest.fixture
def crowd(acme: Company) -> Signal:
    """Everybody follows entry by entry for a week, and the signal in the middle is withdrawn at the end of it."""
    signal, _ = said(acme)
    with connection.cursor() as cursor:
        cursor.execute(
            """
            INSERT INTO signals_change (programme_id, position, signal_id, revision, kind, audience,
                                        audience_partners, at)
            SELECT %(programme)s, n + 1, gen_random_uuid(), 1, 'published', 'programme', '{}', %(at)s
              FROM generate_series(1, %(signals)s) AS n""",
            {"programme": signal.programme_id, "signals": SIGNALS, "at": now()},
        )
        cursor.execute(
            """
            INSERT INTO signals_walk (partner_id, programme_id, channel, epoch, generation, filter, floor, started_at)
            SELECT 100000 + n, %(programme)s, 'pull', 1, 1, '{}', 0, %(at)s FROM generate_series(1, %(partners)s) AS n
            """,
            {"programme": signal.programme_id, "partners": PARTNERS, "at": now() - timedelta(days=1)},
        )
        cursor.execute(
            """
            INSERT INTO signals_disclosure (walk_id, from_position, to_position, head, count, root, at)
            SELECT walk.id, n - 1, n, n, 1, '',
                   %(at)s + n * interval '7 days' / %(pages)s
              FROM signals_walk AS walk, generate_series(1, %(pages)s) AS n
             WHERE walk.partner_id > 100000""",
            {"pages": PAGES, "at": now()},
        )
        cursor.execute("UPDATE signals_head SET position = %s", [SIGNALS + 1])
    later = now() + timedelta(days=6, hours=23)
    with transaction.atomic():
        lock_signals([signal.id])
        take_positions(signal.programme_id, [signal.id], kind=Kind.WITHDRAWN, at=later)
    return signal


def test_two_hundred_partners_and_a_hundred_thousand_disclosures_are_asked_through_indexes(crowd: Signal) -> None:
    with CaptureQueriesContext(connection) as captured:
        found = who_had(crowd.id, at=now())
    assert found is not None
    assert found.had == PARTNERS
    assert len(captured) <= 11
    [query] = [each["sql"] for each in captured if "signals_disclosure" in each["sql"]]
    plan = explain(query)
    assert not [node for node in plan if node["Node Type"] == "Seq Scan" and "disclosure" in node["Relation Name"]]
    read = sum(
        node["Actual Rows"] * node["Actual Loops"] for node in plan if node.get("Index Name", "").find("walk") > 0
    )
    assert read < 10 * PARTNERS, "each walk is left at its first hit"


def explain(query: str) -> list[dict[str, Any]]:
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off; SET LOCAL enable_bitmapscan = off")
        cursor.execute("EXPLAIN (ANALYZE, FORMAT JSON) " + query)
        [[document]] = cursor.fetchall()
    nodes, waiting = [], [document[0]["Plan"]]
    while waiting:
        node = waiting.pop()
        nodes.append(node)
        waiting += node.get("Plans", [])
    return nodes
