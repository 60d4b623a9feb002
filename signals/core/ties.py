"""What ties one signal to others besides an equal value (pure): an incident, a handle, a host, a like picture."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

from signals.core.indicators import Reading

NEAR: Final = 31
"""Two PDQ hashes at most this many bits apart are taken for the same picture, as PDQ's authors advise."""

_BANDS: Final = 16  # of sixteen bits: of 31 differing bits some band has at most one
_FLIPS: Final = (0, *(1 << place for place in range(16)))  # a band as it is, and with each of its bits turned
_SHORTEST_HANDLE: Final = 4  # shorter ones are met by chance


class Tie(StrEnum):
    """Why two signals are shown together."""

    VALUE = "same value"  # by the value's own blind index, not by a tie
    INCIDENT = "same incident"  # the author's own grouping, so of one author
    HANDLE = "same handle"  # a name used at another service, or as the local part of an address
    HOST = "same host"
    PICTURE = "similar picture"


def ties(reading: Reading, *, issuer_id: int, incident: str | None) -> list[bytes]:
    """What the blind index of each tie is taken of; a similar picture has sixteen, one a band."""
    found = list(exact(reading, issuer_id=issuer_id, incident=incident).values())
    if reading.type == "pdq":
        found += [_band(number, bits) for number, bits in enumerate(_bands_of(reading.value))]
    return found


def exact(reading: Reading, *, issuer_id: int, incident: str | None) -> Mapping[Tie, bytes]:
    """Those that hold by equality."""
    found: dict[Tie, bytes] = {}
    if incident is not None:
        found[Tie.INCIDENT] = f"tie\0incident\0{issuer_id}\0{incident}".encode()
    if (handle := _handle(reading)) is not None:
        found[Tie.HANDLE] = f"tie\0handle\0{handle}".encode()
    if (host := _host(reading)) is not None:
        found[Tie.HOST] = f"tie\0host\0{host}".encode()
    return found


def near(pdq: str) -> list[bytes]:
    """Every band that a hash within NEAR bits of this one may have: its own sixteen, each with at most one bit turned.

    A hash within NEAR bits shares at least one of these 272 (pigeonhole); most that do are farther off.
    """
    return [_band(number, bits ^ flip) for number, bits in enumerate(_bands_of(pdq)) for flip in _FLIPS]


def distance(one: str, other: str) -> int:
    """In how many of their 256 bits two PDQ hashes differ."""
    return (int(one, 16) ^ int(other, 16)).bit_count()


def _bands_of(pdq: str) -> list[int]:
    step = len(pdq) // _BANDS
    return [int(pdq[at : at + step], 16) for at in range(0, len(pdq), step)]


def _band(number: int, bits: int) -> bytes:
    return b"tie\0pdq\0%d\0%d" % (number, bits)


def _handle(reading: Reading) -> str | None:
    if reading.type == "username":
        name = reading.value.lower()
    elif reading.type == "email":
        name = reading.value.rpartition("@")[0].partition("+")[0].lower()
    else:
        return None
    return name if len(name) >= _SHORTEST_HANDLE else None


def _host(reading: Reading) -> str | None:
    if reading.type == "domain":
        return reading.value
    if reading.type != "url":
        return None
    authority = reading.value.partition("://")[2].partition("/")[0]  # normalised: neither user nor password in it
    if authority.startswith("["):  # an IPv6 address, whose colons divide nothing
        return authority.partition("]")[0] + "]"
    return authority.partition(":")[0]
