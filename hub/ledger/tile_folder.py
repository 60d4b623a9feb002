"""A folder as Django's storage: a file is there whole, and on the disk for good, or it is not there."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from django.core.files.base import ContentFile, File
from django.core.files.storage import Storage
from django.utils.deconstruct import deconstructible

from hub.vault.folder import sync_folder

_LEFTOVER = ".part"


@deconstructible
class TileFolder(Storage):
    """Files below `location`. Django's own FileSystemStorage writes in place and syncs nothing."""

    def __init__(self, location: str) -> None:
        self.root = Path(location)

    def exists(self, name: str) -> bool:
        """Whether there is such a file."""
        return self.path_of(name).is_file()

    def delete(self, name: str) -> None:
        """Remove the file; nothing happens where there is none."""
        self.path_of(name).unlink(missing_ok=True)

    def listdir(self, path: str) -> tuple[list[str], list[str]]:
        """The folders and the files in one folder; both empty where there is none. Unfinished files are not told."""
        folder = self.path_of(path)
        if not folder.is_dir():
            return [], []
        entries = sorted(entry for entry in folder.iterdir() if not entry.name.endswith(_LEFTOVER))
        return [each.name for each in entries if each.is_dir()], [each.name for each in entries if each.is_file()]

    def size(self, name: str) -> int:
        """Bytes."""
        return self.path_of(name).stat().st_size

    def path_of(self, name: str) -> Path:
        """Where a name lies; the names are the log's own, never a caller's."""
        return self.root / name

    def get_available_name(self, name: str, max_length: int | None = None) -> str:
        """The name itself: what is written twice is the same file."""
        del max_length
        return name

    def _open(self, name: str, mode: str = "rb") -> File[bytes]:
        del mode
        return ContentFile(self.path_of(name).read_bytes(), name=name)

    def _save(self, name: str, content: File[bytes]) -> str:
        path = self.path_of(name)
        self._make(path.parent)
        draft = path.with_name(f"{path.name}.{secrets.token_hex(4)}{_LEFTOVER}")
        try:
            with draft.open("wb") as file:
                file.writelines(content.chunks())
                file.flush()
                os.fsync(file.fileno())
            draft.replace(path)
        except BaseException:
            draft.unlink(missing_ok=True)
            raise
        sync_folder(path.parent)
        return name

    def _make(self, folder: Path) -> None:
        """The folder, and the folders above it up to the root, each of them on the disk."""
        if folder.is_dir():
            return
        if folder != self.root:
            self._make(folder.parent)
        folder.mkdir(parents=True, exist_ok=True)
        sync_folder(folder.parent)
