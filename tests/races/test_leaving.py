"""What comes back while a leaver's signals are being settled is found all the same, whoever is first."""

from __future__ import annotations

from typing import Any
from uuid import UUID, uuid4

import pytest

from signals.lifecycle import leave, review
from signals.models import Departure, Signal
from tests.builders import a_programme
from tests.companies import a_company, now
from tests.races.actors import Actor

pytestmark = pytest.mark.usefixtures("committed_db")
WHO: dict[str, Any] = {"actor": "staff:7"}


def settle() -> None:
    while leave.settle_departures(at=now()):
        pass


def a_refused_signal_of_a_leaver() -> tuple[UUID, Departure]:
    """One that was held and refused, and whose issuer has left since; nobody has looked for what is left yet."""
    settle()
    tag = uuid4().hex[:8]
    company = a_company(f"cedar-{tag}", a_programme(f"csea-{tag}"), is_probationary=True)
    [verdict] = company.say(company.sign(company.signal(programme=f"csea-{tag}")))
    identity = UUID(verdict["signal"])
    review.refuse(identity, at=now(), **WHO)
    return identity, leave.leave_programme(company.slug, f"csea-{tag}", at=now(), **WHO)


def is_settled(departure: Departure) -> bool:
    departure.refresh_from_db()
    return departure.settled_at is not None


def test_what_comes_back_while_the_sweep_settles_waits_for_it_and_is_looked_at_anew() -> None:
    identity, departure = a_refused_signal_of_a_leaver()
    with Actor("sweep") as sweep, Actor("ann") as ann:
        assert sweep.begin(lambda: leave.settle_departures(at=now()))
        assert not ann.begin(lambda: review.hold_again(identity, at=now(), **WHO)), "it does not wait"
        assert sweep.end() == 1, "nothing was left"
        ann.arrive()
        ann.end()
    assert not is_settled(departure)
    settle()
    assert is_settled(departure)
    assert Signal.objects.get(id=identity).state == "withdrawn"


def test_the_sweep_leaves_a_departure_alone_whose_signal_is_coming_back() -> None:
    identity, departure = a_refused_signal_of_a_leaver()
    with Actor("ann") as ann, Actor("sweep") as sweep:
        assert ann.begin(lambda: review.hold_again(identity, at=now(), **WHO))
        assert sweep.begin(lambda: leave.settle_departures(at=now())), "it waits"
        assert sweep.end() == 0
        assert not is_settled(departure)
        ann.end()
    settle()
    assert is_settled(departure)
    assert Signal.objects.get(id=identity).state == "withdrawn"


def test_the_sweep_does_not_wait_for_a_signal_that_is_about_to_wait_for_it() -> None:
    identity, departure = a_refused_signal_of_a_leaver()
    review.hold_again(identity, at=now(), **WHO)
    with Actor("ann") as ann, Actor("sweep") as sweep:
        assert ann.begin(lambda: review.refuse(identity, at=now(), **WHO))
        assert sweep.begin(lambda: leave.settle_departures(at=now())), "it waits"
        assert sweep.end() == 0, "one is in hand, so it is not settled"
        ann.end()
    settle()
    assert is_settled(departure)
    assert Signal.objects.get(id=identity).state == "refused"
