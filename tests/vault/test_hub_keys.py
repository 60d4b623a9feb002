"""The hub signs with one key, publishes it before it signs, and keeps it published while its signatures matter."""

from __future__ import annotations

import base64
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from joserfc.jwk import OKPKey

from hub.vault.hub_keys import OVERLAP, SIGNING_OVERLAP, HubKeys
from hub.vault.key_files import new_key_file
from tests.vault.keyrings import a_keyring


def hub_keys(keys_dir: Path, *, remember_seconds: float = 30.0) -> HubKeys:
    return HubKeys(a_keyring(keys_dir).store, remember_seconds=remember_seconds)


def test_the_current_key_is_in_the_jwks_under_its_thumbprint(tmp_path: Path) -> None:
    key = hub_keys(tmp_path).current()
    (jwk,) = hub_keys(tmp_path).public_jwks()["keys"]
    assert jwk == {"kty": "OKP", "crv": "Ed25519", "x": key.x, "kid": key.kid, "use": "sig"}
    imported = OKPKey.import_key(dict(jwk))
    assert imported.thumbprint() == key.kid
    public = key.private_key.public_key()
    assert public.public_bytes_raw() == base64.urlsafe_b64decode(key.x + "=")
    public.verify(key.sign(b"message"), b"message")


def test_a_new_key_is_published_before_it_signs_and_the_old_one_stays(tmp_path: Path) -> None:
    here, there = hub_keys(tmp_path, remember_seconds=0.2), hub_keys(tmp_path, remember_seconds=0.2)
    old = here.current()
    there.public_jwks()
    kid = here.rotate()
    assert here.rotate() == kid  # twice makes one
    assert here.current().kid == old.kid
    deadline = time.monotonic() + 5
    while here.current().kid == old.kid:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert here.current().kid == kid
    assert [key["kid"] for key in there.public_jwks()["keys"]] == [kid, old.kid]


def test_for_a_while_the_replaced_key_signs_too(tmp_path: Path) -> None:
    keys = hub_keys(tmp_path, remember_seconds=0.0)
    assert [key.kid for key in keys.signers()] == [keys.current().kid]
    old, new = keys.current().kid, keys.rotate()
    assert [key.kid for key in keys.signers()] == [new, old]
    keys.signers()[1].private_key.public_key().verify(keys.signers()[1].sign(b"message"), b"message")
    newest = keys.store.below("signing")[-1]
    past = datetime.now(UTC) - SIGNING_OVERLAP - timedelta(minutes=1)
    aged = new_key_file(keys.store.provider, newest.name, bytes(32), at=past, used_from=past, public=newest.public)
    (tmp_path / f"{newest.name}.key").write_bytes(aged.encode())
    assert [key.kid for key in keys.signers()] == [new]


def test_a_replaced_key_loses_its_private_half_and_leaves_the_jwks_in_the_end(tmp_path: Path) -> None:
    keys = hub_keys(tmp_path, remember_seconds=0.0)
    kids = [keys.current().kid, keys.rotate(), keys.rotate()]
    assert [key["kid"] for key in keys.public_jwks()["keys"]] == kids[::-1]
    first, second, third = keys.store.below("signing")
    assert [file.destroyed_at is None for file in (first, second, third)] == [False, True, True]

    long_ago = datetime.now(UTC) - OVERLAP - timedelta(minutes=1)
    for file in (second, third):
        aged = new_key_file(
            keys.store.provider, file.name, bytes(32), at=long_ago, used_from=long_ago, public=file.public
        )
        (tmp_path / f"{file.name}.key").write_bytes(aged.encode())
    assert [key["kid"] for key in keys.public_jwks()["keys"]] == [kids[2]]
