"""Who the receiver must prove to be, and who we can."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import timedelta

import pytest
from cryptography import x509

from signals.delivery.outcome import Failure, Outcome, Request
from signals.delivery.sender import Sender
from signals.delivery.tls import Tls, UnusableTls, context_of
from signals.delivery.urls import Egress
from tests.delivery.certificates import Authority, an_authority, loopback_names, server_context
from tests.receivers import Receiver

OPEN = Egress.development(["127.0.0.0/8"])


@pytest.fixture(scope="module")
def authority() -> Authority:
    return an_authority()


@pytest.fixture
def receiver(authority: Authority) -> Iterator[Receiver]:
    with Receiver(context=server_context(authority.issue(*loopback_names()))) as receiver:
        yield receiver


def post(url: str, tls: Tls, *, seconds: float = 2.0) -> Outcome:
    async def run() -> Outcome:
        async with Sender(OPEN) as sender:
            request = Request(url=url, body=b"{}", headers={}, timeout=timedelta(seconds=seconds), tls=tls)
            assert (await sender.post(request)).failure == (await sender.post(request)).failure
            return await sender.post(request)

    return asyncio.run(run())


def test_an_endpoints_own_authority_is_trusted(authority: Authority, receiver: Receiver) -> None:
    assert post(receiver.url, Tls(ca_pem=authority.pem)).delivered
    assert post(receiver.url.replace("127.0.0.1", "localhost"), Tls(ca_pem=authority.pem)).delivered
    assert receiver.connections == 2
    assert post(receiver.url, Tls(ca_pem=f"# Kök Sertifika – 根证书\n{authority.pem}")).delivered


def test_a_stranger_is_not(receiver: Receiver) -> None:
    assert post(receiver.url, Tls()).failure is Failure.TLS
    assert post(receiver.url, Tls(ca_pem=an_authority().pem)).failure is Failure.TLS
    assert receiver.count == 0


def test_a_certificate_for_another_name_is_refused(authority: Authority) -> None:
    with Receiver(context=server_context(authority.issue(x509.DNSName("acme.example")))) as receiver:
        assert post(receiver.url, Tls(ca_pem=authority.pem)).failure is Failure.TLS
        assert receiver.count == 0


def test_a_receiver_that_never_shakes_hands_is_a_timeout(authority: Authority) -> None:
    with Receiver() as receiver:  # speaks plain HTTP and waits for the end of a header
        url = receiver.url.replace("http://", "https://")
        assert post(url, Tls(ca_pem=authority.pem), seconds=0.2).failure is Failure.TOTAL_TIMEOUT
        assert receiver.count == 0


def test_a_receiver_that_wants_our_certificate_gets_it(authority: Authority) -> None:
    context = server_context(authority.issue(*loopback_names()), client_authority=authority)
    with Receiver(context=context) as receiver:
        ours = authority.issue(is_client=True)
        assert post(receiver.url, Tls(ca_pem=authority.pem, certificate_pem=ours)).delivered
        assert receiver.count == 3
        assert post(receiver.url, Tls(ca_pem=authority.pem)).failure in (Failure.TLS, Failure.RESET)
        assert receiver.count == 3


def test_unusable_pem_is_said_and_never_shown(authority: Authority, receiver: Receiver) -> None:
    locked = authority.issue(is_client=True, password=b"secret")
    for tls in (
        Tls(ca_pem="no pem"),
        Tls(ca_pem="keín PEM"),
        Tls(certificate_pem=b"no pem"),
        Tls(certificate_pem=locked),
        Tls(ca_pem=""),
    ):
        with pytest.raises(UnusableTls) as caught:
            context_of(tls)
        assert "no pem" not in str(caught.value)
        assert post(receiver.url, tls).failure is Failure.TLS
    assert "PRIVATE" not in repr(Tls(certificate_pem=locked))
