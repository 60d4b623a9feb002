"""`manage.py export_ledger`: a bundle of the hub's own log in a file, checked by the client's command."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from heliograph_client.cli.main import main
from pytest_django import Settings

from hub.ledger.export.own_log import own_log
from hub.ledger.mirror import Mirror
from hub.ledger.sequence import drain
from signals.models import Export
from tests.ledger.conftest import leaves, ledger  # noqa: F401  a fixture
from tests.ledger.growing import grow, sign


@pytest.fixture
def output(ledger: Mirror, settings: Settings, tmp_path: Path) -> Iterator[Path]:  # noqa: F811
    settings.EXPORTS_DIR = tmp_path / "exports"
    yield tmp_path / "got.zip"
    Export.objects.all().delete()


def export(output: Path, *words: str) -> str:
    said = io.StringIO()
    call_command("export_ledger", "--output", str(output), "--reason", "monthly evidence", *words, stdout=said)
    return said.getvalue()


def test_an_operator_exports_and_anybody_verifies(output: Path, capsys: pytest.CaptureFixture[str]) -> None:
    grow(3)
    sign()
    grow(300)
    sign()
    said = export(output, "--action", "statement.accepted", "--since", "2026-01-01")
    vkeys = [f"--vkey={vkey}" for vkey in own_log().vkeys()]
    assert main(["verify-export", str(output), *vkeys]) == 0
    page = capsys.readouterr().out
    assert page.startswith("LEDGER EXPORT: VERIFIED")
    [sha256] = [line.removeprefix("SHA-256 ") for line in said.splitlines() if line.startswith("SHA-256")]
    assert sha256 in page.replace("\n  ", "")
    drain()
    assert [leaf.action for leaf in leaves()[-3:]] == ["export.asked", "export.made", "export.downloaded"]
    assert main(["--json", "verify-export", str(output), *vkeys]) == 0
    output.write_bytes(b"PK" + output.read_bytes()[200:])
    assert main(["verify-export", str(output), *vkeys]) == 1


def test_what_cannot_be_is_said_in_a_sentence(output: Path) -> None:
    with pytest.raises(CommandError, match="is no time"):
        export(output, "--since", "yesterday")
    with pytest.raises(CommandError, match="ends before it begins"):
        export(output, "--since", "2026-11-04", "--until", "2026-11-03")
    output.write_text("something of somebody's")
    with pytest.raises(CommandError, match="exists already"):
        export(output)
    assert not Export.objects.exists()
