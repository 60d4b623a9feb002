"""Processes that share the key folder and meet at the worst moment still hold the same keys."""

from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from hub.vault.envelope import KeyDestroyed
from tests.vault.keyrings import CSEA, MONTH, a_keyring, in_processes

PLACE = b"place"


def use_everything_for_the_first_time(barrier: Any, keys_dir: Path) -> tuple[list[bytes], list[object]]:
    """Each process starts with nothing, the folder included."""
    ring = a_keyring(keys_dir)
    barrier.wait(60)
    sealed = [ring.data.sealer(CSEA, f"2027-{month:02}").seal(b"text", context=PLACE) for month in range(1, 13)]
    return sealed, [ring.secret("cursor"), ring.index.newest(CSEA, b"value"), ring.index.every("hub", b"value")]


@pytest.mark.races
def test_processes_that_make_a_key_at_once_have_the_same_key(tmp_path: Path) -> None:
    answers = in_processes(6, use_everything_for_the_first_time, tmp_path / "keys")
    ring = a_keyring(tmp_path / "keys")
    for sealed, agreed in answers:
        assert [ring.data.open(item, PLACE) for item in sealed] == [b"text"] * 12
        assert agreed == answers[0][1]
    assert len(list((tmp_path / "keys" / "kek").glob("*.key"))) == 1
    assert list((tmp_path / "keys" / "tmp").iterdir()) == []


def seal_until_destroyed(barrier: Any, keys_dir: Path) -> str:
    ring = a_keyring(keys_dir, remember_seconds=0.0)
    barrier.wait(60)
    if os.getpid() % 2:
        time.sleep(0.002)
    if ring.data.destroy(CSEA, MONTH):
        return "destroyed it"
    try:
        for _ in range(200):
            ring.data.sealer(CSEA, MONTH).seal(b"text", context=PLACE)
            if ring.data.destroy(CSEA, MONTH):
                return "destroyed it"
    except KeyDestroyed:
        return "found it destroyed"
    return "neither"


@pytest.mark.races
def test_a_key_is_destroyed_once_and_stays_so_while_others_would_make_it(tmp_path: Path) -> None:
    answers = in_processes(6, seal_until_destroyed, tmp_path)
    assert sorted(answers) == ["destroyed it"] + ["found it destroyed"] * 5
    assert a_keyring(tmp_path).data.periods(CSEA) == []


def rotate_index(barrier: Any, keys_dir: Path) -> tuple[str, bytes]:
    ring = a_keyring(keys_dir)
    barrier.wait(60)
    ring.index.begin_rotation(CSEA)
    newest = ring.index.live_now(CSEA)[0]
    return newest.key_id, newest.key


@pytest.mark.races
def test_rotations_that_begin_at_once_make_one_key(tmp_path: Path) -> None:
    a_keyring(tmp_path).index.newest(CSEA, b"value")
    answers = in_processes(4, rotate_index, tmp_path)
    assert {key_id for key_id, _ in answers} == {"programme:csea#2"}
    assert len({key for _, key in answers}) == 1


def test_a_fork_does_not_inherit_a_held_lock(tmp_path: Path) -> None:
    ring = a_keyring(tmp_path)
    sealed = ring.data.sealer(CSEA, MONTH).seal(b"text", context=PLACE)
    forked, held = threading.Event(), threading.Event()

    def hold() -> None:
        with ring.data._ciphers.lock:
            held.set()
            forked.wait(30)

    holder = threading.Thread(target=hold)
    holder.start()
    held.wait(30)
    child = os.fork()
    if child == 0:  # no assertion may escape into a second pytest
        signal.alarm(10)
        ring.data._ciphers._held.clear()
        try:
            os._exit(0 if ring.data.open(sealed, PLACE) == b"text" else 1)
        finally:
            os._exit(2)
    forked.set()
    holder.join()
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
