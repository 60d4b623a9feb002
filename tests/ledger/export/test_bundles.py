"""A bundle holds what was asked for and everything that proves it; the same question gives the same evidence."""

from __future__ import annotations

import ast
import csv
import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from heliograph_client import ledger_verifier
from heliograph_client.ledger_verifier import verify_bundle

from hub.ledger.export.making import NoCheckpoint, Opened, verifier
from hub.ledger.export.query import InvalidExport, Kind, Query
from hub.ledger.mirror import Mirror
from hub.ledger.models import Reading
from tests.ledger.conftest import leaves
from tests.ledger.export.bundles import OwnLog, a_bundle, grow, size_of_ledger, unpacked

COMPLETE = Query(Kind.COMPLETE)


@pytest.fixture
def log(ledger: Mirror) -> OwnLog:
    """Some 700 leaves, and checkpoints along the way."""
    made = OwnLog()
    if size_of_ledger() == 0:
        for start in range(0, 700, 70):
            grow(70, start)
    size = size_of_ledger()
    made.sizes = [5, 100, 256, 300, size]
    return made


def time_of(index: int) -> str:
    return leaves()[index].sequenced_at


def verified(archive: Path, log: OwnLog) -> dict[str, str]:
    verdict = verify_bundle(archive, vkeys=log.vkeys())
    assert verdict.is_good, verdict.page()
    return {name: said for _, name, said in verdict.checks}


def test_everything_verifies_and_is_complete(log: OwnLog, tmp_path: Path) -> None:
    made = a_bundle(tmp_path / "made", COMPLETE, log)
    size = size_of_ledger()
    assert made.counts == {"entries": size, "matching": size, "opened": 0}
    checks = verified(made.archive, log)
    assert checks["completeness"] == f"entries 0 to {size - 1} without a gap"
    folder = unpacked(made.archive, tmp_path / "out")
    entries = [bytes(entry) for entry in Reading.objects.order_by("index").values_list("entry", flat=True)]
    assert (folder / "entries.jsonl").read_bytes() == b"".join(entry + b"\n" for entry in entries)
    assert list((tmp_path / "made").iterdir()) == [made.archive], "nothing but the archive is kept"
    assert made.archive.stat().st_mode & 0o777 == 0o600


def test_a_span_of_time_is_complete_to_its_edges(log: OwnLog, tmp_path: Path) -> None:
    since, until = time_of(210), time_of(420)  # each batch of 70 was sequenced at one time
    made = a_bundle(tmp_path, Query(Kind.COMPLETE, since=since, until=until, partner="acme"), log)
    folder = unpacked(made.archive, tmp_path / "out")
    manifest = json.loads((folder / "manifest.json").read_bytes())
    indexes = [int(line) for line in (folder / "indexes.txt").read_text().split()]
    assert indexes == list(range(209, 421)), "with a neighbour on either side, which shows where the span ends"
    assert manifest["start"]["size"] == 100
    meant = [n for n in range(210, 420) if n % 3 == 0 and n % 5 != 3]
    assert manifest["counts"]["matching"] == len(meant)
    with (folder / "views" / "entries.csv").open(newline="") as file:
        assert [int(row["index"]) for row in csv.DictReader(file)] == meant
    checks = verified(made.archive, log)
    assert "the ledger only grew from 100" in checks["start"]


