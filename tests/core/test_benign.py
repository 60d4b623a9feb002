"""Warning lists: what each kind matches, and what is refused at the door."""

from __future__ import annotations

import hashlib
import json
import struct
import zlib

import pytest

from signals.core.benign import built_in, lookup_keys, names, parse
from signals.core.indicators import read
from signals.core.refusals import WarningListUnusable
from tests.core.empty_files import EMPTY_FILES


def misp(kind: str, *entries: str, attributes: tuple[str, ...] = ()) -> bytes:
    members = {"name": "A list", "version": 3, "description": "For tests", "type": kind, "list": entries}
    return json.dumps(members | ({"matching_attributes": attributes} if attributes else {})).encode()


WEB = ("domain", "hostname", "domain|ip", "url")
MATCHES = [
    (
        misp("string", "D41D8CD98F00B204E9800998ECF8427E", attributes=("md5",)),
        "md5",
        "d41d8cd98f00b204e9800998ecf8427e",
        True,
    ),
    (misp("string", "d41d8cd98f00b204e9800998ecf8427e"), "md5", "d41d8cd98f00b204e9800998ecf8427e", True),
    (misp("string", "d41d8cd98f00b204e9800998ecf8427e"), "md5", "0" * 32, False),
    (misp("string", "Media.Example"), "domain", "media.example", True),
    (misp("string", "media.example"), "domain", "www.media.example", False),
    (misp("string", "owl@example.org", attributes=("email-src",)), "email", "Owl@Example.org", True),
    (misp("string", "+1 202 555 0143", attributes=("phone-number",)), "phone", "+12025550143", True),
    (misp("hostname", "media.example", attributes=WEB), "domain", "media.example", True),
    (misp("hostname", ".media.example", attributes=WEB), "domain", "a.b.media.example", True),
    (misp("hostname", "media.example", attributes=WEB), "domain", "othermedia.example", False),
    (misp("hostname", "media.example", attributes=WEB), "url", "https://www.media.example/", True),
    (misp("hostname", "media.example", attributes=WEB), "url", "https://media.example/a-page", False),
    (misp("hostname", "media.example", attributes=WEB), "url", "https://media.example/?id=1", False),
    (misp("hostname", "media.example", attributes=("domain",)), "url", "https://media.example/", False),
    (misp("hostname", "b\u00fccher.example", attributes=WEB), "domain", "xn--bcher-kva.example", True),
    (misp("substring", "mail.example", attributes=("email-src", "domain|ip")), "email", "owl@mail.example", True),
    (misp("substring", "@mail.example", attributes=("email-src",)), "email", "owl@eu.mail.example", True),
    (misp("substring", "mail.example", attributes=("email-src",)), "email", "mail.example@example.org", False),
    (misp("cidr", "192.0.2.0/24", attributes=("ip-src", "ip-dst")), "url", "http://192.0.2.77/a-page", True),
    (misp("cidr", "192.0.2.0/24", "2001:db8::/32"), "url", "http://[2001:db8:1::7]:8080/", True),
    (misp("cidr", "192.0.2.0/24"), "url", "http://198.51.100.1/", False),
    (misp("cidr", "192.0.2.7"), "url", "http://192.0.2.7/", True),
]


@pytest.mark.parametrize(("raw", "type_", "value", "is_named"), MATCHES)
def test_what_a_list_names(raw: bytes, type_: str, value: str, is_named: bool) -> None:
    assert names(parse(raw), read(type_, value)) is is_named


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"[]",
        b"not json",
        b'{"name":"x"}',
        b'{"name":"x","list":["a"],"list":["b"]}',
        b'{"name":"x","list":[1]}',
        misp("regex", "/a+/"),
        misp("fuzzy", "a"),
        misp("string"),
        misp("string", "what is this", attributes=("filename",)),
        misp("hostname", "not a host"),
        misp("cidr", "300.1.1.1/8"),
    ],
)
def test_what_is_no_usable_list_is_refused(raw: bytes) -> None:
    with pytest.raises(WarningListUnusable):
        parse(raw)


def test_entries_that_cannot_be_read_are_counted_not_dropped_in_silence() -> None:
    found = parse(misp("hostname", "media.example", "not a host", "", attributes=WEB))
    assert found.skipped == ("2 of 3 entries are not host names.",)
    assert (found.name, found.version, found.types) == ("A list", "3", ("domain", "url"))


def test_the_format_says_more_than_we_need() -> None:
    raw = json.dumps(
        {"name": "x", "type": "hostname", "list": ["media.example"], "matching": {"a": 1}, "extra": None}
    ).encode()
    assert names(parse(raw), read("domain", "media.example"))


def test_a_reading_has_few_keys() -> None:
    assert len(lookup_keys(read("md5", "0" * 32))) == 1
    assert len(lookup_keys(read("domain", "a.b.media.example"))) == 5
    assert len(lookup_keys(read("url", "https://media.example/a"))) == 1
    assert len(lookup_keys(read("url", "http://192.0.2.1/a"))) == 34
    assert len(lookup_keys(read("url", "http://[2001:db8::1]/a"))) == 130


@pytest.mark.parametrize("name", EMPTY_FILES)
@pytest.mark.parametrize("algorithm", ["md5", "sha1", "sha256"])
def test_the_built_in_list_knows_the_digests_of_empty_files(name: str, algorithm: str) -> None:
    digest = hashlib.new(algorithm, EMPTY_FILES[name], usedforsecurity=False).hexdigest()
    assert names(built_in(), read(algorithm, digest))


def test_the_built_in_list_holds_nothing_else() -> None:
    assert len(built_in().keys) == 3 * len(EMPTY_FILES)
    assert built_in().skipped == ()


@pytest.mark.parametrize("name", [name for name in EMPTY_FILES if name.startswith(("GIF", "PNG"))])
def test_the_pictures_of_one_pixel_are_that(name: str) -> None:
    raw = EMPTY_FILES[name]
    if name.startswith("GIF"):
        assert raw[:6] == b"GIF89a"
        assert struct.unpack("<HH", raw[6:10]) == (1, 1)
        assert raw[-1:] == b";"
        return
    assert raw[:8] == b"\x89PNG\r\n\x1a\n"
    assert struct.unpack(">II", raw[16:24]) == (1, 1)
    at = 8
    while at < len(raw):  # every chunk's checksum holds
        length = struct.unpack(">I", raw[at : at + 4])[0]
        assert (
            zlib.crc32(raw[at + 4 : at + 8 + length]) == struct.unpack(">I", raw[at + 8 + length : at + 12 + length])[0]
        )
        at += 12 + length
