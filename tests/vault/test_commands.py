"""What the person who runs the hub does with the vault, by the commands they type."""

from __future__ import annotations

import json
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from django.db import ProgrammingError, connections
from pytest_django import Settings

from hub.vault import hub_keys
from hub.vault.condition import troubles
from hub.vault.keyring import (
    KeyDestroyed,
    begin_index_rotation,
    blind_index,
    blind_indexes,
    destroy_period,
    keyring,
    list_periods,
    live_index_keys,
    open_sealed,
    retire_index_key,
    sealer,
    secret,
)
from tests.cluster import postgres
from tests.vault.canary import appearances
from tests.vault.keyrings import CSEA, a_kek


@pytest.fixture(autouse=True)
def keys_dir(tmp_path: Path, settings: Settings) -> Path:
    settings.KEYS_DIR = tmp_path / "keys"
    settings.KEY_ENCRYPTION_KEY = ""
    settings.IS_PRODUCTION = False
    return tmp_path / "keys"


def say(command: str, *arguments: str) -> str:
    out = StringIO()
    call_command(command, *arguments, stdout=out, stderr=out)
    return out.getvalue()


def recorded() -> list[tuple[str, dict[str, object]]]:
    """What the outbox holds, which empties it."""
    with connections["ledger"].cursor() as cursor:
        cursor.execute("DELETE FROM ledger_outbox RETURNING event")
        events = [json.loads(row[0]) for row in cursor.fetchall()]
    return [(event["action"], event["facts"]) for event in events]


def test_the_first_start_of_a_production_hub(keys_dir: Path, settings: Settings) -> None:
    settings.IS_PRODUCTION = True
    (trouble,) = troubles()
    assert "run `manage.py create_key_encryption_key`" in trouble
    assert "is ready; its key-encryption key is" in say("create_key_encryption_key")
    say("create_key_encryption_key")  # a second run makes no second key
    assert len(list((keys_dir / "kek").iterdir())) == 1
    assert troubles() == []
    sealed = sealer("hub", "always").seal(b"text", context=b"place")
    assert open_sealed(sealed, context=b"place") == b"text"


def test_the_first_start_with_a_key_in_the_environment(keys_dir: Path, settings: Settings) -> None:
    settings.IS_PRODUCTION = True
    settings.KEY_ENCRYPTION_KEY = a_kek()
    said = say("create_key_encryption_key")
    assert "comes from the environment" in said
    assert settings.KEY_ENCRYPTION_KEY not in said
    assert troubles() == []
    assert not (keys_dir / "kek").exists()
    with pytest.raises(CommandError, match="Put a new one there"):
        say("create_key_encryption_key", "--another")


@pytest.mark.usefixtures("committed_db")
def test_replacing_the_key_encryption_key_in_a_file(keys_dir: Path) -> None:
    recorded()
    sealed = sealer(CSEA, "2026-11").seal(b"text", context=b"place")
    kept = secret("cursor")
    (old,) = keyring().store.provider.ids()
    assert "To rotate, first make a new one" in say("rotate_key_encryption_key")
    say("create_key_encryption_key", "--another")
    new = keyring().store.provider.ids()[0]
    (trouble,) = troubles()
    assert "2 keys still need an older key-encryption key" in trouble

    said = say("rotate_key_encryption_key")

    assert f"2 of 2: secret/cursor\nEvery key is wrapped under {new}; 2 were changed now." in said
    assert f"Nothing needs {old} any more: --delete-old deletes it." in said
    assert f"Deleted {old}." in say("rotate_key_encryption_key", "--delete-old")
    assert [path.stem for path in (keys_dir / "kek").iterdir()] == [new]
    assert (open_sealed(sealed, context=b"place"), secret("cursor")) == (b"text", kept)
    assert recorded() == [("vault.key-rotated", {"use": "key-encryption", "key": new, "keys": 2})]
    assert troubles() == []


@pytest.mark.usefixtures("committed_db")
def test_replacing_the_key_encryption_key_in_the_environment(settings: Settings) -> None:
    old, new = a_kek(), a_kek()
    settings.KEY_ENCRYPTION_KEY = old
    sealed = sealer(CSEA, "2026-11").seal(b"text", context=b"place")
    settings.KEY_ENCRYPTION_KEY = new
    (trouble,) = troubles()
    assert "is not at hand" in trouble
    with pytest.raises(CommandError, match="Put it back"):
        say("rotate_key_encryption_key")
    settings.KEY_ENCRYPTION_KEY = f"{new},{old}"
    assert "take it out of HELIOGRAPH_KEY_ENCRYPTION_KEY" in say("rotate_key_encryption_key")
    settings.KEY_ENCRYPTION_KEY = new
    assert open_sealed(sealed, context=b"place") == b"text"


