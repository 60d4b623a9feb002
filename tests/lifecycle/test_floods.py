"""Bursts and values that come up too often are held, contested values too; their author reads only `review`."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from pytest_django import Settings

from hub.vault import keyring
from partners.models import Programme
from signals.core.flood import ACTIVE_HOURS
from signals.lifecycle import rule, verify
from signals.lifecycle.inflow import forget_inflow
from signals.models import Inflow, Signal
from tests.builders import a_programme
from tests.companies import Company, a_company, now, settle
from tests.lifecycle.conftest import LedgerRefuses

pytestmark = pytest.mark.django_db

STAFF = "staff:7"
VALUE = "https://bad.example/same"


@pytest.fixture
def csea(db: None) -> Programme:
    return a_programme("csea", gates={"flood_floor": 3, "flood_factor": 2, "flood_partners": 2, "flood_repeats": 2})


@pytest.fixture
def acme(csea: Programme) -> Company:
    return a_member("acme-social", csea)


@pytest.fixture
def birch(csea: Programme) -> Company:
    return a_member("birch-chat", csea)


def a_member(slug: str, programme: Programme) -> Company:
    """One without the right to back-fill, as partners are."""
    company = a_company(slug, programme)
    company.may_backfill = False
    return company


def reasons(company: Company, *values: str) -> list[list[str]]:
    """What holds each of these signals, as the hub knows it."""
    company.say(*(company.sign(company.signal(value)) for value in values))
    found = Signal.objects.filter(issuer_id=company.partner.pk).order_by("-arrival")[: len(values)]
    return [list(signal.held_reasons) for signal in reversed(found)]


def hours_ago(company: Company, hours: int, *, received: int, flooded: int = 0) -> None:
    hour = now().replace(minute=0, second=0, microsecond=0) - timedelta(hours=hours)
    Inflow.objects.create(
        partner_id=company.partner.pk,
        hour=hour,
        programme_id=Programme.objects.get().pk,
        indicator_type="url",
        received=received,
        flooded=flooded,
    )


# ------------------------------------------------------------ bursts
def test_what_goes_beyond_the_floor_within_an_hour_is_held_and_its_author_reads_review(acme: Company) -> None:
    verdicts = acme.say(*(acme.sign(acme.signal()) for _ in range(5)))
    assert [verdict["verdict"] for verdict in verdicts] == ["accepted"] * 3 + ["held"] * 2
    assert verdicts[-1]["held"] == ["review"]
    assert Inflow.objects.values_list("received", "flooded").get() == (5, 2)


def test_a_burst_goes_on_in_the_next_submission_and_spares_other_types_and_other_partners(
    acme: Company, birch: Company
) -> None:
    assert reasons(acme, *[""] * 3) == [[], [], []]
    assert reasons(acme, "") == [["flood"]]
    [mail] = acme.say(acme.sign(acme.signal("bad@example.com", type="email")))
    assert mail["verdict"] == "accepted"
    assert reasons(birch, "") == [[]]


def test_whoever_always_sends_so_much_may(acme: Company) -> None:
    for hours in range(72, 72 + ACTIVE_HOURS):
        hours_ago(acme, hours, received=4)
    assert reasons(acme, *[""] * 9) == [[]] * 8 + [["flood"]]


@pytest.mark.parametrize(("since", "hours"), [(2, ACTIVE_HOURS), (72, ACTIVE_HOURS - 1)])
def test_what_came_just_now_or_in_a_few_hours_is_no_history(acme: Company, since: int, hours: int) -> None:
    for ago in range(since, since + hours):
        hours_ago(acme, ago, received=1000)
    assert reasons(acme, *[""] * 4)[-1] == ["flood"]


def test_an_earlier_flood_makes_no_later_one_normal(acme: Company) -> None:
    for hours in range(72, 72 + ACTIVE_HOURS):
        hours_ago(acme, hours, received=1000, flooded=997)
    assert reasons(acme, *[""] * 7)[-1] == ["flood"]


def test_who_may_back_fill_is_measured_by_the_cap_alone(acme: Company) -> None:
    acme.may_backfill = True
    assert reasons(acme, *[""] * 8) == [[]] * 8


def test_saying_the_same_statement_again_is_no_burst(acme: Company) -> None:
    line = acme.sign(acme.signal())
    for _ in range(5):
        acme.say(line)
    assert Inflow.objects.get().received == 1


def test_revising_what_is_held_for_a_flood_is_no_way_out(acme: Company) -> None:
    payloads = [acme.signal(f"https://bad.example/{number}") for number in range(4)]
    acme.say(*(acme.sign(payload) for payload in payloads))
    acme.say(acme.sign(acme.signal("https://bad.example/3", supersedes=payloads[3]["jti"])))
    assert Signal.objects.order_by("-arrival")[0].held_reasons == ["flood"]


def test_a_programme_may_switch_the_gate_off(acme: Company) -> None:
    Programme.objects.update(gates={"flood": False, "flood_floor": 1})
    assert reasons(acme, "", "", "") == [[], [], []]
    assert Inflow.objects.values_list("received", "flooded").get() == (3, 0)


# ------------------------------------------------------------ values
def test_one_partner_says_a_value_only_so_often(acme: Company) -> None:
    assert reasons(acme, VALUE, VALUE) == [[], []]
    assert reasons(acme, VALUE) == [["flood"]]


def test_while_index_keys_are_replaced_it_is_counted_by_all_of_them(
    acme: Company, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.KEYS_DIR = tmp_path / "keys"
    assert reasons(acme, VALUE) == [[]]
    monkeypatch.setattr(keyring.keyring().index, "warm_up", timedelta())
    keyring.begin_index_rotation("programme:csea")
    assert reasons(acme, VALUE) == [[]]
    assert set(Signal.objects.values_list("index_key_id", flat=True)) == {"programme:csea#1", "programme:csea#2"}
    assert reasons(acme, VALUE) == [["flood"]]


def test_also_within_one_submission(acme: Company) -> None:
    assert reasons(acme, VALUE, VALUE, VALUE) == [[], [], ["flood"]]


def test_a_value_that_many_partners_meet_within_the_hour_is_held_and_is_nobodys_flood(
    acme: Company, birch: Company, csea: Programme
) -> None:
    cedar, dora = a_member("cedar-video", csea), a_member("dora-games", csea)
    assert [reasons(each, VALUE) for each in (acme, birch)] == [[[]], [[]]]
    assert reasons(cedar, VALUE) == [["flood"]]
    assert not Inflow.objects.filter(flooded__gt=0)
    Signal.objects.update(received_at=now() - timedelta(hours=2))
    assert reasons(dora, VALUE) == [[]]


def test_whoever_says_of_a_signal_that_it_was_known_there_has_met_it(
    acme: Company, birch: Company, csea: Programme
) -> None:
    cedar = a_member("cedar-video", csea)
    line = acme.sign(acme.signal(VALUE))
    acme.say(line)
    settle()
    birch.say(birch.opinion(line, "need-more", reason="context"))
    assert reasons(cedar, VALUE) == [[]]
    Signal.objects.filter(issuer_id=cedar.partner.pk).delete()
    birch.say(birch.opinion(line, "seen"))
    assert reasons(cedar, VALUE) == [["flood"]]


# ------------------------------------------------------------ contested
def test_a_value_that_others_dispute_is_held(acme: Company, birch: Company, csea: Programme) -> None:
    Programme.objects.update(gates={})
    cedar = a_member("cedar-video", csea)
    line = acme.sign(acme.signal(VALUE))
    acme.say(line)
    settle()
    birch.say(birch.opinion(line, "false-positive", reason="benign-value"))
    settle()
    [verdict] = cedar.say(cedar.sign(cedar.signal(VALUE)))
    assert (verdict["verdict"], verdict["held"]) == ("held", ["review"])
    assert Signal.objects.get(issuer_id=cedar.partner.pk).held_reasons == ["contested"]


def test_a_dispute_is_over_with_its_signal_but_what_was_refuted_is_remembered(acme: Company) -> None:
    line = acme.sign(acme.signal(VALUE))
    acme.say(line)
    settle()
    first = Signal.objects.get()
    rule.dispute(first.pk, reason="benign-value", actor=STAFF, at=now())
    acme.say(acme.withdrawal(line))
    assert reasons(acme, VALUE) == [[]]
    settle()
    second = Signal.objects.exclude(pk=first.pk).get()
    rule.refute(second.pk, reason="benign-value", actor=STAFF, at=now())
    Signal.objects.filter(pk=second.pk).update(removal="withdrawn", removed_at=now(), state="withdrawn")
    assert reasons(acme, VALUE) == [["contested", "flood"]]


def test_a_dispute_in_another_programme_holds_nothing_here(acme: Company) -> None:
    other = a_programme("ncii", gates={})
    dora = a_member("dora-games", other)
    line = dora.sign(dora.signal(VALUE, programme="ncii", violation="intimate-images"))
    dora.say(line)
    settle()
    rule.refute(Signal.objects.get().pk, reason="benign-value", actor=STAFF, at=now())
    assert reasons(acme, VALUE) == [[]]


# ------------------------------------------------------------ the counts
def test_if_the_ledger_cannot_be_written_nothing_is_counted(acme: Company, ledger_refuses: LedgerRefuses) -> None:
    acme.submit(acme.sign(acme.signal()))
    claimed = verify.claim()
    assert claimed is not None
    with ledger_refuses():
        verify._verify(*claimed, at=now())  # aloud: the verifier would note what went wrong, and put it off
    assert not Inflow.objects.exists()


def test_hours_long_past_are_forgotten(acme: Company) -> None:
    hours_ago(acme, 24 * 92, received=1)
    hours_ago(acme, 24 * 80, received=1)
    assert forget_inflow(at=now()) == 1
    assert Inflow.objects.count() == 1
