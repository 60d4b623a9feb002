"""Verbs that meet: real commits in separate connections."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta

import pytest
from django.db import connection, transaction

from partners.core.refusals import EndorsementRefused, KeyTaken, WrongState
from partners.core.states import KeyState
from partners.lifecycle.begin_membership import Terms, begin_membership
from partners.lifecycle.propose_key import propose_key
from partners.lifecycle.revoke_key import revoke_key
from partners.models import Membership, Partner, SigningKey
from tests.builders import (
    NOON,
    KeyPair,
    Who,
    a_partner,
    a_programme,
    a_signing_key,
    an_api_key,
    an_ed25519_key,
    an_endorsement,
    endorse,
    public_jwk,
)

pytestmark = pytest.mark.usefixtures("committed_db")
WHO: Who = {"actor": "staff:1", "at": NOON}


def _at_once(*deeds: Callable[[], object]) -> list[object]:
    """Do all at the same moment, each in a thread with a connection of its own; answers and refusals in order."""
    gate = threading.Barrier(len(deeds))
    answers: list[object] = [None] * len(deeds)

    def do(number: int, deed: Callable[[], object]) -> None:
        gate.wait()
        try:
            answers[number] = deed()
        except Exception as refused:  # noqa: BLE001  the test looks at it
            answers[number] = refused
        finally:
            connection.close()

    threads = [threading.Thread(target=do, args=pair) for pair in enumerate(deeds)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=30)
    return answers


@contextmanager
def _waiting(deed: Callable[[], object]) -> Iterator[list[object]]:
    """The deed, begun in another connection while this block runs; its answer is there after the block."""
    answers: list[object] = []

    def do() -> None:
        try:
            answers.append(deed())
        except Exception as refused:  # noqa: BLE001  the test looks at it
            answers.append(refused)
        finally:
            connection.close()

    thread = threading.Thread(target=do)
    with transaction.atomic():
        yield answers
        thread.start()
        thread.join(timeout=0.3)
        assert thread.is_alive(), "it did not wait"
    thread.join(timeout=30)


def test_an_endorsement_that_meets_the_revocation_of_its_key_is_refused() -> None:
    acme = a_partner("race-revoke")
    old, new = a_signing_key(acme), a_signing_key(acme, state=KeyState.PROPOSED)
    line = an_endorsement(new, by=old)
    with _waiting(lambda: endorse(new, line, **WHO)) as answers:
        revoke_key(old.kid, partner_id=acme.pk, compromised_at=NOON - timedelta(days=1), **WHO)
    assert isinstance(answers[0], EndorsementRefused)
    assert SigningKey.objects.get(pk=new.row.pk).state == "proposed"


def test_a_key_proposed_while_its_sponsor_is_revoked_gets_no_endorsement() -> None:
    acme = a_partner("race-late")
    old, private = a_signing_key(acme), an_ed25519_key()

    def propose_and_endorse() -> object:
        row = propose_key(public_jwk(private), partner_slug=acme.slug, **WHO)
        new = KeyPair(row, private)
        return endorse(new, an_endorsement(new, by=old), **WHO)

    with _waiting(propose_and_endorse) as answers:
        revoke_key(old.kid, partner_id=acme.pk, compromised_at=None, **WHO)
    assert isinstance(answers[0], EndorsementRefused)


def test_a_key_endorsed_just_before_the_revocation_falls_with_it() -> None:
    acme = a_partner("race-endorse")
    old, new = a_signing_key(acme), a_signing_key(acme, state=KeyState.PROPOSED)
    line = an_endorsement(new, by=old)

    def revoke() -> object:
        with transaction.atomic():
            return revoke_key(old.kid, partner_id=acme.pk, compromised_at=NOON - timedelta(days=1), **WHO)

    with _waiting(revoke):
        endorse(new, line, **WHO)
    assert SigningKey.objects.get(pk=new.row.pk).state == "revoked"


def test_one_of_two_partners_gets_the_key_both_propose() -> None:
    for slug in ("race-one", "race-two"):
        a_partner(slug)
    jwk = public_jwk(an_ed25519_key())
    answers = _at_once(
        lambda: propose_key(jwk, partner_slug="race-one", **WHO),
        lambda: propose_key(jwk, partner_slug="race-two", **WHO),
    )
    assert sorted(type(answer).__name__ for answer in answers) == [KeyTaken.__name__, SigningKey.__name__]


def test_one_of_two_beginnings_begins() -> None:
    a_partner("race-begin")
    a_programme("race-programme")
    answers = _at_once(*[lambda: begin_membership("race-begin", "race-programme", Terms(), **WHO)] * 4)
    assert sorted(type(answer).__name__ for answer in answers) == [Membership.__name__, *[WrongState.__name__] * 3]
    assert Membership.objects.get(programme__slug="race-programme").generation == 1


def test_whoever_refers_to_a_partner_does_not_wait_for_its_verbs() -> None:
    acme = a_partner("race-refer")
    with transaction.atomic():
        Partner.objects.select_for_update(no_key=True).get(pk=acme.pk)
        (answer,) = _at_once(lambda: an_api_key(acme))
    assert isinstance(answer, str)
