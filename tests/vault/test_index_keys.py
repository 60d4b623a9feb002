"""Values are found by their blind index before, during and after a rotation of its key."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from hub.vault.envelope import KeyUnavailable
from tests.vault.keyrings import CSEA, a_keyring


def test_the_same_value_has_the_same_index_in_every_process(tmp_path: Path) -> None:
    index = a_keyring(tmp_path).index.newest(CSEA, b"username\0acme.example\0somebody")
    assert index == a_keyring(tmp_path).index.newest(CSEA, b"username\0acme.example\0somebody")
    assert index.key_id == "programme:csea#1"
    assert len(index.digest) == 32


def test_programmes_cannot_compare_their_values(tmp_path: Path) -> None:
    ring = a_keyring(tmp_path)
    assert ring.index.newest(CSEA, b"value").digest != ring.index.newest("programme:ncii", b"value").digest


def test_a_rotation_loses_no_value_at_any_moment(tmp_path: Path) -> None:
    first, second = (a_keyring(tmp_path, remember_seconds=0.2) for _ in range(2))
    old = first.index.newest(CSEA, b"value")
    assert second.index.every(CSEA, b"value") == [old]

    rotation = first.index.begin_rotation(CSEA)

    assert (rotation.key_id, rotation.old) == ("programme:csea#2", ("programme:csea#1",))
    assert first.index.newest(CSEA, b"value") == old  # the other process has not heard of the new key yet
    assert [index.key_id for index in first.index.every(CSEA, b"value")] == ["programme:csea#2", "programme:csea#1"]
    with pytest.raises(ValueError, match="may still write"):
        first.index.retire(CSEA, "programme:csea#1")
    deadline = time.monotonic() + 5
    while (written := first.index.newest(CSEA, b"value")) == old:
        assert time.monotonic() < deadline
        assert old in second.index.every(CSEA, b"value")
        time.sleep(0.01)
    assert written in second.index.every(CSEA, b"value")  # what one writes, the other finds
    assert old in second.index.every(CSEA, b"value")

    time.sleep(0.41)
    first.index.retire(CSEA, "programme:csea#1")
    first.index.retire(CSEA, "programme:csea#1")  # asking twice changes nothing
    assert first.index.every(CSEA, b"value") == [written]
    time.sleep(0.21)
    assert second.index.every(CSEA, b"value") == [written]


def test_a_rotation_that_was_interrupted_is_taken_up_again(tmp_path: Path) -> None:
    rotation = a_keyring(tmp_path).index.begin_rotation(CSEA)
    assert a_keyring(tmp_path).index.begin_rotation(CSEA) == rotation


def test_only_older_keys_of_the_scope_retire(tmp_path: Path) -> None:
    ring = a_keyring(tmp_path, remember_seconds=0.0)
    ring.index.begin_rotation(CSEA)
    for key_id in ("programme:csea#2", "programme:csea#3", "programme:ncii#1", "nonsense", "programme:csea#01"):
        with pytest.raises(ValueError, match="not an index key of programme:csea older than"):
            ring.index.retire(CSEA, key_id)


def test_a_folder_without_a_live_index_key_is_an_operators_matter(tmp_path: Path) -> None:
    ring = a_keyring(tmp_path, remember_seconds=0.0)
    ring.index.newest(CSEA, b"value")
    ring.store.destroy("index/programme:csea/000001")
    with pytest.raises(KeyUnavailable, match="restore the key folder"):
        ring.index.newest(CSEA, b"value")
