"""What the demo's company has to say: built-in examples on reserved names, or the lines of a file."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from hub.demo.pdq import pdq
from hub.demo.pictures import Picture, draw, flat

SERVICE = "social.example"
NEED_A_SERVICE = frozenset({"username", "account_id"})
_PICTURES = 24
_VIOLATIONS = {"account": "grooming", "picture": "intimate-images", "web": "csam-distribution", "word": "trading"}


@dataclass(frozen=True, slots=True)
class Example:
    """One value to be said. `fate`: what must become of it ("" where nobody can know), a verdict and its reason."""

    type: str
    value: str
    violation: str = "other"
    service: str | None = None
    quality: int | None = None
    role: str = "suspect"
    fate: str = "accepted"


def built_in() -> list[Example]:
    """Some three hundred examples of all eleven types, five of which the hub must hold or refuse."""
    kinds = [list(_hashes()), list(_web()), list(_words()), list(_accounts())]
    mixed = [example for row in itertools.zip_longest(*kinds) for example in row if example is not None]
    middle = len(mixed) // 2
    return [*mixed[:middle], *_troublesome(), *mixed[middle:]]


def from_file(path: Path, type: str, *, service: str | None = None) -> list[Example]:  # noqa: A002  the wire's word
    """One example for each line that is not blank; raises OSError, and UnicodeDecodeError for what is no text."""
    service = (service or SERVICE) if type in NEED_A_SERVICE else None
    lines = (line.strip() for line in path.read_text(encoding="utf-8").splitlines())
    return [Example(type, line, service=service, fate="") for line in lines if line]


def pictures() -> list[Picture]:
    """The pictures behind the built-in hashes."""
    return [draw(number) for number in range(1, _PICTURES + 1)]


def _hashes() -> Iterator[Example]:
    for picture in pictures():
        file = picture.png()
        for algorithm in ("md5", "sha1", "sha256"):
            digest = hashlib.new(algorithm, file, usedforsecurity=False).hexdigest()
            yield Example(algorithm, digest, _VIOLATIONS["picture"], role="content")
        value, quality = pdq(picture.rows)
        yield Example("pdq", value, _VIOLATIONS["picture"], quality=quality, role="content")


def _web() -> Iterator[Example]:
    for n in range(30):
        yield Example("url", f"https://files.example/{n:02}/?id={n * 7919}#top", _VIOLATIONS["web"], role="venue")
        yield Example("domain", f"Mirror-{n}.Example", _VIOLATIONS["web"], role="venue")
    for network in ("192.0.2", "198.51.100", "203.0.113"):  # RFC 5737
        for host in range(10, 15):
            yield Example("url", f"http://{network}.{host}:8080/gallery", _VIOLATIONS["web"], role="venue")


def _words() -> Iterator[Example]:
    for n in range(25):
        yield Example("keyword", f"demo code word {n}", _VIOLATIONS["word"], role="content")


def _accounts() -> Iterator[Example]:
    violation = _VIOLATIONS["account"]
    for n in range(30):
        yield Example("username", f"Example.Person_{n}", violation, service=SERVICE)
        yield Example("account_id", str(10_000_000_019 + n * 104_729), violation, service="chat.example")
        yield Example("email", f"person{n}@{('example.com', 'mail.example')[n % 2]}", violation)
    for n in range(15):
        yield Example("phone", f"+1-{(202, 212, 415)[n % 3]}-555-01{n:02}", violation)  # reserved for fiction (NANP)
        yield Example("phone", f"+44 {('20 7946', '131 496', '161 496')[n % 3]} 0{n:03}", violation)  # and by Ofcom


def _troublesome() -> Iterator[Example]:
    """What a careful hub does not pass on as it comes."""
    worthless, quality = pdq(flat().rows)
    empty_file = hashlib.md5(b"", usedforsecurity=False).hexdigest()
    yield Example("pdq", worthless, _VIOLATIONS["picture"], quality=quality, role="content", fate="held: poor-hash")
    yield Example("md5", empty_file, _VIOLATIONS["picture"], role="content", fate="held: known-benign")
    yield Example("email", "not an address", _VIOLATIONS["account"], fate="refused: invalid-indicator")
    yield Example("sha256", "0123abcd", _VIOLATIONS["picture"], role="content", fate="refused: invalid-indicator")
    yield Example(
        "username", "a-child", _VIOLATIONS["account"], SERVICE, role="victim", fate="refused: victim-identifier"
    )
