"""The signer: one history, whoever dies between two steps and whatever backup is put in the database's place."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from django.core.management import call_command
from django.db import connections
from pytest_django import Settings

from hub.ledger import checkpoints, signer, tree
from hub.ledger.last_signed import Known, LastSigned
from hub.ledger.mirror import Mirror
from hub.ledger.models import Checkpoint
from hub.ledger.sequence import connect, drain
from hub.ledger.signer import MustNotSign, Signer
from hub.ledger.tile_store import Contradiction, StoreAway, tile_store
from hub.ledger.tlog import merkle, tiles
from hub.ledger.tlog.checkpoint import Checkpoint as Text
from hub.ledger.tlog.note import open_note
from hub.ledger.tlog.proofs import check_consistency, check_inclusion
from tests.cluster import postgres
from tests.journeys.backups import back_up, put_back
from tests.ledger.growing import NOON, grow, leaf_hashes, sign


def assert_one_history() -> None:
    """Every checkpoint ever published, and the last one signed, is of a beginning of the log as it stands."""
    hashes = leaf_hashes()
    known = LastSigned().read()
    signed = [(row.size, bytes(row.root)) for row in Checkpoint.objects.all()]
    for size, root in [*signed, *([(known.size, known.root)] if known else [])]:
        assert merkle.root_of(hashes[:size]) == root


def test_a_checkpoint_says_the_tree_and_is_signed_with_the_ledgers_own_key(ledger: Mirror) -> None:
    grow(3)
    sign()
    published = checkpoints.latest()
    assert published is not None
    note = open_note(published.note)
    assert Text.parse(note.text) == Text("hub.test/ledger", published.size, merkle.root_of(leaf_hashes()))
    [key] = checkpoints.public_keys()
    key.check(note)
    assert checkpoints.vkeys()[0].startswith("hub.test/ledger+")
    assert published.cosigned == ()
    assert tile_store().get("checkpoint") == published.note


def test_a_new_key_is_told_before_it_signs_and_the_old_one_stays_known(
    ledger: Mirror, settings: Settings, tmp_path: Path
) -> None:
    settings.KEYS_DIR = tmp_path / "keys"
    [old] = checkpoints.public_keys()
    call_command("rotate_checkpoint_key")
    new, known = checkpoints.public_keys()
    assert known == old
    drain()
    assert [signature.key_id for signature in open_note(sign().note).signatures] == [old.id]  # not before all know it
    call_command("rotate_checkpoint_key")  # asked again it makes no third one
    assert len(checkpoints.vkeys()) == 2
    assert new.name == old.name == checkpoints.origin()


def test_the_tiles_prove_each_leaf_and_each_growth(ledger: Mirror) -> None:
    grow(5)
    old = sign()
    grow(600)  # two tiles fill up, a third begins
    new = sign()
    hashes = leaf_hashes()
    for index in (0, 4, 255, 256, new.size - 1):
        check_inclusion(hashes[index], index, new.size, tree.inclusion(index, new.size), new.root)
    check_inclusion(hashes[2], 2, old.size, tree.inclusion(2, old.size), old.root)
    check_consistency(old.size, new.size, tree.consistency(old.size, new.size), old.root, new.root)
    found = checkpoints.at_least(old.size + 1)
    assert found is not None
    assert found.size == new.size
    assert checkpoints.at_least(new.size + 1) is None


def test_a_partial_tile_goes_once_its_full_one_is_there(ledger: Mirror, tmp_path: Path) -> None:
    grow(1 if (len(leaf_hashes()) + 1) % 256 else 2)
    edge = tiles.path(0, sign().size // 256)
    bundles = tmp_path / "tiles" / edge.replace("tile/0", "tile/entries")
    assert list((tmp_path / "tiles" / f"{edge}.p").iterdir())
    grow(300)
    sign()
    assert not list((tmp_path / "tiles" / f"{edge}.p").iterdir())
    assert not list(bundles.with_suffix(".p").iterdir())
    assert (tmp_path / "tiles" / edge).stat().st_size == 8192
    assert bundles.is_file()


def test_an_unchanged_tree_is_signed_again_only_after_long(ledger: Mirror, settings: Settings) -> None:
    grow(1)
    with Signer(connect) as one:
        first = one.step(at=NOON)
        assert first is not None
        assert one.step(at=NOON) is None
        settings.CHECKPOINT_IDLE_SECONDS = 0
        second = one.step(at=NOON - timedelta(hours=1))
    assert second is not None
    assert (second.note, second.size) == (first.note, first.size)
    assert second.signed_at > first.signed_at  # also where the clock was set back
    grow(1)
    settings.CHECKPOINT_SECONDS = 60
    with Signer(connect) as one:
        assert one.step(at=NOON) is not None
        grow(1)
        assert one.step(at=NOON) is None


def dying(step: str, *, before: bool) -> type[Signer]:
    """A signer that is killed right before, or right after, one of its steps."""

    class Dying(Signer):
        def __getattribute__(self, name: str) -> object:
            found = super().__getattribute__(name)
            return killed(found) if name == step else found

    def killed(method: Callable[..., object]) -> Callable[..., object]:
        def run(*given: object, **named: object) -> object:
            if not before:
                method(*given, **named)
            raise KeyboardInterrupt

        return run

    return Dying


@pytest.mark.parametrize("before", [True, False])
@pytest.mark.parametrize("step", ["_settle", "_is_due", "_sign", "_publish", "_tidy"])
def test_a_signer_killed_between_two_steps_leaves_nothing_that_contradicts(
    ledger: Mirror, step: str, before: bool
) -> None:
    grow(2)
    sign()
    grow(3)
    with pytest.raises(KeyboardInterrupt):
        sign(dying(step, before=before))
    seen = LastSigned().read()
    grow(1)
    last = sign()
    assert seen is not None
    assert Checkpoint.objects.filter(size=seen.size, root=seen.root).exists()  # what was signed is published
    assert last.size == len(leaf_hashes())
    assert_one_history()


def test_a_database_put_back_from_a_backup_signs_nothing_until_it_has_caught_up(ledger: Mirror) -> None:
    grow(2)
    sign()
    backup = back_up()
    grow(2)
    sign()
    with put_back(backup):
        ledger.state_file.unlink()  # even where the mirror's own state is lost
        drain()
        with pytest.raises(MustNotSign, match="restored from a backup"):
            sign()
        grow(9)  # another history, and by now a longer one
        with pytest.raises((Contradiction, MustNotSign)):
            sign()
    assert_one_history()


def test_what_is_published_already_lies_beside_the_tiles(ledger: Mirror) -> None:
    grow(2)
    with pytest.raises(KeyboardInterrupt):
        sign(dying("_publish", before=True))
    known = LastSigned().read()
    assert known is not None
    assert tile_store().get("checkpoint") == known.note


def test_tiles_of_leaves_that_were_lost_before_they_were_signed_are_replaced(ledger: Mirror) -> None:
    grow(2)
    sign()
    backup = back_up()
    grow(600)
    with pytest.raises(KeyboardInterrupt):
        sign(dying("_sign", before=True))
    written = (len(leaf_hashes()) - 1) // 256 - 1  # the last tile that filled up
    lost = tile_store().tile(0, written)
    with put_back(backup):
        ledger.state_file.unlink()
        drain()
        grow(700)
        known = sign()
        assert tile_store().tile(0, written) == b"".join(leaf_hashes()[written * 256 : (written + 1) * 256]) != lost
        assert known.size == len(leaf_hashes())
        assert_one_history()


def test_a_leaf_that_was_rewritten_is_never_signed(ledger: Mirror) -> None:
    grow(2)
    sign()
    known = LastSigned().read()
    assert known is not None
    forged = Text("hub.test/ledger", known.size, bytes(32)).text()
    with LastSigned().lock():
        LastSigned().write(Known.of((forged + "\n— x AAAAAAA=\n").encode(), signed_at=known.signed_at))
    grow(1)
    with pytest.raises(MustNotSign, match="does not continue"):
        sign()


def test_a_store_that_is_away_stops_signing_and_nothing_else_and_heals(ledger: Mirror, tmp_path: Path) -> None:
    grow(2)
    sign()
    away = tmp_path / "away"
    (tmp_path / "tiles").rename(away)
    (tmp_path / "tiles").write_text("no folder")
    grow(2)
    with pytest.raises(StoreAway):
        sign()
    assert tile_store().why_not() is not None
    (tmp_path / "tiles").unlink()
    away.rename(tmp_path / "tiles")
    sign()
    assert tile_store().why_not() is None
    assert_one_history()


def test_an_empty_store_gets_every_tile_again(ledger: Mirror, tmp_path: Path) -> None:
    grow(300)
    before = sign()
    (tmp_path / "tiles").rename(tmp_path / "lost")
    grow(1)
    after = sign()
    check_consistency(before.size, after.size, tree.consistency(before.size, after.size), before.root, after.root)


def test_the_running_signer_comes_back_after_every_loss(
    ledger: Mirror, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.CHECKPOINT_SECONDS = 0
    monkeypatch.setattr(signer, "PAUSE", 0.02)
    stop = threading.Event()
    grow(1)
    thread = threading.Thread(target=signer.run, args=(stop,), kwargs={"connect": connect})
    thread.start()
    try:
        until(lambda: size_signed() == len(leaf_hashes()))
        (tmp_path / "tiles").rename(tmp_path / "lost")
        (tmp_path / "tiles").write_text("no folder")
        grow(1)
        (tmp_path / "tiles").unlink()
        until(lambda: size_signed() == len(leaf_hashes()))
        with postgres.bootstrap_connection() as superuser:
            superuser.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND granted"
                " AND database = (SELECT oid FROM pg_database WHERE datname = %s)",
                [connections["default"].settings_dict["NAME"]],
            )
        grow(1)
        until(lambda: size_signed() == len(leaf_hashes()))
    finally:
        stop.set()
        thread.join()
    assert_one_history()


def size_signed() -> int:
    latest = checkpoints.latest()
    return latest.size if latest else 0


def until(condition: Callable[[], bool], seconds: float = 15) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.02)
