"""From which address a request came: the peer's, or what our own proxies say of it, and nobody else."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Sequence
from functools import lru_cache

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def client_address(peer: str, forwarded_for: str, *, trusted: Sequence[str]) -> Address | None:
    """The right-most address of the chain that is no trusted proxy; None if the peer has no address (a socket).

    `forwarded_for` is the X-Forwarded-For header: each proxy appends whom it heard from, so only its right end, as far
    as our own proxies wrote it, is worth anything.
    """
    hops = [*(hop.strip() for hop in forwarded_for.split(",") if hop.strip()), peer]
    proxies = networks(tuple(trusted))
    address = None
    for hop in reversed(hops):
        heard = _read(hop)
        if heard is None:  # what a proxy could not name is as far as we can see
            return address
        address = heard
        if not is_within(address, proxies):
            return address
    return address


def is_within(address: Address | None, allowed: Iterable[Network]) -> bool:
    """True if the address lies in one of the networks; IPv4-mapped IPv6 counts as IPv4."""
    return address is not None and any(address in network for network in allowed)


@lru_cache(maxsize=256)
def networks(cidrs: tuple[str, ...]) -> tuple[Network, ...]:
    """The networks of these CIDRs; raises ValueError for one that is none."""
    return tuple(ipaddress.ip_network(cidr) for cidr in cidrs)


def _read(text: str) -> Address | None:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address
