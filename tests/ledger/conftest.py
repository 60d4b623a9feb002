"""A ledger of one's own: a committed database, an empty outbox, a mirror and a tile store in folders of the test."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest
from django.db import connections
from pytest_django import Settings

from hub.environment import tile_storage
from hub.ledger import leaf
from hub.ledger.leaf import Leaf
from hub.ledger.mirror import Mirror
from hub.ledger.sequence import drain
from hub.ledger.tlog.merkle import leaf_hash, root_of


@pytest.fixture
def ledger(committed_db: None, settings: Settings, tmp_path: Path) -> Mirror:
    """Nothing waits, and the mirror (which is returned) knows of every leaf."""
    settings.MIRROR_DIR = tmp_path / "mirror"
    settings.STORAGES = settings.STORAGES | {"ledger": tile_storage("NOWHERE", tmp_path / "tiles")}
    drain()
    return Mirror()


def leaves(since: int = 0) -> list[Leaf]:
    """All leaves from index `since`, each re-hashed, once the whole ledger has been checked."""
    with connections["ledger"].cursor() as cursor:
        cursor.execute("SELECT index, leaf_hash, entry, action, actor, at, subjects FROM ledger_leaf ORDER BY index")
        rows = cursor.fetchall()
        cursor.execute("SELECT size, root FROM ledger_frontier")
        size, root = cursor.fetchone()
    read = []
    numbers: dict[str, int] = {}
    for position, (index, digest, entry, action, actor, at, subjects) in enumerate(rows):
        found = leaf.decode(bytes(entry))
        assert index == position
        assert leaf_hash(bytes(entry)) == bytes(digest)
        assert (found.action, found.actor, found.at) == (action, actor, leaf.timestamp(at))
        assert [subject.id for subject in found.subjects] == subjects
        for subject in found.subjects:
            assert subject.n == numbers.get(subject.id, 0) + 1, f"a gap in the leaves about {subject.id}"
            numbers[subject.id] = subject.n
        read.append(found)
    assert size == len(rows)
    assert bytes(root) == root_of([bytes(row[1]) for row in rows])
    assert len({found.id for found in read}) == len(read), "an event became two leaves"
    assert all(before.sequenced_at <= after.sequenced_at for before, after in pairwise(read))
    return read[since:]
