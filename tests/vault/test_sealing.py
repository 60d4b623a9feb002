"""What was sealed opens unaltered, in its place, while its month lives; in every other case the vault says no."""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from hub.vault.envelope import CannotOpen, KeyDestroyed, KeyUnavailable, VaultError
from hub.vault.keyring import Keyring, month_of
from tests.vault.keyrings import CSEA, MONTH, a_keyring

PLACE = b"signals.statement.jws:41"


@pytest.fixture(scope="module")
def ring(tmp_path_factory: pytest.TempPathFactory) -> Keyring:
    return a_keyring(tmp_path_factory.mktemp("vault") / "keys")


@given(plaintext=st.binary(max_size=2000), place=st.binary(max_size=60), scope=st.sampled_from(["hub", CSEA]))
@hypothesis_settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_what_was_sealed_opens_unaltered(ring: Keyring, plaintext: bytes, place: bytes, scope: str) -> None:
    sealed = ring.data.sealer(scope, MONTH).seal(plaintext, context=place)
    assert ring.data.open(sealed, place) == plaintext
    assert len(plaintext) < 8 or plaintext not in sealed


def test_the_same_text_never_looks_the_same(ring: Keyring) -> None:
    sealer = ring.data.sealer(CSEA, MONTH)
    assert len({sealer.seal(b"one text", context=PLACE) for _ in range(1000)}) == 1000


def test_every_altered_bit_and_every_cut_is_refused(ring: Keyring) -> None:
    sealed = ring.data.sealer(CSEA, MONTH).seal(b"somebody@acme.example", context=PLACE)
    for at in range(len(sealed)):
        for bit in range(8):
            altered = sealed[:at] + bytes([sealed[at] ^ 1 << bit]) + sealed[at + 1 :]
            with pytest.raises(CannotOpen):
                ring.data.open(altered, PLACE)
        with pytest.raises(CannotOpen):
            ring.data.open(sealed[:at], PLACE)
    with pytest.raises(CannotOpen):
        ring.data.open(sealed + b"\0", PLACE)


@given(st.binary(max_size=300))
@hypothesis_settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_bytes_that_nobody_sealed_are_refused(ring: Keyring, junk: bytes) -> None:
    with pytest.raises(CannotOpen):
        ring.data.open(junk, PLACE)


def test_a_key_id_cannot_lead_out_of_the_key_folder(ring: Keyring) -> None:
    for key_id in (b"../../etc/passwd", b"hub/../hub/always", b"hub/always/../always", b"", b"programme:\xff/2026-11"):
        with pytest.raises(CannotOpen, match="name no key"):
            ring.data.open(bytes((1, len(key_id))) + key_id + bytes(40), PLACE)


def test_a_row_does_not_open_in_another_rows_place(ring: Keyring) -> None:
    sealer = ring.data.sealer(CSEA, MONTH)
    first = sealer.seal(b"first", context=b"signals.statement.jws:1")
    with pytest.raises(CannotOpen, match="altered, or belong to another place"):
        ring.data.open(first, b"signals.statement.jws:2")


def test_a_row_does_not_open_as_another_months(ring: Keyring) -> None:
    november = ring.data.sealer(CSEA, "2026-11").seal(b"first", context=PLACE)
    ring.data.sealer(CSEA, "2026-12").seal(b"makes the key", context=PLACE)
    with pytest.raises(CannotOpen):
        ring.data.open(november.replace(b"2026-11", b"2026-12"), PLACE)


def test_another_hubs_keys_do_not_open_it(ring: Keyring, tmp_path: Path) -> None:
    sealed = ring.data.sealer(CSEA, MONTH).seal(b"ours", context=PLACE)
    stranger = a_keyring(tmp_path)
    with pytest.raises(KeyUnavailable, match="not in the key folder"):
        stranger.data.open(sealed, PLACE)
    stranger.data.sealer(CSEA, MONTH).seal(b"theirs", context=PLACE)
    with pytest.raises(CannotOpen):
        stranger.data.open(sealed, PLACE)


