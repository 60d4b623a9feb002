"""The demo's own material: its pictures and their hashes, its examples, what it makes of a file."""

from __future__ import annotations

import ipaddress
import math
import struct
import zlib
from collections import Counter
from pathlib import Path

import pytest

from hub.demo import examples
from hub.demo.pdq import pdq
from hub.demo.pictures import draw, flat
from signals.core import indicators

# What `pdqhash` 0.2.8, the compiled library that members use, makes of the same pixels.
OF_PICTURES = {
    (1, 144, 96): ("6a1ed8b4186b9a35426f1a75f0b285a7239c73a907fc6dcea63149e704b24f39", 100),
    (4, 320, 200): ("d5d9198d1f8546306666023818d94cc11d1148e79ffcb77ee58ebd99ee473462", 100),
    (5, 100, 300): ("1de84f6e0a361bb1b9e94c8d33b1bb69cc896e84b376d9015c8416f6d3715551", 100),
}


@pytest.mark.parametrize("which", OF_PICTURES)
def test_pdq_is_what_the_compiled_library_computes(which: tuple[int, int, int]) -> None:
    number, width, height = which
    assert pdq(draw(number, width=width, height=height).rows) == OF_PICTURES[which]


@pytest.mark.parametrize(
    ("width", "height", "swing", "expected"),
    [
        (144, 96, 25, ("e0c968c07e0a0e3797b354c44d942ee6a2719fbaeb5a06716e3cf1892e3674e9", 86)),
        (64, 64, 30, ("a85c9ca9b6b00ddf7f24d72ed1c77270e2709f29f1e7792867b071048954f02c", 50)),
    ],
)
def test_so_is_the_quality_of_softer_pictures(width: int, height: int, swing: int, expected: tuple[str, int]) -> None:
    def grey(x: int, y: int) -> int:
        return int(128 + swing * math.sin(x / 9) + swing * math.cos(y / 7))

    assert pdq([[(grey(x, y),) * 3 for x in range(width)] for y in range(height)]) == expected


def test_a_picture_in_which_nothing_goes_on_has_no_quality() -> None:
    assert pdq(flat().rows)[1] == 0


def test_a_picture_is_a_png_file_of_the_same_bytes_each_time() -> None:
    file = draw(7, width=20, height=10).png()
    assert file == draw(7, width=20, height=10).png() != draw(8, width=20, height=10).png()
    assert file[:8] == b"\x89PNG\r\n\x1a\n"
    rest, chunks = file[8:], {}
    while rest:
        size = int.from_bytes(rest[:4], "big")
        kind, content, check = rest[4:8], rest[8 : 8 + size], rest[8 + size : 12 + size]
        assert zlib.crc32(kind + content) == int.from_bytes(check, "big")
        chunks[kind], rest = content, rest[12 + size :]
    assert struct.unpack(">II", chunks[b"IHDR"][:8]) == (20, 10)
    lines = zlib.decompress(chunks[b"IDAT"])
    assert len(lines) == 10 * (1 + 20 * 3)
    assert tuple(lines[1:4]) == draw(7, width=20, height=10).rows[0][0]


@pytest.mark.story
def test_the_built_in_examples_are_of_every_type_and_of_nobody() -> None:
    built_in = examples.built_in()
    assert len(built_in) > 300
    assert set(Counter(example.type for example in built_in)) == set(indicators.INDICATOR_TYPES)
    for example in built_in:
        if example.fate == "accepted":
            reading = indicators.read(example.type, example.value, service=example.service, quality=example.quality)
            assert not reading.weaknesses, example
            assert is_reserved(reading), example


def is_reserved(reading: indicators.Reading) -> bool:
    """RFC 2606 names, RFC 5737 addresses, and the telephone numbers of films."""
    value, names = reading.value, (".example", "example.com")
    if reading.type == "url":
        host = value.split("/")[2].split(":")[0]
        return host.endswith(names) or ipaddress.ip_address(host).is_private  # TEST-NET 1–3 count as private
    if reading.type == "phone":
        return value[5:10] == "55501" or value[:9] in {"+44207946", "+44131496", "+44161496"}
    if reading.type in {"domain", "email"}:
        return value.endswith(names)
    return reading.service is None or reading.service.endswith(names)


def test_a_file_has_one_value_a_line_and_its_fate_is_not_foretold(tmp_path: Path) -> None:
    file = tmp_path / "values.txt"
    file.write_text("one\r\n\n  two  \nthree", encoding="utf-8")
    found = examples.from_file(file, "username")
    assert [(each.value, each.service, each.fate) for each in found] == [
        ("one", "social.example", ""),
        ("two", "social.example", ""),
        ("three", "social.example", ""),
    ]
    assert examples.from_file(file, "keyword")[0].service is None
