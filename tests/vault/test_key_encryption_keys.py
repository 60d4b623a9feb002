"""Key-encryption keys come from a file or the environment, and are replaced without touching what was sealed."""

from __future__ import annotations

import json
import os
import signal
import time
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured

from hub.vault.condition import overview
from hub.vault.envelope import KeyDestroyed, KeyUnavailable
from hub.vault.folder import KeyFolder
from hub.vault.keyring import Keyring
from hub.vault.providers import EnvironmentKeys, FileKeys, kek_id, provider_for
from tests.vault.keyrings import CSEA, a_kek, a_keyring, a_keyring_from_environment

PLACE = b"place"


def months(count: int) -> list[str]:
    return [f"{2027 + at // 12}-{at % 12 + 1:02}" for at in range(count)]


def seal_months(ring: Keyring, count: int) -> list[bytes]:
    return [ring.data.sealer(CSEA, month).seal(month.encode(), context=PLACE) for month in months(count)]


def wrapped_under(ring: Keyring) -> set[str]:
    return {row.kek for row in overview(ring.store) if row.kek}


def test_rotation_in_the_environment_goes_old_both_new(tmp_path: Path) -> None:
    old, new = a_kek(), a_kek()
    sealed = seal_months(a_keyring_from_environment(tmp_path, old), 3)
    both = a_keyring_from_environment(tmp_path, f"{new}, {old}")
    assert [both.data.open(item, PLACE).decode() for item in sealed] == months(3)
    assert [is_changed for _, is_changed in both.store.rewrap()] == [True] * 3
    assert [is_changed for _, is_changed in both.store.rewrap()] == [False] * 3
    alone = a_keyring_from_environment(tmp_path, new)
    assert [alone.data.open(item, PLACE).decode() for item in sealed] == months(3)
    with pytest.raises(KeyUnavailable, match=r"which is not in HELIOGRAPH_KEY_ENCRYPTION_KEY. Put it back"):
        a_keyring_from_environment(tmp_path, old).data.open(sealed[0], PLACE)


def test_a_file_can_be_moved_to_the_environment_without_wrapping_anew(tmp_path: Path) -> None:
    sealed = seal_months(a_keyring(tmp_path), 1)
    (file,) = (tmp_path / "kek").glob("*.key")
    moved = json.loads(file.read_bytes())["key"]
    file.unlink()
    assert a_keyring_from_environment(tmp_path, moved).data.open(sealed[0], PLACE) == b"2027-01"


def test_rotation_moves_every_kind_of_key_and_revives_no_destroyed_one(tmp_path: Path) -> None:
    ring = a_keyring(tmp_path)
    sealed = seal_months(ring, 3)
    index, secret = ring.index.newest(CSEA, b"value"), ring.secret("cursor")
    ring.data.destroy(CSEA, months(1)[0])
    provider = ring.store.provider
    assert isinstance(provider, FileKeys)
    old, new = provider.ids()[0], provider.create()
    assert provider.ids() == [new, old]

    assert sum(is_changed for _, is_changed in ring.store.rewrap()) == 4

    assert wrapped_under(ring) == {new}
    provider.delete(old)
    fresh = a_keyring(tmp_path)
    assert [fresh.data.open(item, PLACE).decode() for item in sealed[1:]] == months(3)[1:]
    assert (fresh.index.newest(CSEA, b"value"), fresh.secret("cursor")) == (index, secret)
    with pytest.raises(KeyDestroyed):
        fresh.data.open(sealed[0], PLACE)


def rewrap(keys_dir: Path, progress: Any) -> None:
    for _ in a_keyring(keys_dir).store.rewrap():
        with progress:
            progress.value += 1