@pytest.mark.parametrize("scope", ["", "Hub", "programme:", "programme:a/b", "programme:../x", "hub\n", "programme:ä"])
def test_nonsense_scopes_are_refused(ring: Keyring, scope: str) -> None:
    with pytest.raises(ValueError, match="no scope and period"):
        ring.data.sealer(scope, MONTH)
    with pytest.raises(ValueError, match="no scope and period"):
        ring.data.periods(scope)
    with pytest.raises(ValueError, match="no scope"):
        ring.index.newest(scope, b"value")


@pytest.mark.parametrize(
    "period", ["", "2026-13", "2026-1", "26-01", "hold-", "hold-A", "never", "2026-11\n", "٢٠٢٦-11"]
)
def test_nonsense_periods_are_refused(ring: Keyring, period: str) -> None:
    with pytest.raises(ValueError, match="no scope and period"):
        ring.data.sealer(CSEA, period)


def test_a_destroyed_month_opens_no_more_and_never_gets_a_second_key(tmp_path: Path) -> None:
    ring = a_keyring(tmp_path)
    november, december = ring.data.sealer(CSEA, "2026-11"), ring.data.sealer(CSEA, "2026-12")
    gone, kept = november.seal(b"gone", context=PLACE), december.seal(b"kept", context=PLACE)
    assert ring.data.periods(CSEA) == ["2026-11", "2026-12"]

    assert ring.data.destroy(CSEA, "2026-11") is True

    for other in (ring, a_keyring(tmp_path)):
        with pytest.raises(KeyDestroyed, match=r"programme:csea/2026-11 was destroyed on \d{4}-"):
            other.data.open(gone, PLACE)
        with pytest.raises(KeyDestroyed):
            other.data.sealer(CSEA, "2026-11").seal(b"late", context=PLACE)
        assert other.data.periods(CSEA) == ["2026-12"]
        assert other.data.open(kept, PLACE) == b"kept"
    assert ring.data.destroy(CSEA, "2026-11") is False
    assert ring.data.destroy(CSEA, "2027-01") is False


def test_one_programmes_month_is_not_anothers(tmp_path: Path) -> None:
    ring = a_keyring(tmp_path)
    kept = ring.data.sealer("programme:ncii", MONTH).seal(b"kept", context=PLACE)
    ring.data.sealer(CSEA, MONTH).seal(b"gone", context=PLACE)
    ring.data.destroy(CSEA, MONTH)
    assert ring.data.open(kept, PLACE) == b"kept"


def test_a_hold_of_its_own_can_be_destroyed_but_what_is_kept_always_cannot(tmp_path: Path) -> None:
    ring = a_keyring(tmp_path)
    for period in ("always", "hold", "hold-case-7"):
        ring.data.sealer(CSEA, period).seal(b"", context=PLACE)
    assert ring.data.destroy(CSEA, "hold-case-7") is True
    with pytest.raises(ValueError, match="no end"):
        ring.data.destroy(CSEA, "always")
    assert ring.data.periods(CSEA) == ["always", "hold"]


def test_no_copy_of_a_destroyed_key_stays_in_the_folder(tmp_path: Path) -> None:
    ring = a_keyring(tmp_path)
    ring.data.sealer(CSEA, MONTH).seal(b"", context=PLACE)
    path = tmp_path / "data" / "programme.csea" / "2026-11.key"
    wrapped = path.read_bytes()
    (tmp_path / "tmp" / "data~programme.csea~2026-11.dead").hardlink_to(path)  # a maker died between link and unlink
    (tmp_path / "tmp" / "data~programme.csea~2026-11.rewrap").write_bytes(wrapped)  # a rotation died before its rename

    ring.data.destroy(CSEA, MONTH)

    assert list((tmp_path / "tmp").iterdir()) == []
    assert b'"wrapped"' not in path.read_bytes()


def test_the_old_bytes_are_overwritten_on_the_disk(tmp_path: Path) -> None:
    ring = a_keyring(tmp_path)
    ring.data.sealer(CSEA, MONTH).seal(b"", context=PLACE)
    path = tmp_path / "data" / "programme.csea" / "2026-11.key"
    wrapped = path.read_bytes()
    with path.open("rb") as still_open:
        ring.data.destroy(CSEA, MONTH)
        left = still_open.read()
    assert len(left) == len(wrapped)
    assert b"wrapped" not in left