@pytest.mark.parametrize(
    ("query", "completeness"),
    [
        (Query(Kind.FILTERED, partner="birch"), "about partner:birch without a gap"),
        (Query(Kind.FILTERED, programme="csea"), "about programme:csea without a gap"),
        (Query(Kind.FILTERED, signal="0191b7a4-0000-4000-8000-000000000077"), "numbers 1 to 3"),
        (Query(Kind.FILTERED, actor="staff:7"), "presence only"),
        (Query(Kind.FILTERED, actions=("feed.disclosed", "hold.approved")), "presence only"),
        (Query(Kind.FILTERED, partner="acme", actions=("statement.refused",)), "presence only"),
        (Query(Kind.FILTERED, partner="nobody"), "presence only"),
        (Query(Kind.COMPLETE, actor="staff:7"), "without a gap"),
    ],
)
def test_what_a_filter_finds_is_proven_and_says_how_far_it_is_complete(
    log: OwnLog, tmp_path: Path, query: Query, completeness: str
) -> None:
    made = a_bundle(tmp_path, query, log)
    assert completeness in verified(made.archive, log)["completeness"]
    meant = [leaf for leaf in leaves() if query.is_met_by(leaf)]
    assert made.counts["matching"] == len(meant)


def test_a_subject_in_a_span_has_its_neighbours_beside_it(log: OwnLog, tmp_path: Path) -> None:
    query = Query(Kind.FILTERED, partner="acme", since=time_of(210), until=time_of(420))
    made = a_bundle(tmp_path, query, log)
    assert made.counts["entries"] > made.counts["matching"]
    verdict = verify_bundle(made.archive, vkeys=log.vkeys())
    assert verdict.is_good, verdict.page()
    assert any("none of the span was left out" in remark for remark in verdict.remarks)


def test_the_same_question_at_the_same_checkpoint_gives_the_same_evidence(log: OwnLog, tmp_path: Path) -> None:
    query = Query(Kind.FILTERED, partner="acme")
    first = a_bundle(tmp_path / "a", query, log, run={"asked_by": "staff:7"})
    grow(3, 10_000)
    second = a_bundle(tmp_path / "b", query, log, run={"asked_by": "staff:8", "reason": "again"})
    one, other = (unpacked(made.archive, tmp_path / made.sha256) for made in (first, second))
    same = {"manifest.json", "entries.jsonl", "indexes.txt", "tiles.bin", "views/entries.csv", "views/ocsf.jsonl"}
    for name in same | {"start-checkpoint.txt", "consistency.txt"}:
        if (one / name).exists() or name in same:
            assert (one / name).read_bytes() == (other / name).read_bytes(), name
    assert first.manifest_sha256 == second.manifest_sha256
    assert (one / "run.json").read_bytes() != (other / "run.json").read_bytes()


def test_opened_values_are_checked_against_their_leaves(log: OwnLog, tmp_path: Path) -> None:
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("SELECT event::text, salt FROM ledger_salt WHERE field = 'payload_digest'")
        salts = {event: bytes(salt) for event, salt in cursor.fetchall()}

    def open_values(chosen: object) -> list[Opened]:
        return [
            Opened(index, "payload_digest", salts[leaf.id], b"%032d" % index)
            for index, leaf in chosen  # type: ignore[attr-defined]
            if leaf.commitments
        ]

    made = a_bundle(tmp_path, Query(Kind.FILTERED, partner="acme"), log, open_values=open_values)
    assert made.counts["opened"] > 30
    assert f"{made.counts['opened']} values" in verified(made.archive, log)["opened values"]


