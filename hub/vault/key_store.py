"""Keys by name, wrapped by the provider and kept in the folder: made once, unwrapped, wrapped anew, destroyed."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from hub.vault.envelope import KeyDestroyed, KeyUnavailable
from hub.vault.folder import KeyFolder
from hub.vault.key_files import KeyFile, new_key_file, read_key_file
from hub.vault.providers import KeyProvider

_KEY_BYTES = 32


class KeyStore:
    """One key folder under one provider. Makes no decision about what a key is for."""

    def __init__(self, folder: KeyFolder, provider: KeyProvider) -> None:
        self.folder = folder
        self.provider = provider

    def find(self, name: str) -> KeyFile | None:
        """The key file of this name, a destroyed one included; None where there never was one."""
        return read_key_file(self.folder, name)

    def find_or_make(self, name: str, *, used_after: timedelta = timedelta()) -> KeyFile:
        """The key file of this name; where there is none, random bytes become its key. All makers get the same."""
        return self.find(name) or self.make(name, secrets.token_bytes(_KEY_BYTES), used_after=used_after)

    def make(self, name: str, key: bytes, *, used_after: timedelta = timedelta(), public: str = "") -> KeyFile:
        """Keep this key under the name, unless the name has one; returns the one that stands, on the disk for sure."""
        at = datetime.now(UTC)
        fresh = new_key_file(self.provider, name, key, at=at, used_from=at + used_after, public=public)
        self.folder.prepare()
        self.folder.add(name, fresh.encode())
        standing = self.find(name)
        if standing is None:
            raise KeyUnavailable(f"The key file {name} vanished while it was made.")
        return standing

    def below(self, prefix: str) -> list[KeyFile]:
        """Every key file below a prefix such as `index/hub`, in the order of the names."""
        found = (self.find(name) for name in self.folder.names(prefix))
        return [file for file in found if file is not None]

    def unwrap(self, file: KeyFile) -> bytes:
        """The key itself; KeyUnavailable when its key-encryption key is not at hand or the file was altered."""
        if file.wrapped is None:
            raise KeyDestroyed(f"The key {file.name} was destroyed on {file.destroyed_at:%Y-%m-%d}.")
        return self.provider.unwrap(file.wrapped, context=file.context())

    def destroy(self, name: str) -> bool:
        """Put a tombstone in the key's place; returns whether there was a key to destroy."""
        with self.folder.lock():
            file = self.find(name)
            if file is None or file.destroyed_at is not None:
                return False
            self.folder.replace(name, file.destroyed(datetime.now(UTC)).encode())
            return True

    def rewrap(self) -> Iterator[tuple[str, bool]]:
        """Wrap every key anew under the newest key-encryption key; yields (name, whether it was changed).

        Each key is a step of its own that is done or not done, so a killed run is resumed by running it again.
        """
        newest = self.provider.ids()[0]
        for name in self.folder.names():
            with self.folder.lock():
                file = self.find(name)
                is_old = file is not None and file.wrapped is not None and file.wrapped.kek != newest
                if file is not None and is_old:
                    wrapped = self.provider.wrap(self.unwrap(file), context=file.context())
                    self.folder.replace(name, replace(file, wrapped=wrapped).encode())
            yield name, is_old
