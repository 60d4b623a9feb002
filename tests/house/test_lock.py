"""One lock for all: hashed, free of hosts, and mirrored where uv reads it."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

HOUSE = Path(__file__).parents[2]
LOCK = (HOUSE / "requirements.lock").read_text(encoding="utf-8")
PROJECT = tomllib.loads((HOUSE / "pyproject.toml").read_text(encoding="utf-8"))
DEVELOPMENT = "# ---- only for tests and linters"


def pins(text: str) -> set[str]:
    return {line.removesuffix("\\").strip() for line in text.splitlines() if re.match(r"[a-z0-9]", line)}


def name(requirement: str) -> str:
    found = re.match(r"[A-Za-z0-9._-]+", requirement)
    assert found is not None
    return re.sub(r"[-_.]+", "-", found.group()).lower()


def test_the_lock_and_its_mirror_say_the_same() -> None:
    assert pins(LOCK) == set(PROJECT["tool"]["uv"]["constraint-dependencies"])


def test_every_pin_has_hashes_and_no_line_names_a_host() -> None:
    entries = re.split(r"^(?=[a-z0-9])", LOCK, flags=re.MULTILINE)[1:]
    assert len(entries) > 50
    assert [entry.split()[0] for entry in entries if "--hash=sha256:" not in entry] == []
    assert re.search(r"://|index|find-links|\bfile:", LOCK) is None


def test_all_that_is_asked_for_is_locked_and_only_production_above_the_line() -> None:
    production, development = (({name(pin) for pin in pins(part)}) for part in LOCK.split(DEVELOPMENT))
    asked = {name(requirement) for requirement in PROJECT["project"]["dependencies"]} - {"heliograph-client"}
    wanted_by_tests = {name(requirement) for requirement in PROJECT["dependency-groups"]["dev"]}
    assert asked <= production
    assert wanted_by_tests - asked <= production | development
    assert {"pytest", "mypy", "ruff"} <= development


def test_every_dependency_carries_its_reason() -> None:
    text = (HOUSE / "pyproject.toml").read_text(encoding="utf-8")
    block = text[text.index("dependencies = [") : text.index("[tool.uv]")]
    lines = [line for line in block.splitlines() if line.startswith('  "')]
    assert [line for line in lines if "#" not in line] == []
