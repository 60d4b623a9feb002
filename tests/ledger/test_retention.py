"""Retention: whole partitions go, checked and recorded; hashes, proofs and everything younger stay."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import connections

from hub.ledger import checkpoints, leaf, rebuild, retention, tree
from hub.ledger.export.making import Made, Order, make
from hub.ledger.export.own_log import own_log
from hub.ledger.export.query import InvalidExport, Kind, Query
from hub.ledger.mirror import Mirror
from hub.ledger.models import Reading
from hub.ledger.sequence import Sequencer, connect, drain
from hub.ledger.tlog.proofs import check_inclusion
from tests.journeys.backups import back_up, put_back
from tests.ledger.growing import grow, leaf_hashes, sign

PARTITION = 512


@pytest.fixture
def small_partitions(ledger: Mirror) -> None:
    """Partitions of 512 leaves, two of them full; the real ones hold a million."""
    with connections["owner"].cursor() as cursor:
        cursor.execute("SELECT to_regclass('small_0') IS NULL")
        if cursor.fetchone()[0]:
            cursor.execute("ALTER TABLE ledger_leaf DETACH PARTITION ledger_leaf_000000")
            for number, (start, end) in enumerate([(0, 512), (512, 1024), (1024, 1536), (1536, 1048576)]):
                cursor.execute(
                    f"CREATE TABLE small_{number} PARTITION OF ledger_leaf FOR VALUES FROM ({start}) TO ({end})"
                )
            cursor.execute("INSERT INTO ledger_leaf SELECT * FROM ledger_leaf_000000")
    if len(leaf_hashes()) < 1100:
        grow(1100 - len(leaf_hashes()), about=("partner:birch",))
    sign()


def run(*arguments: str) -> None:
    call_command("part_with_leaves", *arguments)


def test_a_dry_run_says_what_would_go_and_nothing_does(
    small_partitions: None, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(CommandError, match="would rise to 1024"):
        run("--before", "2027-01-01")
    said = capsys.readouterr().out
    assert "small_0: leaves 0 to 511, the newest of 2026-11-03" in said
    assert "small_1: leaves 512 to 1023" in said
    assert "small_2" not in said  # the log is growing in it
    with pytest.raises(CommandError, match="would rise to 512"):
        run("--below", "1000")
    run("--before", "2026-11-03")
    assert "nothing to part with" in capsys.readouterr().out
    assert checkpoints.minimum_index() == 0
    assert len(retention.partitions()) == 5


def test_the_newest_leaf_never_goes_also_where_it_fills_its_partition(
    small_partitions: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    signed = checkpoints.latest()
    assert signed is not None
    monkeypatch.setattr(checkpoints, "latest", lambda: replace(signed, size=1024))
    assert [each.table for each in retention.what_would_go(below=1024)] == ["small_0"]


def test_what_the_tile_store_lacks_or_has_otherwise_stays(small_partitions: None, tmp_path: Path) -> None:
    bundle = tmp_path / "tiles/tile/entries/001"
    content = bundle.read_bytes()
    bundle.unlink()
    with pytest.raises(CommandError, match=r"tile/entries/001 is not in the tile store.* Nothing was done\."):
        run("--below", "512", "--yes")
    bundle.write_bytes(content.replace(b"statement.accepted", b"statement.refused.", 1))
    with pytest.raises(CommandError, match="does not hold the leaves"):
        run("--below", "512", "--yes")
    assert checkpoints.minimum_index() == 0


def test_what_goes_is_recorded_and_what_stays_is_still_proven(
    small_partitions: None, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    hashes = leaf_hashes()
    backup = back_up()
    run("--below", "512", "--yes", "--reason", "two years")
    assert "The minimum index is 512. Detached: small_0." in capsys.readouterr().out
    assert checkpoints.minimum_index() == 512
    assert leaf_hashes() == hashes[512:]
    drain()
    signed = sign()
    with connections["ledger"].cursor() as cursor:
        cursor.execute("SELECT convert_from(entry, 'UTF8') FROM ledger_leaf WHERE action = 'ledger.minimum-raised'")
        [[entry]] = cursor.fetchall()
        cursor.execute("SELECT has_table_privilege('heliograph_ledger', 'small_0', 'SELECT')")
        assert cursor.fetchone() == (False,)
    assert '"minimum_index":512' in entry
    for index in (0, 511, 512, 1050):
        check_inclusion(hashes[index], index, signed.size, tree.inclusion(index, signed.size), signed.root)
    run("--below", "1024", "--yes")
    assert checkpoints.minimum_index() == 1024
    assert [each.table for each in retention.partitions()][:1] == ["small_2"]
    grow(1)
    sign()
    exports_that_need_what_went_are_refused(tmp_path)
    monkeypatch.setattr(rebuild, "_LOCK_SECONDS", 0.2)
    what_went_does_not_come_back_with_a_backup(backup)


def what_went_does_not_come_back_with_a_backup(backup: str) -> None:
    minimum, size = checkpoints.minimum_index(), len(leaf_hashes())
    with put_back(backup):
        assert checkpoints.minimum_index() == 0
        with connect() as elsewhere:
            at_work = Sequencer(lambda: elsewhere)
            assert at_work.try_lock()
            with pytest.raises(CommandError, match="A sequencer is at work"):
                call_command("restored", "--yes")
            assert checkpoints.minimum_index() == 0
        call_command("restored", "--yes")
        assert checkpoints.minimum_index() == minimum
        assert retention.partitions()[0].start == minimum
        assert len(leaf_hashes()) >= size


def exports_that_need_what_went_are_refused(tmp_path: Path) -> None:
    minimum = checkpoints.minimum_index()
    edge = sequenced_at(minimum)
    for number, query in enumerate(
        [
            Query(Kind.COMPLETE),
            Query(Kind.COMPLETE, since=edge),  # the entry beside it went
            Query(Kind.FILTERED, partner="birch"),
            Query(Kind.FILTERED, partner="birch", since=edge),
        ]
    ):
        with pytest.raises(InvalidExport, match=f"needs leaves below index {minimum}, which are no longer kept"):
            export(tmp_path / f"refused-{number}", query)
    grow(2, about=("partner:birch",))
    grow(2, about=("partner:cedar",))
    size = sign().size
    later = sequenced_at(size - 4)
    assert export(tmp_path / "complete", Query(Kind.COMPLETE, since=later)).counts["matching"] == 4
    assert export(tmp_path / "birch", Query(Kind.FILTERED, partner="birch", since=later)).counts["matching"] == 2
    assert export(tmp_path / "cedar", Query(Kind.FILTERED, partner="cedar")).counts["matching"] == 2


def export(home: Path, query: Query) -> Made:
    return make(home, Order(query, {}, []), own_log(), beat=lambda step, done, total: None)


def sequenced_at(index: int) -> str:
    return leaf.decode(bytes(Reading.objects.get(index=index).entry)).sequenced_at
