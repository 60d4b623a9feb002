"""How the hub reads values: tables by type, and the promise that nothing malformed or unsettled ever passes."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from hub.refusal import Refusal
from signals.core.indicators import INDICATOR_TYPES, POOR_HASH, WEAK_VALUE, Reading, read
from signals.core.refusals import InvalidIndicator
from tests.core.authors import refusal_of

PICTURE = "f162eb9daab170c0567fe3632d9a5548c5612982dd5e374a7424ebbc8a835c95"  # a photograph's hash: 128 bits set

READ_AS = [
    ("md5", " D41D8CD98F00B204E9800998ECF8427E\n", None, "d41d8cd98f00b204e9800998ecf8427e"),
    ("sha1", "DA39A3EE5E6B4B0D3255BFEF95601890AFD80709", None, "da39a3ee5e6b4b0d3255bfef95601890afd80709"),
    ("pdq", PICTURE.upper(), None, PICTURE),
    ("url", "HTTP://Example.ORG", None, "http://example.org/"),
    ("url", "https://bob:secret@media.example:443/a/./b/../c?q=1#top", None, "https://media.example/a/c?q=1"),
    ("url", "http://media.example:8080/", None, "http://media.example:8080/"),
    ("url", "https://b\u00fccher.example/\u00fc?\u00fc", None, "https://xn--bcher-kva.example/%C3%BC?%C3%BC"),
    ("url", "https:\\\\media.example\\a", None, "https://media.example/a"),
    ("url", "https://media.example./", None, "https://media.example/"),
    ("url", "http://0xC0.0.2.1/", None, "http://192.0.2.1/"),
    ("url", "http://[2001:DB8::0:1]/", None, "http://[2001:db8::1]/"),
    ("url", "https://my_pages.media.example/", None, "https://my_pages.media.example/"),
    ("url", "https://ex%41mple.example/", None, "https://example.example/"),
    ("domain", "Media.Example.", None, "media.example"),
    ("domain", "b\u00fccher.example", None, "xn--bcher-kva.example"),
    ("domain", "fa\u00df.example", None, "xn--fa-hia.example"),
    ("domain", "\uff4dedia\u3002example", None, "media.example"),
    ("domain", "\u2603.example", None, "xn--n3h.example"),
    ("keyword", "  Blue\u00a0\u00a0LANTERN ", None, "blue lantern"),
    ("keyword", "\uff22l\u200bue", None, "blue"),
    ("keyword", "Stra\u00dfe", None, "strasse"),
    ("keyword", "\u0130x\u0130x", None, "i\u0307xi\u0307x"),
    ("username", "@Night.Owl", "X.com", "night.owl"),
    ("username", "u/Night_Owl", "www.reddit.com", "night_owl"),
    ("username", "Night.Owl", "acme.example", "Night.Owl"),
    ("username", "Night  Owl", "acme.example", "Night Owl"),
    ("username", "owl@social.example", "acme.example", "owl@social.example"),
    ("account_id", " AbC-10442 ", "acme.example", "AbC-10442"),
    ("email", "J.Doe+Tag@Example.ORG", None, "j.doe+tag@example.org"),
    ("email", "owl@b\u00fccher.example", None, "owl@xn--bcher-kva.example"),
    ("email", "\u00dcml@example.org", None, "\u00fcml@example.org"),
    ("phone", "+1 (202) 555-0143", None, "+12025550143"),
    ("phone", "0044 (0)20 7946 0018", None, "+442079460018"),
    ("phone", "\uff0b12025550143", None, "+12025550143"),
]


@pytest.mark.parametrize(("type_", "value", "service", "normalised"), READ_AS)
def test_values_are_read_as(type_: str, value: str, service: str | None, normalised: str) -> None:
    reading = read(type_, value, service=service)
    assert reading.value == normalised
    assert bool(reading.changes) == ((value, service) != (normalised, reading.service))
    assert read(type_, normalised, service=reading.service).changes == ()


REFUSED = [
    ("md5", "0" * 31),
    ("md5", "0x" + "0" * 30),
    ("md5", "g" * 32),
    ("sha256", "\u212a" * 64),  # KELVIN SIGN lower-cases to k
    ("pdq", "0" * 32),
    ("pdq", "\uff10" * 64),
    ("url", "media.example/a"),
    ("url", "ftp://media.example/"),
    ("url", "javascript:alert(1)"),
    ("url", "hxxps://media[.]example/"),
    ("url", "https://media[.]example/"),
    ("url", "https://localhost/"),
    ("url", "https://a..example/"),
    ("url", "https://xn--a.example/"),
    ("url", f"https://{'a' * 64}.example/"),
    ("url", "https://media.example/a\tb"),
    ("url", "https://media.example/" + "\u00fc" * 1000),
    ("url", "https://media .example/"),
    ("url", "https://media.example:99999/"),
    ("url", "https://1.2.3.4.5/"),
    ("domain", "media"),
    ("domain", "192.0.2.1"),
    ("domain", "[2001:db8::1]"),
    ("domain", "media.example:443"),
    ("domain", "https://media.example"),
    ("domain", "media.example/a"),
    ("domain", "*.media.example"),
    ("domain", "-media.example"),
    ("domain", "media..example"),
    ("domain", "media.123"),
    ("domain", "owl@media.example"),
    ("domain", "xn--media-.example"),
    ("domain", "media%2eexample"),
    ("keyword", ""),
    ("keyword", " \u200b "),
    ("keyword", "blue\u202elantern"),
    ("keyword", "blue\nlantern"),
    ("keyword", "blue\x00"),
    ("keyword", "blue\ufffd"),
    ("keyword", "\ud800"),
    ("keyword", "\ufdfa" * 100),  # eighteen characters each in NFKC
    ("username", "@"),
    ("username", "https://acme.example/owl"),
    ("username", "x" * 129),
    ("account_id", "10 442"),
    ("account_id", "10\u200b442"),
    ("email", "example.org"),
    ("email", "owl@"),
    ("email", "owl@localhost"),
    ("email", "Owl <owl@example.org>"),
    ("email", "mailto:owl@example.org"),
    ("email", "o..wl@example.org"),
    ("email", '"o wl"@example.org'),
    ("email", "owl@[192.0.2.1]"),
    ("email", "owl@example.test"),
    ("phone", "020 7946 0018"),
    ("phone", "+1800FLOWERS"),
    ("phone", "+12025550143 ext. 5"),
    ("phone", "+999123456789"),
    ("phone", "+1202"),
    ("phone", "++12025550143"),
    ("ssn", "078051120"),
]


@pytest.mark.parametrize(("type_", "value"), REFUSED)
def test_malformed_values_are_refused_with_a_reason(type_: str, value: str) -> None:
    service = "acme.example" if type_ in ("username", "account_id") else None
    with pytest.raises(InvalidIndicator) as caught:
        read(type_, value, service=service)
    assert caught.value.detail.endswith(".")
    assert caught.value.pointer is not None


@pytest.mark.parametrize(
    ("type_", "service"),
    [("username", None), ("account_id", None), ("md5", "acme.example"), ("username", "not a domain")],
)
def test_a_service_is_a_domain_and_belongs_to_accounts(type_: str, service: str | None) -> None:
    with pytest.raises(InvalidIndicator) as caught:
        read(type_, "0" * 32, service=service)
    assert caught.value.pointer == "/indicator/service"


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("twitter.com", "x.com"),
        ("WWW.Instagram.com", "instagram.com"),
        ("t.me", "telegram.org"),
        ("www.example", "www.example"),
    ],
)
def test_services_have_one_name(written: str, meant: str) -> None:
    assert read("account_id", "1", service=written).service == meant


@pytest.mark.parametrize("quality", [-1, 101])
def test_quality_is_a_percentage(quality: int) -> None:
    with pytest.raises(InvalidIndicator):
        read("pdq", PICTURE, quality=quality)


@pytest.mark.parametrize(
    ("type_", "value", "quality", "weakness"),
    [
        ("pdq", "0" * 64, None, POOR_HASH),
        ("pdq", "f" * 64, None, POOR_HASH),
        ("pdq", "0001" * 16, None, POOR_HASH),
        ("pdq", "5555" * 16, None, POOR_HASH),  # half the bits set, but one row sixteen times
        ("pdq", PICTURE, 49, POOR_HASH),
        ("pdq", PICTURE, 50, None),
        ("pdq", PICTURE, None, None),
        ("keyword", "abc", None, WEAK_VALUE),
        ("keyword", "!!!!", None, WEAK_VALUE),
        ("keyword", "abcd", None, None),
        ("keyword", "\u5150", None, WEAK_VALUE),
        ("keyword", "\u5150\u7ae5", None, None),
    ],
)
def test_weak_values_are_named(type_: str, value: str, quality: int | None, weakness: str | None) -> None:
    reading = read(type_, value, quality=quality)
    assert reading.weaknesses == ((weakness,) if weakness else ())
    assert bool(reading.remarks) == bool(weakness)


@pytest.mark.parametrize(
    ("type_", "value", "masked"),
    [
        ("email", "johnny@example.org", "j•••@e•••.org"),
        ("email", "jo@example.org", "•••@e•••.org"),
        ("phone", "+442079460018", "+44•••18"),
        ("url", "https://media.example/a?b", "https://m•••.example/•••"),
        ("url", "http://192.0.2.1:8080/", "http://•••/"),
        ("domain", "media.example", "m•••.example"),
        ("md5", "d41d8cd98f00b204e9800998ecf8427e", "d41d8c•••"),
        ("keyword", "blue lantern", "b•••"),
    ],
)
def test_masks_hide_the_value(type_: str, value: str, masked: str) -> None:
    assert read(type_, value).masked == masked


def test_the_index_key_tells_type_and_service_apart() -> None:
    keys = {
        read("md5", "0" * 32).index_key,
        read("username", "0" * 32, service="acme.example").index_key,
        read("username", "0" * 32, service="beta.example").index_key,
        read("account_id", "0" * 32, service="acme.example").index_key,
    }
    assert len(keys) == 4
    assert read("md5", "0" * 32).index_key == b"md5\0\0" + b"0" * 32


@pytest.mark.parametrize("name", INDICATOR_TYPES)
def test_every_type_has_an_example_that_needs_no_change(name: str) -> None:
    kind = INDICATOR_TYPES[name]
    reading = read(name, kind.example, service="acme.example" if kind.needs_service else None)
    assert (reading.changes, reading.weaknesses, reading.family) == ((), (), kind.family)


def test_the_registry_is_the_list_of_the_schema() -> None:
    from typing import get_args

    from signals.core.claims import IndicatorType

    assert tuple(INDICATOR_TYPES) == get_args(IndicatorType)


# --- properties ---

TRICKY = st.characters(
    whitelist_characters="\u0000\u202e\u200b\ufeff\u0130\u212a\ufdfa\u00df\u3002\ufffd\ud800\udfff\u0345\u1e9e\u00a8\uff0e",
    blacklist_categories=[],
)
SOUP = st.text(TRICKY, max_size=40)
SHAPED = st.one_of(
    SOUP,
    st.builds("https://{}/{}?{}#{}".format, SOUP, SOUP, SOUP, SOUP),
    st.builds("https://media.example/{}?{}".format, SOUP, SOUP),
    st.builds("http://{}.example:{}/".format, SOUP, st.integers(0, 70_000)),
    st.builds("{}.example".format, SOUP),
    st.builds("xn--{}.example".format, st.text("abcdefghijklmnopqrstuvwxyz0123456789-", max_size=12)),
    st.builds("{}@{}.example".format, SOUP, SOUP),
    st.builds("{}@example.org".format, SOUP),
    st.builds("+{}".format, st.text("0123456789 ()-", max_size=18)),
    st.text("0123456789abcdefABCDEF", min_size=32, max_size=64),
)


def reading_or_none(type_: str, value: str, service: str | None) -> Reading | None:
    """A reading, or None if the value was refused; any other exception fails the test."""
    refusal: Refusal | None = refusal_of(lambda: read(type_, value, service=service))
    if refusal is not None:
        assert isinstance(refusal, InvalidIndicator)
        return None
    return read(type_, value, service=service)


@given(st.sampled_from(list(INDICATOR_TYPES)), SHAPED, st.sampled_from(["x.com", "reddit.com", "acme.example"]))
@example("username", "@\u00a8", "x.com")
@example("username", "u/ @u/a", "reddit.com")
@example("email", "\u0130\u0307@example.org", "x.com")
@example("url", "http://example.org//..//", "x.com")
@example("keyword", "\u0345\u00df\u1e9e\u0390", "x.com")
def test_whatever_passes_is_settled_and_encodable(type_: str, value: str, service: str) -> None:
    needs_service = INDICATOR_TYPES[type_].needs_service
    first = reading_or_none(type_, value, service if needs_service else None)
    if first is None:
        return
    again = read(type_, first.value, service=first.service)
    assert (again.value, again.service, again.changes) == (first.value, first.service, ())
    assert (again.index_key, again.masked) == (first.index_key, first.masked)
    assert first.index_key.count(b"\0") == 2
    assert len(first.value) <= 2048


@given(st.sampled_from(list(INDICATOR_TYPES)), st.text("qwxz0123456789@.:/ ", min_size=10, max_size=30))
def test_no_refusal_repeats_the_value(type_: str, value: str) -> None:
    refusal = refusal_of(lambda: read(type_, value))
    assert refusal is None or value.strip() not in refusal.detail


@given(SOUP)
def test_any_service_is_a_domain_or_refused(service: str) -> None:
    refusal = refusal_of(lambda: read("account_id", "1", service=service))
    assert refusal is None or refusal.pointer == "/indicator/service"
