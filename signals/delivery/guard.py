"""Which network addresses a webhook never reaches, judged at the socket, where a name has already become an address.

A name is only a promise: its answer may change between two look-ups (DNS rebinding), and a literal address asks no
resolver at all. So nothing is decided by the name. `socket_factory` is called by aiohttp with the concrete address
of every connection, just before it is made. The IANA special-purpose registries (RFC 6890) are kept as data beside
this file, because Python's `ipaddress.is_global` passes multicast, NAT64, 6to4, site-local and IPv4-compatible
addresses.
"""

from __future__ import annotations

import csv
import errno
import socket
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from pathlib import Path
from typing import Any

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network
AddrInfo = tuple[int | socket.AddressFamily, int | socket.SocketKind, int, str, tuple[Any, ...]]

# Global unicast (RFC 4291 §2.4, as IANA hands it out). What lies outside (multicast, site-local, IPv4-compatible, never
# assigned) cannot be a partner, whatever the registry will list one day.
_GLOBAL_UNICAST = IPv6Network("2000::/3")
_MULTICAST = IPv4Network("224.0.0.0/4")  # RFC 5771; not a special-purpose block to IANA
NAT64 = IPv6Network("64:ff9b::/96")  # RFC 6052 §2.1: the last 32 bits are the IPv4 address that is really called


@dataclass(frozen=True, slots=True)
class Block:
    """One row of a special-purpose registry."""

    network: Network
    name: str
    source: str
    is_globally_reachable: bool | None  # None: "N/A", or the block was given up


class BlockedAddress(OSError):
    """The address is one we never call. The text is always the same, so that it survives being merged with others."""

    TEXT = "the address is not allowed for webhooks"

    def __init__(self) -> None:
        super().__init__(errno.EACCES, self.TEXT)


def _registry(file: str) -> tuple[Block, ...]:
    with (Path(__file__).parent / "iana" / file).open(encoding="utf-8", newline="") as rows:
        return tuple(
            Block(
                ip_network(row["block"]),
                row["name"],
                row["source"],
                {"yes": True, "no": False}.get(row["globally_reachable"]),
            )
            for row in csv.DictReader(rows)
        )


REGISTRY = {4: _registry("ipv4.csv"), 6: _registry("ipv6.csv")}


def networks(words: Iterable[str]) -> tuple[Network, ...]:
    """The operator's allow-list from its CIDR texts; ValueError says which is none, host bits included."""
    return tuple(ip_network(word) for word in words)


def objection(address: Address, allowed: Iterable[Network] = ()) -> str | None:
    """Why this address is never called, or None. A network in `allowed` (the operator's) outranks every objection.

    Every block of the registries is refused, also those marked globally reachable: the anycast addresses among them
    lead to one's own gateway, and no receiver of webhooks lives in the rest. Only NAT64 is looked through, since
    behind DNS64 it is how the whole IPv4 internet appears; 6to4, Teredo and IPv4-mapped addresses are refused
    without looking.
    """
    if any(address.version == network.version and address in network for network in allowed):
        return None
    if isinstance(address, IPv6Address):
        if address.scope_id is not None:
            return "an address with a zone is local"
        if address in NAT64:
            return objection(IPv4Address(int(address) & 0xFFFFFFFF), allowed)
    blocks = [block for block in REGISTRY[address.version] if address in block.network]
    if blocks:
        return max(blocks, key=lambda block: block.network.prefixlen).name
    if isinstance(address, IPv4Address):
        return "Multicast" if address in _MULTICAST else None
    return None if address in _GLOBAL_UNICAST else "not global unicast"


def socket_factory(allowed: Iterable[Network] = ()) -> Callable[[AddrInfo], socket.socket]:
    """Make sockets for aiohttp's TCPConnector, only to addresses that pass; BlockedAddress otherwise."""
    permitted = tuple(allowed)

    def make(address_info: AddrInfo) -> socket.socket:
        family, kind, protocol, _, destination = address_info
        if family not in (socket.AF_INET, socket.AF_INET6):
            raise BlockedAddress
        try:
            address = ip_address(destination[0])
        except ValueError:
            raise BlockedAddress from None
        if objection(address, permitted) is not None:
            raise BlockedAddress
        return socket.socket(family, kind, protocol)

    return make
