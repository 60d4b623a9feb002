"""The mirror: what a restored backup forgets, and that the hub stays closed until somebody has seen to it."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from django.db import connection, connections, transaction
from pytest_django import DjangoAssertNumQueries

from hub.ledger import sequence
from hub.ledger.actions import ACTIONS
from hub.ledger.epochs import record_restored, renew_epoch
from hub.ledger.mirror import Mirror, Remembered, compare, current_epoch, standing
from hub.ledger.record import record
from hub.ledger.sequence import BehindTheMirror, drain
from tests.ledger.conftest import leaves

NOON = datetime(2026, 11, 3, 12, tzinfo=UTC)


def happen(*actions: str) -> None:
    with transaction.atomic():
        for action in actions:
            record(action, actor="partner:acme", at=NOON, subjects=["signal:x"])


def forget(mirror: Mirror, **changes: object) -> Remembered:
    """Make the mirror remember more than the database has: what a restored backup looks like."""
    known = mirror.read()
    assert known is not None
    ahead = Remembered(**{name: getattr(known, name) for name in Remembered.__struct_fields__} | changes)
    mirror.write(ahead, [])
    return ahead


def test_the_sequencer_keeps_state_and_the_leaves_that_must_be_applied_again(ledger: Mirror) -> None:
    before = len(leaves())
    happen("statement.accepted", "signal.withdrawn", "feed.disclosed", "key.revoked")
    drain()
    known = ledger.read()
    assert known is not None
    assert (known.size, known.epoch) == (before + 4, current_epoch())
    assert [(index, leaf.action) for index, leaf in ledger.journal(before)] == [
        (before + 1, "signal.withdrawn"),
        (before + 3, "key.revoked"),
    ]
    assert [leaf for _, leaf in ledger.journal(before)] == [
        leaf for leaf in leaves(before) if ACTIONS[leaf.action].mirrored
    ]
    assert not standing(connection).is_behind


def test_asking_costs_one_query_and_reads_the_file_once(
    ledger: Mirror, django_assert_num_queries: DjangoAssertNumQueries, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert not standing(connection).is_behind
    monkeypatch.setattr(Mirror, "read", lambda _: pytest.fail("it had not changed"))
    with django_assert_num_queries(1):
        assert not standing(connection).is_behind


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"size": 10**6}, "1000000"),
        ({"epoch": 99}, "epoch 99"),
        ({"root": "00" * 32}, "root"),
        ({"last": "00" * 32}, "leaf"),
    ],
)
def test_a_database_behind_its_mirror_serves_nothing_and_sequences_nothing(
    ledger: Mirror, changes: dict[str, object], why: str
) -> None:
    happen("statement.accepted")
    drain()
    forget(ledger, **changes)
    found = standing(connection)
    assert found.is_behind
    assert why in found.sentence
    assert "manage.py restored" in found.sentence
    happen("statement.accepted")
    with pytest.raises(BehindTheMirror, match="restored"):
        drain()
    with connections["ledger"].cursor() as cursor:
        cursor.execute("DELETE FROM ledger_outbox")


def test_a_restored_database_that_went_on_by_itself_is_still_found_out() -> None:
    known = Remembered(v=1, epoch=1, size=10, root="aa", last="bb")
    assert compare(known, size=12, root="cc", epoch=1, last="other").is_behind
    assert not compare(known, size=12, root="cc", epoch=1, last="bb").is_behind
    assert not compare(None, size=12, root="cc", epoch=1, last=None).is_behind


def test_after_a_restore_the_epoch_is_new_the_loss_is_a_leaf_and_the_old_mirror_is_kept(ledger: Mirror) -> None:
    happen("signal.withdrawn")
    drain()
    before, epoch = len(leaves()), current_epoch()
    lost = forget(ledger, size=10**6, epoch=epoch + 4)
    assert standing(connection).is_behind
    with transaction.atomic():
        number = renew_epoch("restored from the backup of 3 November", actor="staff:1", at=NOON)
        record_restored(actor="staff:1", at=NOON)
    assert number == current_epoch() == epoch + 5
    aside = ledger.archive(at=NOON)
    assert aside is not None
    assert sorted(path.name for path in aside.iterdir()) == ["journal", "state.json"]
    assert not standing(connection).is_behind
    drain()
    renewed, restored = leaves(before)
    assert renewed.action == "epoch.renewed"
    assert renewed.facts["epoch"] == number
    assert restored.facts["lost_size"] == 10**6
    assert restored.facts["lost_root"] == lost.root
    assert restored.facts["restored_size"] == before
    assert not standing(connection).is_behind
    again = ledger.read()
    assert again is not None
    assert (again.size, again.epoch) == (before + 2, number)
    assert [leaf for _, leaf in ledger.journal()] == [leaf for leaf in leaves() if ACTIONS[leaf.action].mirrored]


def test_a_lost_mirror_is_made_again_from_the_leaves(ledger: Mirror, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sequence, "_CHUNK", 2)
    happen(*["signal.withdrawn"] * 5)
    drain()
    ledger.state_file.unlink()
    ledger.journal_file.unlink()
    assert "no mirror" in standing(connection).sentence
    drain()
    assert [leaf for _, leaf in ledger.journal()] == [leaf for leaf in leaves() if ACTIONS[leaf.action].mirrored]


def test_a_line_cut_short_by_a_crash_is_neither_read_nor_built_on(tmp_path: Path) -> None:
    mirror = Mirror(tmp_path)
    state = Remembered(v=1, epoch=1, size=3, root="", last="")
    mirror.write(state, [(0, b"first"), (1, b"second")])
    with mirror.journal_file.open("ab") as file:
        file.write(b"2 thi")
    mirror.write(state, [(1, b"second"), (2, b"third")])
    assert mirror.journal_file.read_bytes() == b"0 first\n1 second\n2 third\n"


def test_a_state_file_that_is_not_ours_is_said_to_be_so(tmp_path: Path) -> None:
    (tmp_path / "state.json").write_text("{}")
    with pytest.raises(ValueError, match="not a mirror's state"):
        Mirror(tmp_path).read()