@pytest.mark.usefixtures("committed_db")
def test_a_month_is_destroyed_only_when_meant() -> None:
    recorded()
    sealed = sealer(CSEA, "2999-01").seal(b"text", context=b"place")
    with pytest.raises(CommandError, match=r"unreadable for ever. That month is not over: .* Add --yes to do it"):
        say("destroy_period", CSEA, "2999-01")
    with pytest.raises(CommandError, match="has no key for 2026-10"):
        say("destroy_period", CSEA, "2026-10", "--yes")
    with pytest.raises(CommandError, match="no scope and period"):
        say("destroy_period", "csea", "2026-10", "--yes")
    assert (open_sealed(sealed, context=b"place"), recorded()) == (b"text", [])

    assert "Destroyed 2999-01 of programme:csea." in say("destroy_period", CSEA, "2999-01", "--yes")

    with pytest.raises(KeyDestroyed):
        open_sealed(sealed, context=b"place")
    assert recorded() == [("vault.period-destroyed", {"scope": CSEA, "period": "2999-01"})]


@pytest.mark.usefixtures("committed_db")
def test_if_the_ledger_cannot_be_written_no_month_is_destroyed() -> None:
    sealed = sealer(CSEA, "2026-11").seal(b"text", context=b"place")
    database = connections["default"].settings_dict["NAME"]
    with postgres.bootstrap_connection(database) as owner:
        owner.execute("REVOKE INSERT ON ledger_outbox FROM heliograph_app")
        try:
            with pytest.raises(ProgrammingError, match="permission denied"):
                say("destroy_period", CSEA, "2026-11", "--yes")
        finally:
            owner.execute("GRANT INSERT ON ledger_outbox TO heliograph_app")
    assert open_sealed(sealed, context=b"place") == b"text"


@pytest.mark.usefixtures("committed_db")
def test_the_hubs_next_key_is_recorded() -> None:
    hub_keys.current()
    recorded()
    said = say("rotate_hub_key")
    kid = hub_keys.public_jwks()["keys"][0]["kid"]
    assert kid in said
    assert recorded() == [("hub-key.rotated", {"kid": kid})]
    assert hub_keys.current().kid != kid  # not yet


def test_show_keys_tells_names_and_ages_and_no_secret(keys_dir: Path) -> None:
    sealer(CSEA, "2026-10").seal(b"", context=b"")
    sealer(CSEA, "2026-11").seal(b"", context=b"")
    secret("cursor")
    hub_keys.current()
    blind_index(CSEA, b"value")
    destroy_period(CSEA, "2026-10")
    assert list_periods(CSEA) == ["2026-11"]
    keys_dir.chmod(0o755)

    said = say("show_keys")

    (kek,) = keyring().store.provider.ids()
    lines = [line.split() for line in said.splitlines()]
    assert lines[0] == ["USE", "SCOPE", "NAME", "DAYS", "STATE"]
    assert lines[1][:5] == ["data", CSEA, "2026-10", "0", "destroyed"]
    assert lines[2] == ["data", CSEA, "2026-11", "0", "wrapped", "under", kek]
    assert [line[0] for line in lines[3:6]] == ["index", "secret", "signing"]
    assert f"Other users of this machine may look into {keys_dir}: run `chmod 700 {keys_dir}`." in said
    for key in (secret("cursor"), hub_keys.current().private_key.private_bytes_raw()):
        assert appearances(key, said.encode()) == []


def test_an_index_key_is_rotated_from_outside() -> None:
    old = blind_index(CSEA, b"value")
    rotation = begin_index_rotation(CSEA)
    assert live_index_keys(CSEA) == [rotation.key_id, old.key_id]
    assert [index.key_id for index in blind_indexes(CSEA, b"value")] == [rotation.key_id, old.key_id]
    assert (rotation.may_retire_from - rotation.written_from).total_seconds() == 60
    with pytest.raises(ValueError, match="ask again then"):
        retire_index_key(CSEA, old.key_id)