def test_a_killed_making_goes_on_where_it_was(log: OwnLog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from hub.ledger.export import making

    monkeypatch.setattr(making, "_PIECE", 50)
    whole = a_bundle(tmp_path / "whole", COMPLETE, log)
    seen: list[tuple[str, int]] = []

    class Killed(BaseException):
        pass

    def until(stop: int) -> object:
        def beat(step: str, done: int, total: int) -> None:
            seen.append((step, done))
            if len(seen) == stop:
                raise Killed

        return beat

    for stop in (4, 9, 20, 26, 30):
        with pytest.raises(Killed):
            a_bundle(tmp_path / "killed", COMPLETE, log, beat=until(stop))  # type: ignore[arg-type]
        left = tmp_path / "killed" / "bundle" / "entries.jsonl"
        with left.open("ab") as file:  # what was not yet counted, torn
            file.write(b'{"action":"half a le')
    assert seen[4][1] >= seen[3][1], "it does not begin anew"
    again = a_bundle(tmp_path / "killed", COMPLETE, log)
    assert again.manifest_sha256 == whole.manifest_sha256
    verified(again.archive, log)


def test_a_bundle_needs_a_checkpoint_and_the_leaves_it_is_about(log: OwnLog, tmp_path: Path) -> None:
    log.sizes = []
    with pytest.raises(NoCheckpoint):
        a_bundle(tmp_path, COMPLETE, log)
    with pytest.raises(InvalidExport):
        Query(Kind.COMPLETE, since="2026-11-03T12:00:00.000000Z", until="2026-11-03T12:00:00.000000Z")


def test_views_are_for_people_and_harm_no_spreadsheet(log: OwnLog, tmp_path: Path) -> None:
    folder = unpacked(a_bundle(tmp_path, COMPLETE, log).archive, tmp_path / "out")
    with (folder / "views" / "entries.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert not [cell for row in rows for cell in row.values() if cell.startswith(("=", "+", "-", "@", "\t", "\r"))]
    events = [json.loads(line) for line in (folder / "views" / "ocsf.jsonl").read_bytes().splitlines()]
    required = {"activity_id", "category_uid", "class_uid", "severity_id", "time", "type_uid", "metadata"}
    for event, row in zip(events, rows, strict=True):
        assert required | {"actor", "api", "src_endpoint"} <= set(event)
        assert event["type_uid"] == event["class_uid"] * 100 + event["activity_id"]
        assert (event["metadata"]["sequence"], event["unmapped"]["leaf_hash"]) == (int(row["index"]), row["leaf_hash"])
    page = (folder / "views" / "report.html").read_text()
    assert "<script" not in page
    assert "src=" not in page
    assert "&quot;" in page or "staff:7" in page
    for heading in ("Entries over time", "Refused statements by code", "Decisions", "Disclosures", "what happened to"):
        assert heading in page
    assert page.count("<svg") >= 7


def test_the_bundles_own_verifier_needs_python_and_cryptography_only(log: OwnLog, tmp_path: Path) -> None:
    imported = {
        name.split(".")[0]
        for node in ast.walk(ast.parse(verifier().read_text()))
        for name in (
            [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else [node.module or ""]
            if isinstance(node, ast.ImportFrom)
            else []
        )
    }
    assert imported - set(sys.stdlib_module_names) == {"cryptography"}
    folder = unpacked(a_bundle(tmp_path, COMPLETE, log).archive, tmp_path / "out")
    assert (folder / "verify.py").read_bytes() == verifier().read_bytes()
    done = subprocess.run(
        [sys.executable, "-I", "verify.py"],
        check=False,
        cwd=folder,
        capture_output=True,
        text=True,
        env={"PATH": os.environ["PATH"]},
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("LEDGER EXPORT: VERIFIED")
    assert "taken from the bundle itself" in done.stdout
    (folder / "views" / "report.html").write_text("<p>All is well.</p>")
    done = subprocess.run(
        [sys.executable, "-I", "verify.py", "."], check=False, cwd=folder, capture_output=True, text=True
    )
    assert done.returncode == 1
    assert "views/report.html: this file was changed" in done.stdout


def test_the_command_takes_folders_and_zips(log: OwnLog, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = a_bundle(tmp_path, COMPLETE, log)
    assert ledger_verifier.main([str(made.archive), *(f"--vkey={vkey}" for vkey in log.vkeys())]) == 0
    assert made.sha256 in capsys.readouterr().out.replace("\n  ", "")
    assert ledger_verifier.main([str(made.archive), "--json", f"--vkey={OwnLog().vkeys()[0]}"]) == 1
    assert json.loads(capsys.readouterr().out)["verified"] is False
    assert ledger_verifier.main([str(tmp_path / "nothing.zip")]) == 1
    with zipfile.ZipFile(tmp_path / "empty.zip", "w"):
        pass
    assert ledger_verifier.main([str(tmp_path / "empty.zip")]) == 1
