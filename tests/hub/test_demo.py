"""`manage.py demo`: a whole hub, three companies and every expectation, in a home of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from pytest_django import Settings

from hub.demo import home
from tests.hub.test_up import HOUSE, environment, processes_of


def demo(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "manage.py", "demo", *arguments]
    given = environment(folder) | {"HELIOGRAPH_DATABASE_URL": "postgresql://nobody@nowhere.example/real"}
    return subprocess.run(command, cwd=HOUSE, env=given, capture_output=True, text=True, timeout=240, check=False)


@pytest.mark.story
def test_a_file_of_values_travels_and_every_expectation_holds(tmp_path: Path) -> None:
    values = tmp_path / "values.txt"
    values.write_text("\n".join(f"code word {n}" for n in range(11)) + "\n\nx\n", encoding="utf-8")
    tmp_path.chmod(0o711)

    played = demo(tmp_path, "--input", str(values), "--type", "keyword", "--exit")

    assert played.returncode == 0, played.stdout + played.stderr
    said = {line.split("  ")[0]: line for line in played.stdout.replace("\n  ", "\n").splitlines() if "  " in line}
    assert "15 statements" in said["sent"]
    assert "1 bad-signature" in said["refused"]
    assert "1 unknown-key" in said["refused"]
    assert "p50" in said["submit to webhook"]
    assert "✗" not in played.stdout
    assert played.stdout.count("✓") == 24
    assert "Traceback" not in played.stderr
    assert not processes_of(tmp_path)
    assert [entry.name for entry in tmp_path.iterdir() if entry.is_dir()] == ["demo"], "it touched another home"


@pytest.mark.story
def test_the_built_in_examples_travel_as_readme_says(tmp_path: Path) -> None:
    tmp_path.chmod(0o711)
    played = demo(tmp_path, "--exit")
    assert played.returncode == 0, played.stdout + played.stderr
    assert "✗" not in played.stdout
    shown = (HOUSE / "README.md").read_text(encoding="utf-8").split("```text\n")[1].split("```")[0]
    kept = [
        line for line in shown.splitlines() if not any(character.isdigit() for character in line) and "…" not in line
    ]
    assert [line for line in kept if line not in played.stdout] == [], "README shows what the demo no longer says"


@pytest.mark.story
def test_input_and_type_go_together(tmp_path: Path) -> None:
    refused = demo(tmp_path, "--input", "README.md")
    assert refused.returncode == 1
    assert refused.stderr == "CommandError: --input and --type go together: a file of values, and what they are.\n"


@pytest.mark.parametrize("file", ["missing.txt", "empty.txt", "picture.png"])
def test_a_file_that_is_no_list_of_values_is_one_sentence(tmp_path: Path, settings: Settings, file: str) -> None:
    settings.HOME = tmp_path
    (tmp_path / "this-is-the-demo").touch()
    (tmp_path / "empty.txt").write_text("\n\n")
    (tmp_path / "picture.png").write_bytes(b"\x89PNG\xff\xfe")
    with pytest.raises(CommandError) as refused:
        call_command("demo", input=tmp_path / file, type="url")
    assert str(tmp_path / file) in str(refused.value)
    assert "\n" not in str(refused.value)


def test_only_what_an_earlier_run_left_is_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "environ", {"HELIOGRAPH_HOME": str(tmp_path), "HELIOGRAPH_BROKER_URL": "redis://real"})
    home.step_aside()
    ours = tmp_path / "demo"
    assert os.environ["HELIOGRAPH_HOME"] == str(ours)
    assert "HELIOGRAPH_BROKER_URL" not in os.environ
    assert home.is_ours(ours)
    for name in ("secrets", "postgres", "companies"):
        (ours / name).mkdir()
        (ours / name / "file").touch()
    home.clear(ours)
    assert sorted(entry.name for entry in ours.iterdir()) == ["secrets", "this-is-the-demo"]


def test_a_folder_of_somebody_elses_is_not_the_demos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "demo").mkdir()
    (tmp_path / "demo" / "dissertation.odt").touch()
    monkeypatch.setattr(os, "environ", {"HELIOGRAPH_HOME": str(tmp_path)})
    home.step_aside()
    assert not home.is_ours(tmp_path / "demo")
