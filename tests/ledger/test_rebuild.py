"""After a restore the log goes on where its readers last saw it: its leaves come back from the tiles."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import connection, transaction

from hub.ledger import rebuild, tree
from hub.ledger.last_signed import Known, LastSigned
from hub.ledger.mirror import Mirror, standing
from hub.ledger.record import record
from hub.ledger.sequence import BehindTheMirror, drain
from hub.ledger.signer import MustNotSign
from hub.ledger.tile_store import Contradiction
from hub.ledger.tlog import tiles
from hub.ledger.tlog.proofs import check_consistency
from tests.journeys.backups import back_up, put_back
from tests.ledger.conftest import leaves
from tests.ledger.growing import NOON, grow, leaf_hashes, sign

ABOUT = ("signal:one", "partner:acme")


@pytest.fixture
def backup(ledger: Mirror) -> str:
    """Of a log that was signed; an event waits in its outbox that is a leaf by the time it is put back."""
    grow(300, about=ABOUT)
    sign()
    with transaction.atomic():
        record("statement.accepted", actor="partner:acme", at=NOON, subjects=["signal:waiting"])
    return back_up()


@pytest.fixture
def seen(backup: str) -> Known:
    """The last checkpoint before the database was lost; three leaves more were not under it."""
    grow(700, about=ABOUT)
    grow(300, about=("signal:two",))
    known = sign()
    grow(3, about=ABOUT)
    return known


def test_the_leaves_come_back_and_the_log_goes_on(backup: str, seen: Known, capsys: pytest.CaptureFixture[str]) -> None:
    before = leaf_hashes()
    with put_back(backup):
        with pytest.raises(BehindTheMirror):
            drain()
        call_command("restored", "--yes")
        assert f"brought back: {seen.size - len(before) + 1004} leaves" in capsys.readouterr().out
        assert leaf_hashes() == before[: seen.size]
        assert not standing(connection).is_behind
        drain()
        new = leaves(seen.size)  # the running numbers have no gap, and no event became two leaves
        assert [leaf.action for leaf in new] == ["epoch.renewed", "database.restored"]
        assert new[1].facts["leaves_brought_back"] == 1001
        grow(2, about=ABOUT)
        after = sign()
        check_consistency(seen.size, after.size, tree.consistency(seen.size, after.size), seen.root, after.root)


def test_killed_between_two_chunks_it_goes_on_when_it_is_run_again(
    backup: str, seen: Known, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = leaf_hashes()
    monkeypatch.setattr(rebuild, "_AT_ONCE", 1)
    with put_back(backup):
        add, calls = rebuild._add, list[int]()

        def dying(*given: object) -> int:
            calls.append(1)
            if len(calls) == 3:
                raise KeyboardInterrupt
            return add(*given)  # type: ignore[arg-type]

        monkeypatch.setattr(rebuild, "_add", dying)
        with pytest.raises(KeyboardInterrupt):
            call_command("restored", "--yes")
        assert standing(connection).is_behind
        call_command("restored", "--yes")
        assert leaf_hashes() == before[: seen.size]
        drain()
        leaves()


def test_where_the_mirror_was_lost_as_well_the_tile_store_says_how_far_the_log_had_come(
    backup: str, seen: Known, ledger: Mirror
) -> None:
    before = leaf_hashes()
    shutil.rmtree(ledger.folder)
    with put_back(backup):
        call_command("restored", "--yes")
        assert leaf_hashes() == before[: seen.size]
        grow(1)
        sign()


def test_a_database_that_went_on_by_itself_signs_nothing_and_is_not_mended(
    backup: str, seen: Known, ledger: Mirror
) -> None:
    shutil.rmtree(ledger.folder)
    with put_back(backup):
        drain()  # nothing tells the sequencer that it is behind, and what waited becomes another leaf
        with pytest.raises((MustNotSign, Contradiction)):
            sign()
        with pytest.raises(CommandError, match="gone on by itself"):
            call_command("restored", "--yes")


def test_a_damaged_bundle_is_named_and_nothing_is_done(backup: str, seen: Known, tmp_path: Path) -> None:
    damaged = tmp_path / "tiles" / tiles.entries_path(seen.size // 256 - 1)
    content = bytearray(damaged.read_bytes())
    content[700] ^= 1
    damaged.write_bytes(content)
    with put_back(backup):
        size = len(leaf_hashes())
        with pytest.raises(CommandError, match=r"tile/entries/.* is damaged.* Nothing was done\."):
            call_command("restored", "--yes")
        assert len(leaf_hashes()) == size
        assert standing(connection).is_behind


def test_a_tree_that_lacks_nothing_needs_no_tiles(ledger: Mirror, tmp_path: Path) -> None:
    grow(1)
    known = sign()
    assert rebuild.plan() is None
    assert LastSigned().read() == known
