"""The scene, and what the ledger was told."""

from __future__ import annotations

import pytest

from tests.admin.scene import Scene, a_scene
from tests.partners.conftest import ledger_refuses, recorded  # noqa: F401  fixtures


@pytest.fixture
def scene(db: None) -> Scene:
    return a_scene()
