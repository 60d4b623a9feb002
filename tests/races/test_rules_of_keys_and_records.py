"""Rules 9, 11, 12 and 13 of docs/decisions/0050: keys that fall, what was disclosed, the mirror, lock order."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from threading import Event
from uuid import uuid4

import pytest
from django.db import OperationalError
from django.test import Client
from pytest_django import Settings

from hub.ledger import serving
from hub.ledger.mirror import Mirror, Remembered
from signals import tasks
from signals.lifecycle import expire, publish, quarantine, roll_up, submit, verify
from signals.lifecycle.effects import take, write
from signals.lifecycle.moves import Kind, lock_head, lock_signals, take_positions
from signals.lifecycle.quarantine import revoke_compromised_key, settle_fallen_keys
from signals.lifecycle.verify import verify_next
from signals.models import Disclosure, Signal, Submission
from tests.builders import a_programme, a_signing_key
from tests.companies import Company, a_company, now, settle
from tests.partners.conftest import Recorded
from tests.races import broken
from tests.races.actors import Actor, let_all_end
from tests.races.broken import needs
from tests.races.following import Follower


def two() -> tuple[Company, Company]:
    programme = a_programme("csea")
    return a_company("acme-social", programme), a_company("birch-chat", programme)


def fall(company: Company) -> None:
    revoke_compromised_key(
        company.key.kid, partner_id=company.partner.pk, compromised_at=None, actor="partner:acme-social", at=now()
    )


# ---------------------------------------------------------------- rule 9
@pytest.mark.django_db
def test_9_nothing_under_a_fallen_key_is_published_any_more() -> None:
    def scenario() -> None:
        acme, _ = two()
        acme.submit(acme.sign(acme.signal()))
        verify_next(at=now())
        fall(acme)
        settle()
        assert Signal.objects.get().revision == 0, "a place was taken for what nobody may see"

    needs(broken.key_not_asked_again, scenario)


@pytest.mark.django_db
def test_9_a_fall_acts_when_it_commits_before_a_single_signal_has_moved() -> None:
    def scenario() -> None:
        acme, birch = two()
        jws = acme.sign(acme.signal())
        acme.say(jws)
        fall(acme)
        assert jws.decode() not in str(birch.feed())

    needs(broken.fallen_keys_served, scenario)


@pytest.mark.usefixtures("committed_db")
def test_9_a_fall_waits_for_a_batch_of_its_partner_and_then_undoes_it() -> None:
    programme = a_programme(f"nine-{uuid4().hex[:8]}")
    acme, birch = a_company(f"acme-{programme.slug}", programme), a_company(f"birch-{programme.slug}", programme)
    good, bad = acme.key, a_signing_key(acme.partner)
    jws = acme.sign(acme.signal(programme=programme.slug), key=good)
    acme.say(jws)
    reader = Follower(birch, programme.slug)
    acme.submit(acme.withdrawal(jws, key=bad))
    acme.key = bad
    with Actor("verifier") as verifier, Actor("revoker") as revoker:
        assert verifier.begin(lambda: verify_next(at=now()))
        assert not revoker.begin(lambda: fall(acme)), "the fall did not wait"
        verifier.end()
        assert revoker.arrive()
        revoker.end()
    while settle_fallen_keys(at=now()):
        pass
    assert len(reader.catch_up().live) == 1
    assert Signal.objects.get(programme_id=programme.pk).state == "published"


@pytest.mark.usefixtures("committed_db")
def test_9_two_sweeps_settle_a_fall_without_calling_it_settled_too_early() -> None:
    """The second finds nothing left to lock of what the first is moving; that is no reason to say that all is moved."""
    programme = a_programme(f"nine-{uuid4().hex[:8]}")
    acme = a_company(f"acme-{programme.slug}", programme)
    acme.say(*(acme.sign(acme.signal(programme=programme.slug)) for _ in range(4)))
    fall(acme)
    with pytest.MonkeyPatch.context() as patch, Actor("one") as one, Actor("other") as other:
        patch.setattr(quarantine, "BATCH", 2)
        one.begin(lambda: settle_fallen_keys(at=now()))
        other.begin(lambda: settle_fallen_keys(at=now()))
        one.end()
        if other.is_busy and other.arrive():
            other.end()
        while settle_fallen_keys(at=now()):
            pass
    assert set(Signal.objects.filter(programme_id=programme.pk).values_list("state", flat=True)) == {"quarantined"}


# ---------------------------------------------------------------- idempotency, leases
@pytest.mark.django_db
def test_a_jti_counts_once() -> None:
    def scenario() -> None:
        acme, _ = two()
        line = acme.sign(acme.signal())
        acme.say(line)
        acme.say(line)
        assert not Submission.objects.filter(state="pending").exists(), "the constraint alone gives no verdict"
        assert Signal.objects.count() == 1

    needs(broken.taken_jtis_ignored, scenario)


@pytest.mark.django_db
def test_a_verifier_whose_lease_was_taken_over_settles_nothing() -> None:
    def scenario() -> None:
        acme, _ = two()
        acme.submit(acme.sign(acme.signal()))

        def stall(partner_id: int) -> None:
            """While this worker stalls, its lease runs out and another does the work."""
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(verify, "lock_issuer", take.lock_issuer)
                Submission.objects.update(lease_until=now() - timedelta(seconds=1))
                assert verify_next(at=now())
            take.lock_issuer(partner_id)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(verify, "lock_issuer", stall)
            assert verify_next(at=now()) == set()
        assert Signal.objects.count() == 1

    needs(broken.submission_token_ignored, scenario)


# ---------------------------------------------------------------- every change writes the ledger, rule 11
def test_11_no_page_leaves_without_its_record(recorded: Recorded) -> None:
    def scenario() -> None:
        acme, birch = two()
        acme.say(acme.sign(acme.signal()))
        reader = Follower(birch, "csea")
        reader.catch_up()
        assert Disclosure.objects.count() == 1
        roll_up.roll_up(until=now() + timedelta(days=1), at=now())
        assert "feed.disclosed" in {event["action"] for event in recorded()}

    needs(broken.disclosures_not_recorded, scenario)


def test_every_change_writes_the_ledger(recorded: Recorded) -> None:
    def scenario() -> None:
        acme, birch = two()
        one, other = acme.sign(acme.signal()), acme.sign(acme.signal())
        acme.say(one, other)
        Follower(birch, "csea").catch_up()
        acme.say(acme.withdrawal(one))
        expire.expire_due(at=now() + timedelta(days=400))
        roll_up.roll_up(until=now() + timedelta(days=1), at=now())
        said = {event["action"] for event in recorded()}
        for action in ("submission.received", "statement.accepted", "signal.published", "signal.withdrawn"):
            assert action in said
        for action in ("signal.expired", "feed.disclosed"):
            assert action in said

    needs(broken.events_not_recorded(submit, write, publish, roll_up, expire), scenario)


# ---------------------------------------------------------------- rule 12
@pytest.fixture
def behind(db: None, settings: Settings, tmp_path: Path) -> Iterator[None]:
    """A mirror that remembers a leaf which the database does not have."""
    settings.MIRROR_DIR = tmp_path
    Mirror(tmp_path).write(Remembered(v=1, epoch=1, size=10**9, root="00" * 32, last="00" * 32), [])
    serving.forget()
    yield
    serving.forget()


@pytest.mark.usefixtures("behind")
def test_12_while_the_database_is_behind_its_mirror_nothing_is_served() -> None:
    def scenario() -> None:
        serving.forget()
        acme, birch = two()
        client = Client(headers={"authorization": f"Bearer {birch.token}"})
        paths = ("/api/v1/programmes", "/api/v1/programmes/csea/feed", "/api/v1/endpoints", "/.well-known/jwks.json")
        assert {client.get(path).status_code for path in paths} == {503}
        line = acme.sign(acme.signal())
        answer = acme.http.post("/api/v1/statements", line, content_type="application/jose")
        assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
        assert not Submission.objects.exists()

    needs(broken.mirror_ignored, scenario)


@pytest.mark.usefixtures("behind")
def test_12_nor_does_any_task_do_anything() -> None:
    def scenario() -> None:
        serving.forget()
        acme, _ = two()
        acme.submit(acme.sign(acme.signal()))
        for task in (tasks.verify, tasks.publish, tasks.sweep, tasks.purge):
            task()
        assert Submission.objects.get().state == "pending"
        assert not Signal.objects.exists()

    needs(broken.mirror_ignored, scenario)


# ---------------------------------------------------------------- rule 13
@pytest.mark.usefixtures("committed_db")
def test_13_signals_are_locked_before_the_head() -> None:
    """Two writers that both lock signals first wait for each other in turn; one that takes the head first deadlocks."""
    programme = a_programme(f"order-{uuid4().hex[:8]}")
    acme = a_company(f"acme-{programme.slug}", programme)
    jws = acme.sign(acme.signal(programme=programme.slug))
    acme.say(jws)
    [identity] = Signal.objects.filter(programme_id=programme.pk).values_list("id", flat=True)

    has_locked, go_on = Event(), Event()

    def move() -> None:
        lock_signals([identity])
        has_locked.set()
        go_on.wait(20)
        take_positions(programme.pk, [identity], kind=Kind.REVISED, at=now())

    def head_first() -> None:
        lock_head(programme.pk, at=now())
        lock_signals([identity])

    def meet(other: Callable[[], None]) -> None:
        has_locked.clear()
        go_on.clear()
        with Actor("first") as first, Actor("second") as second:
            first.start(move)
            assert has_locked.wait(20)
            assert not second.begin(other)
            go_on.set()
            let_all_end(first, second)

    meet(move)
    assert Signal.objects.get(id=identity).revision == 3
    with pytest.raises(OperationalError, match="deadlock"):
        meet(head_first)
