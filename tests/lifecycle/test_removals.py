"""expire, purge and forget: a signal's time is over, its content is erased, at last its tombstone goes too."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from django.db import connection
from pytest_django import Settings

from hub.vault import keyring
from hub.vault.envelope import KeyDestroyed
from partners.models import Partner
from signals.lifecycle import expire, purge
from signals.lifecycle.examine import context
from signals.lifecycle.expire import expire_due
from signals.lifecycle.purge import destroy_spent_months, forget_tombstones, purge_due
from signals.lifecycle.verify import verify_next
from signals.models import Change, Head, Route, Signal, Statement
from tests.builders import a_programme, a_signing_key, an_api_key
from tests.companies import Company, a_company, now
from tests.lifecycle.conftest import LedgerRefuses, Recorded
from tests.races.following import Follower

pytestmark = pytest.mark.django_db

YEAR = timedelta(days=366)
MONTH = timedelta(days=31)


@pytest.fixture(autouse=True)
def keys_of_our_own(settings: Settings, tmp_path: Path) -> None:
    """What is destroyed here is destroyed for nobody else."""
    settings.KEYS_DIR = tmp_path / "keys"


@pytest.fixture
def acme(db: None) -> Company:
    programme = a_programme("csea")
    a_company("birch-chat", programme)
    return a_company("acme-social", programme)


@pytest.fixture
def birch(acme: Company) -> Follower:
    partner = Partner.objects.get(slug="birch-chat")
    return Follower(Company(partner, a_signing_key(partner), an_api_key(partner)), "csea")


# ---------------------------------------------------------------- expire
def test_what_was_out_becomes_a_tombstone_and_what_nobody_saw_takes_no_place(acme: Company, birch: Follower) -> None:
    acme.say(acme.sign(acme.signal()))
    birch.catch_up()
    acme.say(acme.sign(acme.signal(audience="routed")))
    acme.submit(acme.sign(acme.signal()))
    verify_next(at=now())
    assert expire_due(at=now()) == 0
    assert expire_due(at=now() + YEAR) == 3
    assert expire_due(at=now() + YEAR) == 0
    assert set(Signal.objects.values_list("state", "removal")) == {("expired", "expired")}
    assert Change.objects.filter(kind="expired").count() == 1
    assert birch.catch_up().live == {}


def test_held_signals_expire_too(acme: Company) -> None:
    acme.partner.is_probationary = True
    acme.partner.save()
    acme.say(acme.sign(acme.signal()))
    assert Signal.objects.get().state == "held"
    assert expire_due(at=now() + YEAR) == 1


def test_the_author_may_ask_for_less_time_and_a_revision_for_more(acme: Company, birch: Follower) -> None:
    soon = acme.signal("https://bad.example/x", expires=now() + timedelta(days=2))
    acme.say(acme.sign(soon))
    acme.say(acme.sign(acme.signal("https://bad.example/x", supersedes=soon["jti"])))
    assert expire_due(at=now() + timedelta(days=3)) == 0
    assert len(birch.catch_up().live) == 1


def test_the_ledger_names_what_expired_unseen(acme: Company, recorded: Recorded) -> None:
    acme.say(acme.sign(acme.signal(audience="routed")))
    expire_due(at=now() + YEAR)
    [event] = [event for event in recorded() if event["action"] == "signal.expired"]
    assert event["subjects"] == [f"signal:{Signal.objects.get().id}", "programme:csea"]


# ---------------------------------------------------------------- purge
def test_purging_erases_value_index_note_jws_and_salts_and_keeps_the_tombstone(acme: Company, birch: Follower) -> None:
    first = acme.signal("https://bad.example/x", note="a note")
    jws = acme.sign(first)
    acme.say(jws)
    acme.say(acme.sign(acme.signal("https://bad.example/x", note="another", supersedes=first["jti"])))
    birch.catch_up()
    acme.say(acme.withdrawal(jws))
    assert purge_due(at=now() + timedelta(days=29)) == 0
    assert purge_due(at=now() + MONTH) == 1
    signal = Signal.objects.get()
    assert (signal.state, signal.removal, signal.value_index, signal.index_key_id) == ("purged", "withdrawn", None, "")
    assert set(Statement.objects.values_list("sealed", flat=True)) == {None}
    assert {jti for jti, _ in Statement.objects.values_list("jti", "digest")} >= {first["jti"]}
    assert salts_about(signal) == 0
    assert birch.catch_up().live == {}
    [again] = acme.say(jws)
    assert (again["verdict"], again["state"]) == ("accepted", "purged")


def test_a_legal_hold_stops_the_purge_and_keeps_the_place(acme: Company) -> None:
    acme.say(acme.sign(acme.signal()))
    expire_due(at=now() + YEAR)
    Signal.objects.update(has_legal_hold=True)
    far = now() + 2 * YEAR
    assert (purge_due(at=far), forget_tombstones(at=far)) == (0, 0)
    Signal.objects.update(has_legal_hold=False)
    assert (purge_due(at=far), forget_tombstones(at=far)) == (1, 1)


def test_a_forgotten_tombstone_sends_whoever_needed_it_back_to_the_start(acme: Company, birch: Follower) -> None:
    jws = acme.sign(acme.signal(audience="routed"))
    acme.say(jws, acme.routing(jws, only=["birch-chat"]))
    page = birch.company.feed()
    acme.say(acme.withdrawal(jws))
    later = now() + timedelta(days=91)
    purge_due(at=later)
    assert forget_tombstones(at=later) == 1
    assert (Head.objects.get().purged_to, Signal.objects.get().position) == (2, None)
    assert not Route.objects.exists()
    assert birch.company.feed(after=page["next"])["code"] == "cursor-expired"
    fresh = birch.company.feed()
    assert (fresh["items"], fresh["listed"]) == ([], True)


def test_who_has_read_the_tombstone_goes_on_undisturbed(acme: Company, birch: Follower) -> None:
    jws = acme.sign(acme.signal())
    acme.say(jws)
    acme.say(acme.withdrawal(jws))
    birch.catch_up()
    later = now() + timedelta(days=91)
    purge_due(at=later)
    forget_tombstones(at=later)
    acme.say(acme.sign(acme.signal()))
    page = birch.pull()
    assert page is not None
    assert len(page["items"]) == 1


def test_a_spent_month_is_destroyed_and_a_stray_withdrawal_does_not_keep_it(acme: Company) -> None:
    jws = acme.sign(acme.signal())
    acme.say(jws)
    acme.say(acme.withdrawal(acme.sign(acme.signal())))
    statement = Statement.objects.get(typ="signal+jws")
    assert statement.sealed is not None
    far = now() + 3 * YEAR
    assert not [spent for spent in destroy_spent_months(at=far) if spent.startswith("programme:csea")]
    expire_due(at=now() + YEAR)
    purge_due(at=far)
    [spent] = [spent for spent in destroy_spent_months(at=far) if spent.startswith("programme:csea")]
    assert spent == f"programme:csea {keyring.month_of(now() + timedelta(days=365))}"
    with pytest.raises(KeyDestroyed):
        keyring.open_sealed(bytes(statement.sealed), context=context(statement.id))
    assert destroy_spent_months(at=far) == []


# ---------------------------------------------------------------- the ledger
def test_if_the_ledger_cannot_be_written_nothing_happened(acme: Company, ledger_refuses: LedgerRefuses) -> None:
    acme.say(acme.sign(acme.signal()))
    with ledger_refuses():
        expire_due(at=now() + YEAR)
    assert Signal.objects.get().state == "published"
    expire_due(at=now() + YEAR)
    far = now() + 2 * YEAR
    with ledger_refuses():
        purge_due(at=far)
    assert Statement.objects.get().sealed is not None
    purge_due(at=far)
    with ledger_refuses():
        forget_tombstones(at=far)
    assert Signal.objects.get().position is not None
    with ledger_refuses():
        destroy_spent_months(at=far)
    assert keyring.list_periods("programme:csea")


def test_one_round_is_bounded(acme: Company, monkeypatch: pytest.MonkeyPatch) -> None:
    acme.say(*(acme.sign(acme.signal()) for _ in range(5)))
    monkeypatch.setattr(expire, "BATCH", 2)
    monkeypatch.setattr(purge, "BATCH", 2)
    far = now() + 2 * YEAR
    assert [expire_due(at=far - YEAR) for _ in range(4)] == [2, 2, 1, 0]
    assert [purge_due(at=far) for _ in range(4)] == [2, 2, 1, 0]
    assert [forget_tombstones(at=far) for _ in range(4)] == [2, 2, 1, 0]


def salts_about(signal: Signal) -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM ledger_salt WHERE subject = %s", [f"signal:{signal.id}"])
        return int(cursor.fetchone()[0])
