"""Settings are read strictly: nonsense stops the start, and says which setting it is."""

from __future__ import annotations

import pytest
from django.core.exceptions import ImproperlyConfigured

from hub import environment


@pytest.mark.parametrize(
    ("text", "rate"), [("50/200", (50, 200)), ("0.5/1", (0.5, 1)), ("4194304/268435456", (4194304, 268435456))]
)
def test_a_rate_is_so_many_a_second_and_so_many_at_once(
    monkeypatch: pytest.MonkeyPatch, text: str, rate: tuple[float, int]
) -> None:
    monkeypatch.setenv("HELIOGRAPH_SOME_RATE", text)
    assert environment.rate("HELIOGRAPH_SOME_RATE", "1/1") == rate


@pytest.mark.parametrize("text", ["", "50", "50/", "0/10", "50/10", "-1/10", "50/200/3", "1e3/2000", "50 / 200", "a/b"])
def test_a_rate_that_is_none_is_named(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("HELIOGRAPH_SOME_RATE", text)
    with pytest.raises(ImproperlyConfigured, match="HELIOGRAPH_SOME_RATE must look like 50/200"):
        environment.rate("HELIOGRAPH_SOME_RATE", "1/1")
