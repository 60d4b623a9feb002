"""The scene, and what the ledger was told."""

from __future__ import annotations

from copy import deepcopy

import pytest
from pytest_django import DjangoDbBlocker

from tests.admin.scene import Scene, a_scene
from tests.partners.conftest import ledger_refuses, recorded  # noqa: F401  fixtures


@pytest.fixture(scope="module")
def _made_once(module_db: None, django_db_blocker: DjangoDbBlocker) -> Scene:
    with django_db_blocker.unblock():
        return a_scene()


@pytest.fixture
def scene(_made_once: Scene, db: None) -> Scene:
    """Everything as it was made, whatever the tests before did to it."""
    return deepcopy(_made_once)
