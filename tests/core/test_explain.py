"""`manage.py explain`, on a terminal and in a pipe."""

from __future__ import annotations

import io

import pytest
from django.core.management import CommandError, call_command


def explain(*arguments: str) -> str:
    out = io.StringIO()
    call_command("explain", *arguments, stdout=out, no_color=True)
    return out.getvalue()


def test_a_changed_value_is_shown_with_what_was_changed() -> None:
    said = explain("url", "HTTPS://bob@Media.Example/a#top")
    assert "value     https://media.example/a\n" in said
    assert "changed   The user name and password were dropped.\n" in said
    assert "in lists  https://m•••.example/•••\n" in said


def test_a_service_is_taken() -> None:
    assert "service   x.com\n" in explain("username", "@Night.Owl", "--service", "twitter.com")


@pytest.mark.parametrize("arguments", [("pdq", "0" * 64), ("md5", "d41d8cd98f00b204e9800998ecf8427e")])
def test_what_would_be_held_is_said(arguments: tuple[str, str]) -> None:
    assert "held      " in explain(*arguments)


def test_a_low_quality_is_said() -> None:
    picture = "f162eb9daab170c0567fe3632d9a5548c5612982dd5e374a7424ebbc8a835c95"
    assert "held" in explain("pdq", picture, "--quality", "49")
    assert "held" not in explain("pdq", picture, "--quality", "50")


def test_a_value_may_come_by_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("Someone@Example.ORG\n"))
    assert "value     someone@example.org\n" in explain("email", "-")


def test_a_refused_value_fails_with_code_and_reason() -> None:
    with pytest.raises(CommandError, match=r"\Ainvalid-indicator: The hash must be exactly 32 hexadecimal digits\.\Z"):
        explain("md5", "zz")
