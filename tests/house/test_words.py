"""What no file of the house may contain, and what no module may be called."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

HOUSE = Path(__file__).parents[2]
FORBIDDEN_NAMES = {"utils", "helpers", "common", "base", "services", "managers", "constants", "exceptions"}
DOMAINS_OWN_WORD = {"signals/core/services.py"}  # the online services that accounts live on, not service objects
# Spelled in halves, so that this file may stand in the house too.
FORBIDDEN_TEXT = {
    "a registry's host": re.compile(
        "py" + r"pi\.org|files\.python" + r"hosted|registry\.npm" + r"js|deb\.debian" + r"\.org"
    ),
    "a path of one machine": re.compile("/wo" + r"rk/(main|shared)|/ro" + r"ot/\.|/home/\w+/"),
    "a paper that is not in the house": re.compile("BLUE" + r"PRINT|blue" + "print"),
    "an open promise": re.compile(r"\b(TO" + r"DO|FIX" + r"ME|XX" + r"X)\b"),
}


def tracked() -> list[Path]:
    done = subprocess.run(["git", "ls-files", "-z"], cwd=HOUSE, capture_output=True, check=True)
    return [HOUSE / name.decode() for name in done.stdout.split(b"\0") if name]


def files() -> list[Path]:
    """Every file git tracks; without git (an unpacked archive), every source file."""
    if (HOUSE / ".git").exists():
        return [path for path in tracked() if path.is_file()]
    rooms = ("hub", "partners", "signals", "client", "tests", "docker", "docs")
    return [path for room in rooms for path in (HOUSE / room).rglob("*") if path.is_file()]


def test_no_file_names_a_registry_a_machine_or_an_open_promise() -> None:
    found = []
    for path in files():
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
        found += [
            f"{path.relative_to(HOUSE)}: {what}" for what, pattern in FORBIDDEN_TEXT.items() if pattern.search(text)
        ]
    assert found == []


def test_no_module_says_only_what_kind_of_code_it_is() -> None:
    modules = [path.relative_to(HOUSE) for path in files() if path.suffix == ".py"]
    vague = {str(path) for path in modules if FORBIDDEN_NAMES & {path.stem, *path.parts}}
    assert vague - DOMAINS_OWN_WORD == set()


def test_no_second_lock_is_kept() -> None:
    assert not any(path.name == "uv" + ".lock" for path in files())


def test_hub_itself_is_empty_so_that_the_floor_never_loads_the_roof() -> None:
    assert (HOUSE / "hub" / "__init__.py").read_text(encoding="utf-8") == ""


def test_every_module_opens_with_a_sentence() -> None:
    modules = [path for path in files() if path.suffix == ".py" and not {"migrations", "tests"} & set(path.parts)]
    mute = []
    for path in modules:
        text = path.read_text(encoding="utf-8").removeprefix("#!/usr/bin/env python3\n")
        if text.strip() and not text.startswith('"""'):
            mute.append(str(path.relative_to(HOUSE)))
    assert mute == []


def test_every_decision_has_a_number_of_its_own_and_stands_in_the_list() -> None:
    pages = sorted(path for path in (HOUSE / "docs" / "decisions").glob("*.md") if path.name != "README.md")
    numbers = [page.name[:4] for page in pages]
    assert len(set(numbers)) == len(pages)
    index = (HOUSE / "docs" / "decisions" / "README.md").read_text(encoding="utf-8")
    for page, number in zip(pages, numbers, strict=True):
        title = page.read_text(encoding="utf-8").partition("\n")[0].removeprefix("# ")
        assert title.startswith(f"{number} · ")
        assert f"- [{number}]({page.name}) {title.removeprefix(f'{number} · ')}" in index
