"""The page that integration engineers meet first: every block marked {run=…} is run, in order, and must end well."""

from __future__ import annotations

import os
import re
import select
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from fake_hub import HUB_ID, FakeHub

from heliograph_client import statements
from heliograph_client.hub import HubClient

PAGE = Path(__file__).parents[2] / "docs" / "integrate.md"
_FENCE = re.compile(
    r"^```(\w+) \{run=(\w+)(?: until=(\w+))?\}\n(.*?)^```$|^<!-- operator: (activate) -->$", re.MULTILINE | re.DOTALL
)
_NEEDS = {"shell": ("curl", "openssl"), "node": ("node",), "python": (), "cli": ()}


def the_sequences() -> dict[str, list[tuple[str, str, str]]]:
    """Sequence → [(language, code, until)], with ("operator", "", "") where the operator acts."""
    found: dict[str, list[tuple[str, str, str]]] = {name: [] for name in _NEEDS}
    for match in _FENCE.finditer(PAGE.read_text()):
        language, name, until, code, operator = match.groups()
        if operator:
            for steps in found.values():
                steps.append(("operator", "", ""))
        elif name in found:
            found[name].append((language, code, until or ""))
    return found


@pytest.mark.story
@pytest.mark.parametrize("name", sorted(_NEEDS))
def test_every_block_of_the_page_runs(name: str, fake_hub: FakeHub, tmp_path: Path) -> None:
    for program in _NEEDS[name]:
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed here")
    partner = fake_hub.enrol(f"acme-{name}")
    environment = {
        **{variable: value for variable, value in os.environ.items() if not variable.startswith("HELIOGRAPH_")},
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "HELIOGRAPH_CLIENT_HOME": str(tmp_path),
        "HELIOGRAPH_URL": fake_hub.url,
        "HELIOGRAPH_API_KEY": partner.api_key,
        "HELIOGRAPH_PARTNER": partner.slug,
        "HELIOGRAPH_HUB_ID": HUB_ID,
        "HELIOGRAPH_PROGRAMME": "csea",
    }
    steps = the_sequences()[name]
    assert len(steps) >= 6
    for number, (language, code, until) in enumerate(steps):
        if language == "operator":
            for key in partner.keys.values():
                key["state"] = "active"
            continue
        words = {
            "bash": ["bash", "-euo", "pipefail", "-c", code],
            "python": [sys.executable, "-c", code],
            "js": ["node", "--input-type=module", "-e", code],
        }[language]
        if until:
            run_until(until, words, tmp_path, environment)
            continue
        ran = subprocess.run(
            words, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60, check=False
        )
        assert ran.returncode == 0, f"{name}, step {number}:\n{code}\n{ran.stdout}\n{ran.stderr}"


def run_until(word: str, words: list[str], directory: Path, environment: dict[str, str]) -> None:
    process = subprocess.Popen(
        words, cwd=directory, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True
    )
    said, deadline = b"", time.monotonic() + 30
    assert process.stdout is not None
    with process.stdout as out:
        while word.encode() not in said and time.monotonic() < deadline and process.poll() is None:
            if select.select([out], [], [], 0.1)[0]:
                said += os.read(out.fileno(), 4096)
        os.killpg(process.pid, 15)
        process.wait(timeout=10)
    assert word.encode() in said, said.decode()


def test_what_the_page_names_of_the_library_is_there() -> None:
    named = re.findall(r"`(?:heliograph_client\.)?(\w+)\.([a-z_]+)(?:\(…\))?`", PAGE.read_text())
    owners = {"HubClient": HubClient, "statements": statements}
    assert not [(owner, name) for owner, name in named if owner in owners and not hasattr(owners[owner], name)]
    assert ("HubClient", "sign_for_erasure") in named
    assert "Hub" not in {owner for owner, _ in named}


def test_every_block_says_whether_it_is_run() -> None:
    text = PAGE.read_text()
    unmarked = re.findall(r"^```(\w+)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    assert len(unmarked) == 1  # the installation, which the house's own set-up has done
    assert set(re.findall(r"\{run=(\w+)", text)) - {"NAME"} == {*_NEEDS, "go"}


def test_the_block_in_go_verifies_a_webhook(tmp_path: Path) -> None:
    go = shutil.which("go")
    if go is None:
        pytest.skip("go is not installed here")
    [block] = [match for match in _FENCE.finditer(PAGE.read_text()) if match.group(2) == "go"]
    (tmp_path / "main.go").write_text(block.group(4))
    environment = {**os.environ, "GOCACHE": str(tmp_path / "cache"), "GOFLAGS": "-mod=mod", "GOTOOLCHAIN": "local"}
    ran = subprocess.run(
        [go, "run", "main.go"], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=110, check=False
    )
    assert ran.returncode == 0, ran.stderr
