"""Which URLs may become an endpoint: a grammar so narrow that every parser reads it alike."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import AddressValueError, IPv4Address, IPv6Address

from hub.refusal import Refusal
from signals.delivery.guard import Network, networks, objection

MAX_LENGTH = 2048
HTTPS_PORTS = frozenset({443, 8443})  # a web server's; every other port is somebody's database, mail server or shell
_DEVELOPMENT_PORTS = frozenset({80, 443, *range(1024, 65536)})
_DEFAULT_PORTS = {"https": 443, "http": 80}

# RFC 3986, less what parsers disagree on: no user info, no fragment, no empty host, only ASCII. The characters of
# path and query are pchar, "/" and "?"; a percent sign needs its two digits. Backslash, blanks and control
# characters match nowhere.
_URL = re.compile(
    r"(?P<scheme>https?)://(?P<host>\[[0-9a-f:.]+\]|[a-z0-9.-]+)(?::(?P<port>[1-9][0-9]{0,4}))?"
    r"(?P<rest>(?:/(?:[A-Za-z0-9._~!$&'()*+,;=:@/-]|%[0-9A-Fa-f]{2})*)?(?:\?(?:[A-Za-z0-9._~!$&'()*+,;=:@/?-]|%[0-9A-Fa-f]{2})*)?)",
    re.ASCII,
)
_AUTHORITY = re.compile(r"https?://[^/?#]*", re.IGNORECASE)
_LABEL = re.compile(r"(?!-)[a-z0-9-]{1,63}(?<!-)", re.ASCII)
_NUMERIC = re.compile(
    r"[0-9]+|0x[0-9a-f]*", re.ASCII
)  # WHATWG URL, "ends in a number checker": some parser takes it for IPv4
# Names that only ever lead inward (RFC 6761, RFC 6762, RFC 8375, RFC 7686, and what networks use at home).
_INWARD = (
    "localhost",
    "local",
    "localdomain",
    "internal",
    "intranet",
    "private",
    "corp",
    "lan",
    "home",
    "home.arpa",
    "onion",
)


class EndpointUrlRefused(Refusal):
    """The URL cannot become an endpoint; the detail says which rule it breaks.

    Use `https://` on port 443 or 8443, a public host name or address, no user name, no fragment. Addresses inside
    private networks are never called, whatever a name resolves to.
    """

    code = "endpoint-url-refused"

    def __init__(self, detail: str) -> None:
        super().__init__(detail, pointer="/url")


@dataclass(frozen=True, slots=True)
class Egress:
    """What the operator lets webhooks reach: whether by plain HTTP, which ports, which private networks."""

    is_https_required: bool = True
    ports: frozenset[int] = HTTPS_PORTS
    allowed: tuple[Network, ...] = ()

    @classmethod
    def production(cls, allowed_cidrs: Iterable[str] = ()) -> Egress:
        """HTTPS on 443 or 8443; ValueError when an entry of the allow-list is no CIDR."""
        return cls(allowed=networks(allowed_cidrs))

    @classmethod
    def development(cls, allowed_cidrs: Iterable[str] = ()) -> Egress:
        """Plain HTTP too, and every unprivileged port; the address rules are those of production."""
        return cls(is_https_required=False, ports=_DEVELOPMENT_PORTS, allowed=networks(allowed_cidrs))


def check_url(url: str, egress: Egress) -> str:
    """The URL as it will be called (scheme and host in lower case, nothing else changed); raises EndpointUrlRefused.

    Passing says nothing about where a name leads: that is judged at every connection.
    """
    if len(url) > MAX_LENGTH:
        raise EndpointUrlRefused(f"The URL is longer than {MAX_LENGTH} characters.")
    if not url.isascii():
        raise EndpointUrlRefused(
            "The URL may hold only ASCII: write a name of another script in its xn-- form, and percent-encode the path."
        )
    url = _AUTHORITY.sub(lambda match: match[0].lower(), url, count=1)
    parts = _URL.fullmatch(url)
    if parts is None:
        raise EndpointUrlRefused(_what_is_wrong(url))
    if egress.is_https_required and parts["scheme"] != "https":
        raise EndpointUrlRefused("The URL must begin with https://.")
    if int(parts["port"] or _DEFAULT_PORTS[parts["scheme"]]) not in egress.ports:
        raise EndpointUrlRefused(
            "The port is not one that webhooks may use: 443 or 8443, and in development also 80 and those from 1024."
        )
    _check_host(parts["host"], egress)
    return url


def _what_is_wrong(url: str) -> str:
    authority = url.partition("://")[2].partition("/")[0]
    if not url.startswith(("https://", "http://")):
        return "The URL must begin with https://."
    if "#" in url:
        return "The URL may not have a fragment."
    if "@" in authority:
        return "The URL may not hold a name or password."
    return (
        "The URL must be scheme, host name, port, path and query, without blanks, backslashes or loose percent signs."
    )


def _check_host(host: str, egress: Egress) -> None:
    address: IPv4Address | IPv6Address
    try:
        address = IPv6Address(host[1:-1]) if host.startswith("[") else IPv4Address(host)
    except AddressValueError:
        if host.startswith("["):
            raise EndpointUrlRefused("The host is not an IPv6 address.") from None
        _check_name(host, egress)
        return
    why = objection(address, egress.allowed)
    if why is not None:
        raise EndpointUrlRefused(f"The address is not one that webhooks may reach ({why}).")


def _check_name(name: str, egress: Egress) -> None:
    labels = name.split(".")
    # RFC 1035 §2.3.4, less the root.
    if len(name) > 253 or not all(_LABEL.fullmatch(label) for label in labels):
        raise EndpointUrlRefused(
            "The host is not a host name: labels of letters, digits and hyphens, no dot at the end."
        )
    if _NUMERIC.fullmatch(labels[-1]):
        raise EndpointUrlRefused(
            "The host is an IPv4 address in a form that not everybody reads alike: write four decimal numbers."
        )
    # Where the operator has opened a private network, its names are welcome too.
    if not egress.allowed and (len(labels) == 1 or name.endswith(tuple(f".{suffix}" for suffix in _INWARD))):
        raise EndpointUrlRefused("The host is a name that only leads inward.")
