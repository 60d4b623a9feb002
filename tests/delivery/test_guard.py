"""Addresses and URLs that no webhook may reach."""

from __future__ import annotations

import socket
from ipaddress import ip_address, ip_network

import pytest

from signals.delivery.guard import REGISTRY, BlockedAddress, networks, objection, socket_factory
from signals.delivery.urls import Egress, EndpointUrlRefused, check_url
from tests.delivery.hostile import ADDRESSES, NAMES, URLS

PRODUCTION = Egress.production()
DEVELOPMENT = Egress.development()


@pytest.mark.parametrize("address", ADDRESSES)
def test_forbidden_addresses_get_no_socket(address: str) -> None:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    assert objection(ip_address(address))
    with pytest.raises(BlockedAddress) as caught:
        socket_factory()((family, socket.SOCK_STREAM, 0, "", (address, 443)))
    assert address not in str(caught.value)


@pytest.mark.parametrize(
    "address",
    [
        "8.8.8.8",
        "1.1.1.1",
        "100.63.255.255",
        "100.128.0.0",
        "172.15.255.255",
        "172.32.0.0",
        "192.0.1.0",
        "198.17.255.255",
        "198.20.0.0",
        "223.255.255.255",
        "2606:4700::1111",
        "2a00:1450:4001::200e",
        "64:ff9b::808:808",  # 8.8.8.8 through NAT64: how a DNS64 network shows the IPv4 internet
    ],
)
def test_public_addresses_pass_up_to_the_edges_of_the_blocks(address: str) -> None:
    assert objection(ip_address(address)) is None
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket_factory()((family, socket.SOCK_STREAM, 0, "", (address, 443))) as made:
        assert made.family == family


def test_every_registered_block_is_refused_at_both_ends() -> None:
    for version, blocks in REGISTRY.items():
        assert len(blocks) >= 25, version
        for block in blocks:
            ends = (block.network[0], block.network[-1])
            if block.network == ip_network("64:ff9b::/96"):
                continue  # judged by the IPv4 address inside; both ends (0.0.0.0, 255.255.255.255) are in the table
            assert all(objection(end) for end in ends), block


def test_the_most_specific_block_is_named() -> None:
    assert objection(ip_address("169.254.169.254")) == "Link Local"
    assert objection(ip_address("255.255.255.255")) == "Limited Broadcast"
    assert objection(ip_address("2001::1")) == "TEREDO"
    assert objection(ip_address("64:ff9b::a00:1")) == "Private-Use"
    assert objection(ip_address("ff02::1")) == "not global unicast"


def test_the_operator_may_open_networks_and_only_those() -> None:
    opened = networks(["10.1.0.0/16", "fd00:1::/64"])
    assert objection(ip_address("10.1.2.3"), opened) is None
    assert objection(ip_address("fd00:1::9"), opened) is None
    assert objection(ip_address("64:ff9b::a01:203"), opened) is None  # 10.1.2.3 through NAT64
    for closed in ("10.2.0.1", "fd00:2::1", "::ffff:10.1.2.3", "2002:a01:203::1", "127.0.0.1"):
        assert objection(ip_address(closed), opened)
    with pytest.raises(ValueError, match="host bits"):
        networks(["10.1.2.3/16"])


def test_only_internet_sockets_are_made() -> None:
    for info in (
        (socket.AF_UNIX, socket.SOCK_STREAM, 0, "", ("/run/postgres.sock",)),
        (socket.AF_INET, socket.SOCK_STREAM, 0, "", ("localhost", 80)),
    ):
        with pytest.raises(BlockedAddress):
            socket_factory(networks(["0.0.0.0/0"]))(info)


@pytest.mark.parametrize("url", URLS)
def test_hostile_urls_are_refused_at_registration(url: str) -> None:
    for egress in (PRODUCTION, DEVELOPMENT):
        with pytest.raises(EndpointUrlRefused) as caught:
            check_url(url, egress)
        assert caught.value.code == "endpoint-url-refused"
        assert caught.value.pointer == "/url"


def test_the_table_is_long_enough() -> None:
    assert len(set(URLS)) >= 60
    assert len(set(ADDRESSES)) >= 40
    assert NAMES


@pytest.mark.parametrize(
    "url",
    [
        "https://hooks.acme.example/heliograph?token=a%2Fb&x=1",
        "https://hooks.acme.example:8443/",
        "https://hooks.acme.example:443",
        "https://xn--bcher-kva.example/h",
        "https://3com.example/~x/;v=1/(a)!*'",
        "https://8.8.8.8/hook",
        "https://[2606:4700::1111]:8443/hook",
        "https://" + ("a" * 63 + ".") * 3 + "example/",
        "https://acme.example/" + "a" * 2027,
        "https://acme.example?only=query",
    ],
)
def test_ordinary_urls_pass_unchanged(url: str) -> None:
    assert check_url(url, PRODUCTION) == url


def test_scheme_and_host_are_lowered_and_nothing_else() -> None:
    assert (
        check_url("HTTPS://Hooks.ACME.example/A/%2e%2E/b?C=D", PRODUCTION)
        == "https://hooks.acme.example/A/%2e%2E/b?C=D"
    )


@pytest.mark.parametrize(
    ("url", "word"),
    [
        ("http://hooks.acme.example/", "https"),
        ("http://hooks.acme.example:8443/", "https"),
        ("https://hooks.acme.example:80/", "port"),
        ("https://hooks.acme.example:9000/", "port"),
    ],
)
def test_production_asks_for_https_on_a_web_port(url: str, word: str) -> None:
    with pytest.raises(EndpointUrlRefused, match=word):
        check_url(url, PRODUCTION)


def test_development_is_looser_about_scheme_and_port_only() -> None:
    for url in ("http://hooks.acme.example/", "https://hooks.acme.example:9000/", "http://hooks.acme.example:65535/"):
        assert check_url(url, DEVELOPMENT) == url
    opened = Egress.development(["127.0.0.0/8", "::1/128"])
    for url in (
        "http://127.0.0.1:4711/hook",
        "http://[::1]:4711/hook",
        "http://localhost:4711/hook",
        "http://receiver:8000/",
    ):
        assert check_url(url, opened) == url
    for url in (
        "http://hooks.acme.example:22/",
        "http://10.0.0.1:8000/",
        "http://127.1:8000/",
        "http://u:p@127.0.0.1:8000/",
    ):
        with pytest.raises(EndpointUrlRefused):
            check_url(url, opened)


def test_a_refusal_says_what_to_do() -> None:
    for url, word in [
        ("https://bücher.example/", "xn--"),
        ("https://a.example/#x", "fragment"),
        ("https://a:b@c.example/", "password"),
        ("ftp://a.example/", "https://"),
        ("https://a.example/a b", "blanks"),
        ("https://10.0.0.1/", "Private-Use"),
        ("https://0x7f.1/", "four decimal numbers"),
    ]:
        with pytest.raises(EndpointUrlRefused, match=word):
            check_url(url, PRODUCTION)
