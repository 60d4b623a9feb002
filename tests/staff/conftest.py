"""The admin stands alone here, on the floor."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.test import override_settings


@pytest.fixture(scope="module")
def admin_alone() -> Iterator[None]:
    """No addresses but the admin's; once a module, for reading all of them anew costs a tenth of a second."""
    with override_settings(ROOT_URLCONF="tests.staff.urls"):
        yield
