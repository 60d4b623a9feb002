"""Signatures against the published vectors, and against an independent verifier."""

from __future__ import annotations

import base64
from datetime import UTC, datetime, timedelta, timezone

import pytest
import standardwebhooks

from signals.delivery.signing import (
    PrivateKey,
    PublicKey,
    Secret,
    SignatureMismatch,
    UnusableKey,
    sign,
    verify,
    webhook_id,
)

SENT = datetime.fromtimestamp(1614265330, UTC)
ID = "msg_p5jXN8AQM9LWM0D4loKWxJek"
BODY = b'{"test": 2432232314}'
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
# The asymmetric example of Svix's documentation, and the one in the Go library of the standard (a bare seed).
WHSK = "whsk_6Xb/dCcHpPea21PS1N9VY/NZW723CEc77N4rJCubMbfVKIDij2HKpMKkioLlX0dRqSKJp4AJ6p9lMicMFs6Kvg=="
WHPK = "whpk_1SiA4o9hyqTCpIqC5V9HUakiiaeACeqfZTInDBbOir4="
SEED_ONLY = "whsk_VEVTVFNJR05JTkdLRVlET05PVFVTRVRISVNGT1JBTlk="


def headers_by(*keys: Secret | PrivateKey, at: datetime = SENT, body: bytes = BODY) -> dict[str, str]:
    return sign(keys, webhook_id=ID, at=at, body=body)


@pytest.mark.parametrize(
    ("key", "signature"),
    [
        (Secret.from_text(SECRET), "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="),
        (
            PrivateKey.from_text(WHSK),
            "v1a,hnO3f9T8Ytu9HwrXslvumlUpqtNVqkhqw/enGzPCXe5BdqzCInXqYXFymVJaA7AZdpXwVLPo3mNl8EM+m7TBAg==",
        ),
        (
            PrivateKey.from_text(SEED_ONLY),
            "v1a,tQ9V2XOqn7jL/DQenEFpqIugdBVtiMmER5mhSkXBNwM0mkATuDe6KYYUuxqtaiHeYGb7KaaBRdM5WqyeFiL8Ag==",
        ),
    ],
)
def test_published_vectors_are_met(key: Secret | PrivateKey, signature: str) -> None:
    expected = {"webhook-id": ID, "webhook-timestamp": "1614265330", "webhook-signature": signature}
    assert headers_by(key) == expected


def test_keys_are_written_as_they_were_read() -> None:
    assert Secret.from_text(SECRET).text == SECRET
    assert PrivateKey.from_text(WHSK).text == WHSK
    assert PrivateKey.from_text(WHSK).public.text == WHPK
    assert PublicKey.from_text(WHPK).text == WHPK


def test_the_standards_own_library_accepts_our_signatures_during_a_rotation() -> None:
    now = datetime.now(UTC)
    old, new = Secret.new(), Secret.new()
    body = '{"type":"feed.batch","é":"😀"}'.encode()
    signed = headers_by(new, old, PrivateKey.from_text(WHSK), at=now, body=body)
    for secret in (old, new):
        standardwebhooks.Webhook(secret.text).verify(body, signed)
    with pytest.raises(standardwebhooks.WebhookVerificationError):
        standardwebhooks.Webhook(Secret.new().text).verify(body, signed)


def test_the_standards_own_library_signs_what_we_accept() -> None:
    secret = Secret.new()
    signature = standardwebhooks.Webhook(secret.text).sign(ID, SENT, BODY.decode())
    verify([secret], headers_by(secret) | {"webhook-signature": signature}, BODY, at=SENT)


def test_each_receiver_accepts_its_own_key_among_several_signatures() -> None:
    secret, private = Secret.new(), PrivateKey.from_text(WHSK)
    signed = headers_by(Secret.new(), private, secret)
    verify([secret], signed, BODY, at=SENT)
    verify([private.public], {name.title(): value for name, value in signed.items()}, BODY, at=SENT)
    verify([Secret.new(), secret], signed, BODY, at=SENT)
    with pytest.raises(SignatureMismatch):
        verify([Secret.new()], signed, BODY, at=SENT)


def test_a_time_in_another_zone_signs_the_same_moment() -> None:
    elsewhere = SENT.astimezone(timezone(timedelta(hours=9)))
    assert headers_by(Secret.from_text(SECRET), at=elsewhere) == headers_by(Secret.from_text(SECRET))
    with pytest.raises(ValueError, match="zone"):
        headers_by(Secret.new(), at=SENT.replace(tzinfo=None))


