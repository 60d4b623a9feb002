"""What ties signals together: equality of an incident, a handle, a host; and pictures that differ in a few bits."""

from __future__ import annotations

import random

import pytest

from signals.core import indicators
from signals.core.ties import NEAR, Tie, distance, exact, near, ties

PICTURE = "f8f8f0cee0f4a84f06370a22038f63f0b36e2ed596621e1d33e6b39c4e9c9b22"


def tied(type_: str, value: str, *, issuer: int = 1, incident: str | None = None) -> dict[Tie, bytes]:
    service = "chat.example" if type_ == "username" else None
    reading = indicators.read(type_, value, service=service)
    return dict(exact(reading, issuer_id=issuer, incident=incident))


def turned(pdq: str, bits: list[int]) -> str:
    return f"{int(pdq, 16) ^ sum(1 << bit for bit in bits):064x}"


def test_an_incident_ties_signals_of_one_author_only() -> None:
    one, same, other = (tied("domain", f"{n}.example", issuer=n % 2, incident="IR-7") for n in (1, 3, 2))
    assert one[Tie.INCIDENT] == same[Tie.INCIDENT] != other[Tie.INCIDENT]
    assert Tie.INCIDENT not in tied("domain", "bad.example")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (("username", "Some.Body"), ("email", "some.body+shop@mail.example")),
        (("username", "some.body"), ("username", "SOME.BODY")),
    ],
)
def test_a_handle_is_met_again_in_another_spelling_or_kind(one: tuple[str, str], other: tuple[str, str]) -> None:
    assert tied(*one)[Tie.HANDLE] == tied(*other)[Tie.HANDLE]


def test_a_handle_that_is_met_by_chance_ties_nothing() -> None:
    assert tied("username", "abc") == {}
    assert tied("email", "abc@mail.example") == {}


def test_a_url_is_tied_to_its_domain_and_to_other_pages_there() -> None:
    host = tied("domain", "bad.example")[Tie.HOST]
    assert (
        tied("url", "https://BAD.example/one")[Tie.HOST] == tied("url", "http://bad.example/two?x=1")[Tie.HOST] == host
    )
    assert tied("url", "https://www.bad.example/")[Tie.HOST] != host


def test_a_url_at_an_ipv6_address_is_tied_to_that_address_alone() -> None:
    one, same, other = (
        tied("url", f"http://[{address}/")[Tie.HOST]
        for address in ("2001:db8::1]", "2001:db8::1]:8443", "2001:db8::2]")
    )
    assert one == same != other
    assert b"2001:db8::1" in one


def test_a_picture_that_differs_in_31_bits_always_shares_a_band_and_one_of_another_kind_has_none() -> None:
    draw = random.Random(7)
    reading = indicators.read("pdq", PICTURE)
    wanted = set(near(PICTURE))
    assert len(wanted) == 272
    for _ in range(300):
        other = turned(PICTURE, draw.sample(range(256), NEAR))
        assert distance(PICTURE, other) == NEAR
        bands = ties(indicators.Reading("pdq", other, None, (), (), (), ""), issuer_id=1, incident=None)
        assert wanted & set(bands)
    crowded = [bit for band in range(15) for bit in (16 * band, 16 * band + 1)]  # two bits in each band but the last
    bands = ties(
        indicators.Reading("pdq", turned(PICTURE, [*crowded, 255]), None, (), (), (), ""), issuer_id=1, incident=None
    )
    assert len(wanted & set(bands)) == 1
    assert len(ties(reading, issuer_id=1, incident="IR-7")) == 17
    assert ties(indicators.read("md5", "0" * 31 + "1"), issuer_id=1, incident=None) == []
