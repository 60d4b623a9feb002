"""What README.md and the pages it leads to say is there is there: commands, folders, links, files, rows and events."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.apps import apps
from django.core.management import get_commands

from hub.embedded.supervisor import wait_until
from hub.ledger.actions import ACTIONS
from tests.hub.test_up import HOUSE, environment

README = HOUSE / "README.md"
NARRATIVES = (HOUSE / "docs" / "life-of-a-signal.md", HOUSE / "docs" / "architecture.md")
_FOLDERS_OF_OURS = ("signals/", "partners/", "hub/", "client/", "docs/", "docker/", "tests/")


def pages() -> Iterator[Path]:
    yield from (*HOUSE.glob("*.md"), *HOUSE.glob("docs/**/*.md"), HOUSE / "docker" / "README.md")


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize("page", list(pages()), ids=lambda page: str(page.relative_to(HOUSE)))
def test_links_lead_somewhere(page: Path) -> None:
    prose = re.sub(r"^```.*?^```|`[^`\n]*`", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    for target in re.findall(r"\]\(([^)\s]+)\)", prose):
        file, _, anchor = target.partition("#")
        if "://" in target or target.startswith("mailto:"):
            continue
        there = (page.parent / file).resolve() if file else page
        assert there.exists(), f"{target} leads nowhere"
        if anchor:
            headings = re.findall(r"^#+ (.*)$", there.read_text(encoding="utf-8"), re.MULTILINE)
            slugs = {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
            assert anchor in slugs, f"{target}: no such heading"


@pytest.mark.parametrize("page", list(pages()), ids=lambda page: str(page.relative_to(HOUSE)))
def test_every_command_of_manage_py_that_is_named_exists(page: Path) -> None:
    named = set(
        re.findall(r"(?:manage\.py|^hub|&& hub|\(hub|\| hub) ([a-z_]+)", page.read_text(encoding="utf-8"), re.MULTILINE)
    )
    assert named <= set(get_commands()), named - set(get_commands())


def test_the_first_screen_has_the_two_commands() -> None:
    first = README.read_text(encoding="utf-8").splitlines()[:25]
    assert "python3 -m pip install --target .tools uv && .tools/bin/uv run manage.py demo" in first
    assert ".tools/bin/uv run --group dev pytest" in first


def test_the_map_has_every_folder() -> None:
    listed = set(re.findall(r"\[`([a-z]+)/`\]", README.read_text(encoding="utf-8")))
    tracked = subprocess.run(["git", "ls-files"], cwd=HOUSE, capture_output=True, text=True, check=False).stdout
    if not tracked:
        pytest.skip("not a git checkout: which folders belong to the house is not known here")
    assert listed == {line.split("/")[0] for line in tracked.splitlines() if "/" in line and not line.startswith(".")}


@pytest.mark.parametrize("page", NARRATIVES, ids=lambda page: page.name)
def test_files_rows_and_events_that_the_pages_name_exist(page: Path) -> None:
    words = set(re.findall(r"`([^`\s]+)`", page.read_text(encoding="utf-8")))
    files = {word for word in words if word.startswith(_FOLDERS_OF_OURS)}
    tables = {word for word in words if re.fullmatch(r"(signals|partners|ledger)_[a-z_]+", word)}
    events = {word for word in words if re.fullmatch(r"[a-z-]+\.[a-z-]+", word)} - {"trust.py", "pyproject.toml"}
    assert [file for file in sorted(files) if not (HOUSE / file).exists()] == []
    assert tables <= {model._meta.db_table for model in apps.get_models()}
    assert {event for event in events if event.split(".")[0] in {action.split(".")[0] for action in ACTIONS}} <= set(
        ACTIONS
    )
    if page.name == "life-of-a-signal.md":
        assert len(tables) > 8
        assert len(events) > 12


def wait_for_address(log: Path) -> str:
    def addresses() -> list[str]:
        return re.findall(r"runs on (http://\S+)", log.read_text())

    assert wait_until(lambda: bool(addresses()), seconds=90), log.read_text()
    return addresses()[0]


@pytest.mark.story
def test_five_minutes_with_curl(tmp_path: Path) -> None:
    """README's story, word for word, but for the port, the home and the way to call manage.py."""
    story = README.read_text(encoding="utf-8").split("## Five minutes with curl")[1]
    home = tmp_path / "var"
    tmp_path.chmod(0o711)
    with (tmp_path / "up.log").open("w") as log:
        command = [sys.executable, "manage.py", "up", "--port", "0", "--only", "web", "worker"]
        running = subprocess.Popen(command, cwd=HOUSE, env=environment(home), stdout=log, stderr=subprocess.STDOUT)
        try:
            address = wait_for_address(tmp_path / "up.log")
            script = "\n".join(re.findall(r"^```sh\n(.*?)^```", story, re.DOTALL | re.MULTILINE))
            for written, here in (
                (".tools/bin/uv run manage.py", f"{sys.executable} {HOUSE / 'manage.py'}"),
                ("http://127.0.0.1:8000", address),
                ("curl -sS", "echo; curl -sS"),
            ):
                assert written in script
                script = script.replace(written, here)
            told = subprocess.run(
                ["bash", "-euo", "pipefail", "-c", script],
                cwd=tmp_path,
                env=environment(home) | {"PATH": os.environ["PATH"]},
                capture_output=True,
                text=True,
                timeout=200,
                check=False,
            )
            assert told.returncode == 0, told.stderr
            submission, page = (json.loads(line) for line in told.stdout.splitlines() if line.startswith("{"))
        finally:
            running.send_signal(signal.SIGINT)
            running.wait(timeout=60)
    assert submission["counts"]["accepted"] == 1, submission
    [item] = page["items"]
    assert item["issuer"] == "acme-social"
    assert item["indicator"]["value"] == "https://files.example/gallery"
