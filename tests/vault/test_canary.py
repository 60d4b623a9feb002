"""The search tool finds what it must, since a canary test is worth no more than its search."""

from __future__ import annotations

import base64
import os
import random
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.vault.canary import _CHUNK, appearances

CANARY = b"canary-7f3a?>@acme.example"


@given(st.binary(max_size=40), st.binary(max_size=40), st.binary(min_size=8, max_size=40))
def test_finds_it_in_base64_wherever_it_begins(before: bytes, after: bytes, needle: bytes) -> None:
    text = before + needle + after
    assert any(line.startswith(("base64", "plain")) for line in appearances(needle, base64.b64encode(text)))
    assert any(line.startswith(("base64", "plain")) for line in appearances(needle, base64.urlsafe_b64encode(text)))


@pytest.mark.parametrize("alignment", range(3))
def test_names_the_alignment(alignment: int) -> None:
    text = b"x" * (3 + alignment) + CANARY + b"tail"
    (line,) = appearances(CANARY, base64.urlsafe_b64encode(text))
    assert f", alignment {alignment}, at byte " in line


@pytest.mark.parametrize(
    ("encoded", "form"),
    [
        (CANARY, "plain"),
        (CANARY.hex().encode(), "hex"),
        (CANARY.hex().upper().encode(), "hex in capitals"),
        (CANARY.decode().encode("utf-16-le"), "UTF-16, little end first"),
        (CANARY.decode().encode("utf-16-be"), "UTF-16"),
        (b"canary-7f3a%3F%3E%40acme.example", "percent-encoding"),
    ],
)
def test_finds_every_other_form(encoded: bytes, form: str) -> None:
    assert appearances(CANARY, b"before" + encoded + b"after") == [f"{form}, at byte 6"]


def test_finds_it_across_the_border_of_two_chunks_and_says_which_file(tmp_path: Path) -> None:
    (tmp_path / "pg_wal").mkdir()
    (tmp_path / "pg_wal" / "0001").write_bytes(bytes(_CHUNK - 5) + CANARY)
    (tmp_path / "clean.log").write_bytes(b"nothing here")
    assert appearances(CANARY, tmp_path) == [f"pg_wal/0001: plain, at byte {_CHUNK - 5}"]
    assert appearances(CANARY, tmp_path / "clean.log") == []


def test_finds_nothing_in_random_bytes_and_is_quick_about_it(tmp_path: Path) -> None:
    block = random.Random(7).randbytes(1024 * 1024)
    with (tmp_path / "haystack").open("wb") as file:
        for _ in range(100):
            file.write(block)
    os.mkfifo(tmp_path / "pipe")  # nothing that would make a reader wait is opened
    began = time.monotonic()
    assert appearances(CANARY, tmp_path) == []
    assert time.monotonic() - began < 10  # measured: about a second for 100 MB


def test_refuses_a_canary_that_would_be_found_by_chance() -> None:
    with pytest.raises(ValueError, match="by chance"):
        appearances(b"short", b"")