@pytest.mark.races
@pytest.mark.parametrize("kill_after", [1, 17, 60])
def test_a_rotation_killed_half_way_harms_nothing_and_goes_on(tmp_path: Path, kill_after: int) -> None:
    ring = a_keyring(tmp_path, remember_seconds=0.0)
    sealed = seal_months(ring, 120)
    provider = ring.store.provider
    assert isinstance(provider, FileKeys)
    old, new = provider.ids()[0], provider.create()
    context = get_context("spawn")
    progress = context.Value("i", 0)
    rotation = context.Process(target=rewrap, args=(tmp_path, progress))
    rotation.start()
    deadline = time.monotonic() + 60
    while progress.value < kill_after:
        assert time.monotonic() < deadline
    assert rotation.pid is not None
    os.kill(rotation.pid, signal.SIGKILL)
    rotation.join()

    assert rotation.exitcode == -signal.SIGKILL
    assert wrapped_under(ring) == {old, new}  # half-way indeed
    assert [ring.data.open(item, PLACE).decode() for item in sealed] == months(120)
    changed = sum(is_changed for _, is_changed in ring.store.rewrap())
    assert 0 < changed <= 120 - kill_after
    assert wrapped_under(ring) == {new}
    assert [ring.data.open(item, PLACE).decode() for item in sealed] == months(120)


@pytest.mark.races
def test_destroying_wins_over_a_rotation_that_runs(tmp_path: Path) -> None:
    ring = a_keyring(tmp_path, remember_seconds=0.0)
    sealed = seal_months(ring, 60)
    provider = ring.store.provider
    assert isinstance(provider, FileKeys)
    provider.create()
    context = get_context("spawn")
    progress = context.Value("i", 0)
    rotation = context.Process(target=rewrap, args=(tmp_path, progress))
    rotation.start()
    deadline = time.monotonic() + 60
    while progress.value == 0:
        assert time.monotonic() < deadline
    for at, month in enumerate(months(60)):
        while progress.value < at and rotation.is_alive():  # keep beside it: each key is re-wrapped as it is destroyed
            time.sleep(0.0005)
        ring.data.destroy(CSEA, month)
    rotation.join()

    assert rotation.exitcode == 0
    assert ring.data.periods(CSEA) == []
    assert not any(
        b"wrapped" in path.read_bytes() for path in tmp_path.rglob("*") if path.is_file() and path.name != "README"
    )
    for item in sealed:
        with pytest.raises(KeyDestroyed):
            ring.data.open(item, PLACE)


def test_production_does_not_start_with_an_empty_key_folder(tmp_path: Path) -> None:
    for kek in ("", a_kek()):
        with pytest.raises(
            KeyUnavailable, match=r"run `manage.py create_key_encryption_key`; otherwise mount or restore"
        ):
            provider_for(tmp_path / "keys", kek, is_production=True)
    assert not (tmp_path / "keys").exists()


def test_production_makes_no_key_encryption_key_by_itself(tmp_path: Path) -> None:
    folder = KeyFolder(tmp_path)
    folder.prepare()
    provider = provider_for(tmp_path, "", is_production=True)
    with pytest.raises(
        KeyUnavailable, match=r"There is no key-encryption key. Run `manage.py create_key_encryption_key`"
    ):
        Keyring(folder, provider).data.sealer(CSEA, "2027-01").seal(b"text", context=PLACE)
    assert ring_files(tmp_path) == {"README"}


def ring_files(keys_dir: Path) -> set[str]:
    return {path.relative_to(keys_dir).as_posix() for path in keys_dir.rglob("*") if path.is_file()}


@pytest.mark.parametrize("text", ["secret", "c2hvcnQ=", "é", ",", "A" * 43 + "=,", f"{'A' * 43}=;{'B' * 43}="])
def test_nonsense_in_the_environment_is_refused_without_repeating_it(text: str) -> None:
    with pytest.raises(ImproperlyConfigured, match="must be the base64 of 32 random bytes") as caught:
        EnvironmentKeys(text)
    assert text == "," or text not in str(caught.value)


def test_a_key_encryption_key_file_must_hold_what_its_name_says(tmp_path: Path) -> None:
    ring = a_keyring(tmp_path)
    seal_months(ring, 1)
    (file,) = (tmp_path / "kek").glob("*.key")
    file.write_text(json.dumps({"made_at": "2026-01-01", "key": a_kek()}))
    with pytest.raises(KeyUnavailable, match="does not hold the key that its name says"):
        seal_months(a_keyring(tmp_path), 1)
    file.write_text("{}")
    with pytest.raises(KeyUnavailable, match="is not a key-encryption key file"):
        seal_months(a_keyring(tmp_path), 1)


def test_the_id_of_a_key_tells_nothing_of_it() -> None:
    assert kek_id(bytes(32)) == kek_id(bytes(32))
    assert len(kek_id(bytes(32))) == 16
    assert kek_id(bytes(32)) != kek_id(bytes(31) + b"\1")
