"""Bundles of the hub's own log: at which checkpoint they end, and `manage.py export_ledger`, which makes one."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from django.db import connections
from django.utils import timezone
from heliograph_client.cli.main import main
from heliograph_client.ledger_verifier import verify_bundle
from pytest_django import Settings

from hub.ledger import checkpoints
from hub.ledger.export.own_log import own_log
from hub.ledger.export.query import Kind, Query
from hub.ledger.mirror import Mirror
from hub.ledger.models import Checkpoint
from hub.ledger.sequence import drain
from hub.ledger.tlog.note import open_note
from signals.lifecycle import exports
from signals.models import Export, ExportState
from tests.ledger.conftest import leaves, ledger  # noqa: F401  a fixture
from tests.ledger.growing import NOON, grow, sign
from tests.ledger.test_witnesses import key


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


def test_it_waits_until_enough_witnesses_have_cosigned(output: Path, settings: Settings, tmp_path: Path) -> None:
    policy = tmp_path / "policy"
    policy.write_text(f"witness w1 {key().vkey()}\nquorum w1\n")
    settings.LEDGER_POLICY = str(policy)
    grow(3)
    sign()
    asked = exports.ask(Query(Kind.COMPLETE), reason="a court asked", actor="staff:7", at=timezone.now())
    assert exports.make_next(own_log(), clock=timezone.now)
    asked.refresh_from_db()
    assert (asked.state, asked.attempts) == (ExportState.PENDING, 0), asked.failure
    cosigned = cosign_newest()
    grow(3)
    sign()  # which nobody has cosigned
    Export.objects.update(next_attempt_at=timezone.now())
    assert exports.make_next(own_log(), clock=timezone.now)
    asked.refresh_from_db()
    assert (asked.state, asked.checkpoint_size) == (ExportState.DONE, cosigned), asked.failure
    handed = exports.download(asked.id, actor="staff:7", at=timezone.now())
    verdict = verify_bundle(handed.path, vkeys=own_log().vkeys(), policy=checkpoints.policy_text().encode())
    assert verdict.is_good, verdict.page()
    cosign_newest()
    start = own_log().start(cosigned + 1)
    assert start is not None
    assert start.size == cosigned
    assert own_log().start(cosigned - 1) is None, "nobody has cosigned what was signed before"


def cosign_newest() -> int:
    """As the collector keeps what witness w1 answers; the size that was cosigned."""
    newest = Checkpoint.objects.order_by("-id")[0]
    line = key().line(open_note(bytes(newest.note)).text, NOON)
    with connections["owner"].cursor() as cursor:
        cursor.execute(
            "INSERT INTO ledger_cosignature (checkpoint_id, witness, line, cosigned_at) VALUES (%s, %s, %s, %s)",
            [newest.id, "w1", line, NOON],
        )
    return int(newest.size)


def test_what_cannot_be_is_said_in_a_sentence(output: Path) -> None:
    with pytest.raises(CommandError, match="is no time"):
        export(output, "--since", "yesterday")
    with pytest.raises(CommandError, match="ends before it begins"):
        export(output, "--since", "2026-11-04", "--until", "2026-11-03")
    output.write_text("something of somebody's")
    with pytest.raises(CommandError, match="exists already"):
        export(output)
    assert not Export.objects.exists()