def test_another_process_forgets_a_destroyed_month_in_time(tmp_path: Path) -> None:
    here, there = a_keyring(tmp_path), a_keyring(tmp_path, remember_seconds=0.3)
    sealed = here.data.sealer(CSEA, MONTH).seal(b"gone", context=PLACE)
    assert there.data.open(sealed, PLACE) == b"gone"
    here.data.destroy(CSEA, MONTH)
    with pytest.raises(KeyDestroyed):
        here.data.open(sealed, PLACE)
    time.sleep(0.35)
    with pytest.raises(KeyDestroyed):
        there.data.open(sealed, PLACE)


def test_no_thread_brings_back_what_was_destroyed(tmp_path: Path) -> None:
    ring = a_keyring(tmp_path, remember_seconds=0.001)  # so that every call reads the folder
    sealed = ring.data.sealer(CSEA, MONTH).seal(b"gone", context=PLACE)
    destroyed = threading.Event()
    wrong: list[Exception] = []

    def read() -> None:
        while True:
            was_destroyed = destroyed.is_set()
            try:
                ring.data.open(sealed, PLACE)
            except KeyDestroyed:
                if was_destroyed:
                    return
            except VaultError as error:
                wrong.append(error)
                return
            else:
                if was_destroyed:
                    wrong.append(AssertionError("opened after it was destroyed"))
                    return

    readers = [threading.Thread(target=read) for _ in range(8)]
    for reader in readers:
        reader.start()
    ring.data.destroy(CSEA, MONTH)
    destroyed.set()
    for reader in readers:
        reader.join(10)
    assert wrong == []


def test_an_altered_key_file_is_an_operators_matter_and_says_so(tmp_path: Path) -> None:
    sealed = a_keyring(tmp_path).data.sealer(CSEA, MONTH).seal(b"text", context=PLACE)
    a_keyring(tmp_path).data.sealer(CSEA, "2026-12").seal(b"text", context=PLACE)
    path = tmp_path / "data" / "programme.csea" / "2026-11.key"
    good = path.read_bytes()
    other = (tmp_path / "data" / "programme.csea" / "2026-12.key").read_bytes()
    wrapped = good.split(b'"wrapped": "')[1][:60]
    altered = {
        b"": "damaged",
        b"{}": "damaged",
        good.replace(b'"v": 1', b'"v": 2'): "damaged",
        other: "damaged",
        other.replace(b"2026-12", b"2026-11"): "altered",
        good.replace(wrapped, wrapped[::-1]): "altered",
        good.replace(b'"made_at": "2', b'"made_at": "3'): "altered",
    }
    for content, complaint in altered.items():
        path.write_bytes(content)
        with pytest.raises(KeyUnavailable, match=complaint):
            a_keyring(tmp_path).data.open(sealed, PLACE)
    path.write_bytes(good)
    assert a_keyring(tmp_path).data.open(sealed, PLACE) == b"text"


def test_the_files_are_private(tmp_path: Path) -> None:
    ring = a_keyring(tmp_path / "keys")
    ring.data.sealer(CSEA, MONTH).seal(b"", context=PLACE)
    ring.index.newest(CSEA, b"value")
    ring.secret("cursor")
    for path in (tmp_path / "keys").rglob("*"):
        assert path.stat().st_mode & 0o777 == (0o700 if path.is_dir() else 0o600), path
    assert (tmp_path / "keys").stat().st_mode & 0o777 == 0o700


def test_a_secret_is_stable_and_its_own(tmp_path: Path) -> None:
    ring = a_keyring(tmp_path)
    assert ring.secret("cursor") == a_keyring(tmp_path).secret("cursor")
    assert ring.secret("cursor") != ring.secret("webhook-id")
    assert len(ring.secret("cursor")) == 32
    with pytest.raises(ValueError, match="no name for a secret"):
        ring.secret("../kek")


def test_months_are_utc() -> None:
    assert month_of(datetime(2026, 11, 30, 23, 30, tzinfo=UTC)) == "2026-11"
    assert month_of(datetime(2026, 11, 30, 23, 30, tzinfo=timezone(timedelta(hours=-1)))) == "2026-12"
    with pytest.raises(ValueError, match="time zone"):
        month_of(datetime(2026, 11, 30))  # noqa: DTZ001  that is the mistake
