"""How often a test that takes chances takes them: enough for every day, more where HELIOGRAPH_TEST_LONG is set."""

from __future__ import annotations

import os

from hypothesis import settings

IS_LONG = bool(os.environ.get("HELIOGRAPH_TEST_LONG"))  # the stage `races` sets it


def chances(daily: int, long: int) -> int:
    """How many examples, seeds or rounds."""
    return long if IS_LONG else daily


# The same examples in every run, and no clock that a busy machine could break.
settings.register_profile("house", max_examples=chances(20, 200), derandomize=True, deadline=None, database=None)
settings.load_profile("house")
