"""What an operator may know about the keys: which exist, how old they are, and what is wrong with them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from django.core.exceptions import ImproperlyConfigured

from hub.vault.envelope import VaultError
from hub.vault.key_store import KeyStore
from hub.vault.keyring import keyring


@dataclass(frozen=True, slots=True)
class KeyOverview:
    """One key without the key. `use` is the first word of its file's name; only `data` and `index` have a `scope`."""

    use: str
    scope: str
    name: str
    made_at: datetime
    destroyed_at: datetime | None
    kek: str


def overview(store: KeyStore) -> list[KeyOverview]:
    """Every key there is or was, in order."""
    rows = []
    for file in store.below(""):
        use, _, rest = file.name.partition("/")
        scope, _, name = rest.rpartition("/")
        kek = file.wrapped.kek if file.wrapped else ""
        rows.append(KeyOverview(use, scope, name, file.made_at, file.destroyed_at, kek))
    return rows


def troubles() -> list[str]:
    """What is wrong with the vault, a sentence each with what to do; empty when all is well."""
    try:
        store = keyring().store
        keks = store.provider.ids()
        rows = overview(store)
    except (VaultError, ImproperlyConfigured, OSError) as error:
        return [str(error)]
    missing = sorted({row.kek for row in rows if row.kek} - set(keks))
    sentences = [
        f"Some keys are wrapped under the key-encryption key {kek}, which is not at hand: "
        "what they sealed cannot be read. Put it back beside the newest one."
        for kek in missing
    ]
    sentences += [
        f"Other users of this machine may look into {folder}: run `chmod 700 {folder}`."
        for folder in (store.folder.root, store.folder.root / "kek")
        if folder.exists() and folder.stat().st_mode & 0o077
    ]
    return sentences + _unfinished_rotation(rows, keks)


def _unfinished_rotation(rows: list[KeyOverview], keks: list[str]) -> list[str]:
    old = sum(1 for row in rows if row.kek in keks[1:])
    if not old:
        return []
    return [f"{old} keys still need an older key-encryption key: run `manage.py rotate_key_encryption_key` to its end."]