@pytest.mark.parametrize(
    ("change", "body", "later"),
    [
        ({}, BODY + b" ", 0),
        ({"webhook-id": "msg_other"}, BODY, 0),
        ({"webhook-id": "msg.x"}, BODY, 0),
        ({"webhook-id": ""}, BODY, 0),
        ({"webhook-timestamp": "1614265331"}, BODY, 0),
        ({"webhook-timestamp": "1614265330.0"}, BODY, 0),
        ({"webhook-timestamp": "١٦١٤٢٦٥٣٣٠"}, BODY, 0),
        ({"webhook-timestamp": "9" * 400}, BODY, 0),
        ({"webhook-signature": ""}, BODY, 0),
        ({"webhook-signature": "v1"}, BODY, 0),
        ({"webhook-signature": "v1,"}, BODY, 0),
        ({"webhook-signature": "v1,*"}, BODY, 0),
        ({"webhook-signature": "v1,é"}, BODY, 0),
        ({}, BODY, 301),
        ({}, BODY, -301),
    ],
)
def test_anything_altered_or_out_of_time_is_refused(change: dict[str, str], body: bytes, later: int) -> None:
    secret, private = Secret.from_text(SECRET), PrivateKey.from_text(WHSK)
    with pytest.raises(SignatureMismatch):
        verify([secret, private.public], headers_by(secret, private) | change, body, at=SENT + timedelta(seconds=later))


def test_a_signature_counts_only_under_its_own_version() -> None:
    secret = Secret.from_text(SECRET)
    signed = headers_by(secret)
    swapped = signed | {"webhook-signature": signed["webhook-signature"].replace("v1,", "v1a,")}
    with pytest.raises(SignatureMismatch):
        verify([secret], swapped, BODY, at=SENT)


def test_a_missing_header_is_refused() -> None:
    signed = headers_by(Secret.from_text(SECRET))
    for name in signed:
        with pytest.raises(SignatureMismatch):
            verify([Secret.from_text(SECRET)], {n: v for n, v in signed.items() if n != name}, BODY, at=SENT)


def test_times_within_five_minutes_are_accepted() -> None:
    secret = Secret.from_text(SECRET)
    for seconds in (-300, 300):
        verify([secret], headers_by(secret), BODY, at=SENT + timedelta(seconds=seconds))


@pytest.mark.parametrize(
    "text", ["", "w", "whsec_", "whsec_%", "whsec_AAAA", "hwsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD", WHPK, WHSK]
)
def test_no_secret_is_read_from_something_else(text: str) -> None:
    with pytest.raises(UnusableKey):
        Secret.from_text(text)


@pytest.mark.parametrize("size", [0, 23, 65])
def test_a_secret_has_24_to_64_bytes(size: int) -> None:
    with pytest.raises(UnusableKey):
        Secret(b"x" * size)


def test_a_private_key_with_somebody_elses_public_half_is_refused() -> None:
    raw = base64.b64decode(WHSK.removeprefix("whsk_"))
    mixed = "whsk_" + base64.b64encode(raw[:32] + bytes(32)).decode()
    for text in (mixed, WHSK[:-3], WHPK, SECRET):
        with pytest.raises(UnusableKey):
            PrivateKey.from_text(text)
    for text in (WHSK, "whpk_AAAA"):
        with pytest.raises(UnusableKey):
            PublicKey.from_text(text)


def test_keys_never_show_themselves() -> None:
    shown = repr([Secret.from_text(SECRET), PrivateKey.from_text(WHSK)])
    assert SECRET.removeprefix("whsec_") not in shown
    assert WHSK.removeprefix("whsk_")[:40] not in shown


def test_an_id_with_a_dot_is_never_signed() -> None:
    for bad in ("msg.1", ""):
        with pytest.raises(ValueError, match="dot"):
            sign([Secret.new()], webhook_id=bad, at=SENT, body=BODY)
    with pytest.raises(ValueError, match="at least one key"):
        headers_by()


def an_id(
    *,
    secret: bytes = b"k" * 32,
    endpoint: str = "e1",
    programme: str = "csea",
    epoch: int = 1,
    walk: int = 17,
    after: int = -1,
) -> str:
    return webhook_id(secret, endpoint=endpoint, programme=programme, epoch=epoch, walk=walk, from_position=after)


def test_an_id_is_the_same_for_the_same_place_and_differs_with_every_part() -> None:
    places = [
        an_id(),
        an_id(secret=b"K" * 32),
        an_id(endpoint="e2"),
        an_id(programme="ncii"),
        an_id(epoch=2),
        an_id(walk=18),
        an_id(after=0),
        an_id(epoch=11, walk=7),
        an_id(epoch=1, walk=177),
    ]
    assert len(set(places)) == len(places)
    assert an_id() == places[0]
    assert all(place.startswith("msg_") and "." not in place and len(place) == 36 for place in places)
    with pytest.raises(ValueError, match="NUL"):
        an_id(endpoint="e1\0csea")
