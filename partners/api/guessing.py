"""Slow down whoever tries keys: a limit of 401s per client address, which keeps no address in clear anywhere.

An address that has used up its failures is refused before its key is looked up. A token that has worked in this
process goes on working, so that nobody who shares an address with a guesser is locked out with them.
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import math
import threading
import time
from collections import OrderedDict
from collections.abc import Mapping

from django.conf import settings

from hub.client_address import Address, client_address
from hub.vault import keyring
from partners.core.limits import Charge, Kind, Level, Rate, seconds_to_wait
from partners.core.refusals import RateLimited
from partners.limits import counting

_REMEMBERED = 10_000  # addresses refused, and tokens trusted; the oldest are forgotten
_SLOT = 3  # hexadecimal digits: the database, used while Valkey is away, keeps at most 4,096 rows of addresses
_HOUSE = 64  # bits: one subscriber of IPv6 has that many addresses and more


class Guessing:
    """What one process remembers of guessers and of those who are none."""

    def __init__(self) -> None:
        self._refused_until: OrderedDict[str, float] = OrderedDict()
        self._trusted: OrderedDict[bytes, None] = OrderedDict()
        self._lock = threading.Lock()

    def refuse(self, meta: Mapping[str, str]) -> None:
        """Refuse RateLimited while this address is not listened to, unless the token has worked before."""
        if not self._refused_until:
            return
        left = self._refused_until.get(_name(meta), 0.0) - time.monotonic()
        if left > 0 and _digest(meta) not in self._trusted:
            raise RateLimited([Kind.UNAUTHORIZED], seconds=math.ceil(left))

    def note(self, meta: Mapping[str, str]) -> list[Level]:
        """Count a 401; the level says whether it was one too many. Empty for a peer without an address (a socket)."""
        name = _name(meta)
        if not name:
            return []
        rate = Rate(*settings.LIMITS[Kind.UNAUTHORIZED])
        levels = counting.take(f"address {name}", [Charge(Kind.UNAUTHORIZED, rate, 1)], slot=f"address {name[:_SLOT]}")
        wait = seconds_to_wait(levels)
        if wait:
            with self._lock:
                self._refused_until[name] = time.monotonic() + wait
                _bound(self._refused_until)
        return levels

    def take_open(self, meta: Mapping[str, str]) -> list[Level]:
        """Count a request at a door that asks for no key, apart from the 401s; empty for a peer without an address."""
        name = _name(meta)
        if not name:
            return []
        rate = Rate(*settings.LIMITS[Kind.UNAUTHORIZED])
        return counting.take(f"open {name}", [Charge(Kind.UNAUTHORIZED, rate, 1)], slot=f"open {name[:_SLOT]}")

    def trust(self, meta: Mapping[str, str]) -> None:
        """Remember that the token of this request works."""
        digest = _digest(meta)
        if digest not in self._trusted:
            with self._lock:
                self._trusted[digest] = None
                _bound(self._trusted)

    def forget(self) -> None:
        """Begin anew, as a new process does."""
        with self._lock:
            self._refused_until.clear()
            self._trusted.clear()


guessing = Guessing()


def _bound(remembered: OrderedDict[str, float] | OrderedDict[bytes, None]) -> None:
    while len(remembered) > _REMEMBERED:
        remembered.popitem(last=False)


def _digest(meta: Mapping[str, str]) -> bytes:
    return hashlib.sha256(meta.get("HTTP_AUTHORIZATION", "").encode("utf-8", "surrogateescape")).digest()


def _name(meta: Mapping[str, str]) -> str:
    """A keyed digest of where the request came from; empty if that has no address."""
    address = client_address(
        meta.get("REMOTE_ADDR", ""), meta.get("HTTP_X_FORWARDED_FOR", ""), trusted=settings.TRUSTED_PROXIES
    )
    if address is None:
        return ""
    return hmac.new(keyring.secret("client-address"), _house(address), hashlib.sha256).hexdigest()[:32]


def _house(address: Address) -> bytes:
    if isinstance(address, ipaddress.IPv6Address):
        return ipaddress.ip_network((address, _HOUSE), strict=False).network_address.packed
    return address.packed
