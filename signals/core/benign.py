"""Warning lists of harmless values, in the MISP format: read into keys that a database can match by equality alone."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal, cast
from urllib.parse import urlsplit

import msgspec

from signals.core import strict_json
from signals.core.hosts import read_host
from signals.core.indicators import Reading, read
from signals.core.refusals import InvalidIndicator, WarningListUnusable

MatchKind = Literal["string", "substring", "hostname", "cidr"]

# MISP's attribute types and ours. What is missing there (ja3, filename, …) names nothing this hub shares.
_HASHES: dict[str, tuple[str, ...]] = {
    f"{prefix}{name}": (name,) for prefix in ("", "filename|") for name in ("md5", "sha1", "sha256")
}
_OURS: dict[str, tuple[str, ...]] = _HASHES | {
    "domain": ("domain",),
    "hostname": ("domain",),
    "domain|ip": ("domain",),
    "hostname|port": ("domain",),
    "ip-src": ("url",),
    "ip-dst": ("url",),
    "url": ("url",),
    "uri": ("url",),
    "link": ("url",),
    "email": ("email",),
    "email-src": ("email",),
    "email-dst": ("email",),
    "email-reply-to": ("email",),
    "dns-soa-email": ("email",),
    "whois-registrant-email": ("email",),
    "phone-number": ("phone",),
    "whois-registrant-phone": ("phone",),
    "text": ("keyword",),
}


class _MispList(msgspec.Struct, frozen=True):
    """The members of the MISP format that matter here; others (`$schema`, `matching`, …) are let through."""

    name: str
    list: tuple[str, ...]
    type: str = "string"
    version: int | str = 0
    description: str = ""
    matching_attributes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class WarningList:
    """A list as the hub keeps it: `keys` are matched by equality against `lookup_keys` of a reading."""

    name: str
    version: str
    description: str
    kind: MatchKind
    types: tuple[str, ...]  # the indicator types it speaks of
    keys: frozenset[str]
    skipped: tuple[str, ...]  # sentences: entries that could not be read, and why


def parse(raw: bytes) -> WarningList:
    """Read a MISP warning list: JSON with name, version, type, matching_attributes, list. Or `WarningListUnusable`.

    A list without `matching_attributes` speaks of every type its entries can be read as. Entries that cannot be read
    are counted in `skipped`; a list of which nothing is left is refused.
    """
    try:
        found = msgspec.convert(strict_json.loads(raw), _MispList)
    except (strict_json.NotStrict, msgspec.ValidationError) as why:
        raise WarningListUnusable("The file is not a warning list in the MISP format.") from why
    if found.type == "regex":
        detail = "Lists of type regex are not taken: values are matched by keyed digests, which know only equality."
        raise WarningListUnusable(detail)
    if found.type not in ("string", "substring", "hostname", "cidr"):
        raise WarningListUnusable("The type must be string, substring, hostname or cidr.")
    kind = cast(MatchKind, found.type)
    types = _types_of(found)
    keys: set[str] = set()
    unread = 0
    for entry in found.list:
        made = _keys_of(entry, kind, types)
        keys.update(made)
        unread += not made
    if not keys:
        raise WarningListUnusable("The list has no entry of a type that this hub shares.")
    skipped = (f"{unread} of {len(found.list)} entries are not {_wanted(kind, types)}.",) if unread else ()
    return WarningList(found.name, str(found.version), found.description, kind, types, frozenset(keys), skipped)


def lookup_keys(reading: Reading) -> list[str]:
    """Return every key under which a list may name this reading: the value, its host and parent domains, its networks.

    A URL on a well-known site is not itself well known, so a URL has the keys of its host only if it names the whole
    site (no path, no query). An address block counts for every URL on it.
    """
    keys = [_key("is", reading.type, reading.value)]
    if reading.type == "domain":
        keys += _host_keys("domain", reading.value)
    elif reading.type == "email":
        keys += _host_keys("email", reading.value.rpartition("@")[2])
    elif reading.type == "url":
        keys += _url_keys(reading.value)
    return keys


def names(warning_list: WarningList, reading: Reading) -> bool:
    """Tell whether the list names the reading: what the database answers, for the explain command and for tests."""
    return not warning_list.keys.isdisjoint(lookup_keys(reading))


@cache
def built_in() -> WarningList:
    """Return the list that is always there: digests of empty and near-empty files."""
    return parse((Path(__file__).parent / "data" / "empties.json").read_bytes())


def _key(relation: str, type_: str, value: str) -> str:
    return f"{relation}\0{type_}\0{value}"


def _types_of(found: _MispList) -> tuple[str, ...]:
    if not found.matching_attributes:
        every = {"string": (*_HASHES, "domain", "url", "email", "phone", "keyword"), "cidr": ("url",)}
        named = every.get(found.type, ("domain", "url", "email"))
        return tuple(dict.fromkeys(name.removeprefix("filename|") for name in named))
    return tuple(dict.fromkeys(ours for theirs in found.matching_attributes for ours in _OURS.get(theirs, ())))


def _keys_of(entry: str, kind: MatchKind, types: tuple[str, ...]) -> list[str]:
    if kind == "string":
        return [_key("is", name, value) for name in types if (value := _value(name, entry)) is not None]
    if kind == "cidr":
        network = _network(entry)
        return [_key("in", "url", str(network))] if network is not None and "url" in types else []
    # A substring list names parts of addresses; those that are host names (nearly all) match as hosts do.
    host = _host(entry.removeprefix("@").removeprefix("*.").lstrip(".") if kind == "substring" else entry.lstrip("."))
    return [_key("at", name, host) for name in types if name in ("domain", "url", "email")] if host is not None else []


def _wanted(kind: MatchKind, types: tuple[str, ...]) -> str:
    return {"string": f"values of type {', '.join(types)}", "cidr": "address blocks"}.get(kind, "host names")


def _value(name: str, entry: str) -> str | None:
    try:
        return read(name, entry).value
    except InvalidIndicator:
        return None


def _host(text: str) -> str | None:
    try:
        return read_host(text)
    except InvalidIndicator:
        return None


def _network(text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network | None:
    try:
        return ipaddress.ip_network(text.strip(), strict=False)
    except ValueError:
        return None


def _host_keys(type_: str, host: str) -> list[str]:
    labels = host.split(".")
    return [_key("at", type_, ".".join(labels[at:])) for at in range(len(labels))]


def _url_keys(url: str) -> list[str]:
    parts = urlsplit(url)  # safe here: the URL has been written by ada
    host = parts.hostname or ""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        whole_site = parts.path in ("", "/") and not parts.query
        return _host_keys("url", host) if whole_site else []
    networks = (ipaddress.ip_network((address, length), strict=False) for length in range(address.max_prefixlen + 1))
    return [_key("in", "url", str(network)) for network in networks]
