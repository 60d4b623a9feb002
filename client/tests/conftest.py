"""A hub on loopback for each test that asks for one, and a directory that is somebody's home."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # these tests are no package: the root's `tests` is one already

from fake_hub import FakeHub


@pytest.fixture
def fake_hub() -> Iterator[FakeHub]:
    with FakeHub() as hub:
        yield hub
