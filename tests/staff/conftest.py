"""Passwords are hashed fast here: the slow hash is Django's to test. And the admin stands alone, on the floor."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.test import override_settings
from pytest_django import Settings


@pytest.fixture(autouse=True)
def _fast_passwords(settings: Settings) -> None:
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]


@pytest.fixture(scope="module")
def admin_alone() -> Iterator[None]:
    """No addresses but the admin's; once a module, for reading all of them anew costs a tenth of a second."""
    with override_settings(ROOT_URLCONF="tests.staff.urls"):
        yield
