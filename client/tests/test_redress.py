"""Appeals and remedies from the terminal: closed words only, and a reference that is kept."""

from __future__ import annotations

from pathlib import Path

import pytest
from fake_hub import FakeHub
from test_command import KEY, Member


@pytest.fixture
def acme(fake_hub: FakeHub, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Member:
    return Member(fake_hub, "acme-social", tmp_path / "acme", KEY, capsys)


def test_an_appeal_is_made_and_looked_up(acme: Member, fake_hub: FakeHub) -> None:
    words = ("appeal", "one", "--reason", "mistaken-identity", "--evidence", "own-logs", "--at-risk")
    assert acme.ask(*words) == {"reference": "one", "state": "in-review"}
    assert fake_hub.appeals["one"] == {
        "programme": "csea",
        "signal": "one",
        "reason": "mistaken-identity",
        "evidence": "own-logs",
        "risk": "significant",
    }
    assert acme.ask("appeal", "--reference", "one")["state"] == "upheld"
    assert "not-found" in acme.run("appeal", "--reference", "two")[2]


def test_an_appeal_without_its_words_is_not_sent(acme: Member, fake_hub: FakeHub) -> None:
    assert "name the signal" in acme.run("appeal", "one", "--reason", "other")[2]
    assert fake_hub.appeals == {}


def test_what_was_put_right_is_said(acme: Member) -> None:
    assert acme.ask("remedy", "seven", "access-restored") == {"remedy": "seven", "did": "access-restored"}
    assert acme.run("remedy", "seven", "whatever")[0] != 0
