"""What stands in a key file: a wrapped key and its few open facts, or the memory of a key that was destroyed."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass, replace
from datetime import datetime

from hub.vault.envelope import KeyUnavailable
from hub.vault.folder import KeyFolder
from hub.vault.providers import KeyProvider, Wrapped

_VERSION = 1


@dataclass(frozen=True, slots=True)
class KeyFile:
    """One key as it lies in the folder.

    Names: `data/<scope>/<period>`, `index/<scope>/<number>`, `secret/<name>`, `signing/<number>`,
    `checkpoints/<number>`. `used_from` lets every process learn of a new index or signing key before any of them writes
    with it. `public` is the public half of a signing key (base64url). A destroyed key has no `wrapped` and a
    `destroyed_at`.
    """

    name: str
    made_at: datetime
    used_from: datetime
    wrapped: Wrapped | None
    public: str = ""
    destroyed_at: datetime | None = None

    def context(self) -> bytes:
        """The associated data of the wrapping: a wrapped key copied to another name does not open."""
        return _context(self.name, self.made_at, self.used_from, self.public)

    def destroyed(self, at: datetime) -> KeyFile:
        """What is left when the key has gone."""
        return replace(self, wrapped=None, destroyed_at=at)

    def encode(self) -> bytes:
        """The file's bytes: one JSON object that an operator can read."""
        document: dict[str, object] = {
            "v": _VERSION,
            "name": self.name,
            "made_at": self.made_at.isoformat(),
            "used_from": self.used_from.isoformat(),
        }
        if self.public:
            document["public"] = self.public
        if self.wrapped:
            document |= {"kek": self.wrapped.kek, "wrapped": base64.b64encode(self.wrapped.body).decode()}
        if self.destroyed_at:
            document["destroyed_at"] = self.destroyed_at.isoformat()
        return json.dumps(document, indent=1).encode() + b"\n"


def new_key_file(
    provider: KeyProvider, name: str, key: bytes, *, at: datetime, used_from: datetime, public: str = ""
) -> KeyFile:
    """Wrap a fresh key under the newest key-encryption key."""
    wrapped = provider.wrap(key, context=_context(name, at, used_from, public))
    return KeyFile(name, at, used_from, wrapped, public)


def read_key_file(folder: KeyFolder, name: str) -> KeyFile | None:
    """The key file of this name; None where there is none, KeyUnavailable where it cannot be understood."""
    content = folder.read(name)
    if content is None:
        return None
    try:
        document = json.loads(content)
        if document["v"] != _VERSION or document["name"] != name:
            raise ValueError
        wrapped = Wrapped(document["kek"], base64.b64decode(document["wrapped"])) if "wrapped" in document else None
        destroyed_at = datetime.fromisoformat(document["destroyed_at"]) if "destroyed_at" in document else None
        if (wrapped is None) == (destroyed_at is None):
            raise ValueError
        made_at, used_from = (datetime.fromisoformat(document[key]) for key in ("made_at", "used_from"))
        return KeyFile(name, made_at, used_from, wrapped, document.get("public", ""), destroyed_at)
    except (ValueError, KeyError, TypeError):
        raise KeyUnavailable(f"The key file {name} is damaged; restore it from a backup of the key folder.") from None


def _context(name: str, made_at: datetime, used_from: datetime, public: str) -> bytes:
    return "\0".join(("heliograph key file", name, made_at.isoformat(), used_from.isoformat(), public)).encode()
