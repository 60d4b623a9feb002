"""The floor: the PostgreSQL and Valkey that start when no URL is given; this file says where they listen."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from urllib.parse import quote

ROLES = ("app", "migrator", "ledger")  # the logins; `heliograph_owner` owns the tables and cannot log in
DATABASE = "heliograph"
_LONGEST_SOCKET_FOLDER = 80  # a Unix socket's whole path ends at 107 bytes


def is_open_to_all(folder: Path) -> bool:
    """Whether any user may walk down to `folder`: as root, PostgreSQL runs as somebody else and must get there."""
    existing = next(parent for parent in (folder, *folder.parents) if parent.exists())
    return all(parent.stat().st_mode & 0o001 for parent in (existing, *existing.parents))


def place(home: Path) -> Path:
    """The folder that holds the servers' data and sockets: `home`, or one of its own where PostgreSQL could not reach `home`."""
    unreachable = os.geteuid() == 0 and not is_open_to_all(home)
    if unreachable or len(str(home / "run")) > _LONGEST_SOCKET_FOLDER:
        digest = hashlib.sha256(str(home).encode()).hexdigest()[:12]
        return Path("/var/tmp") / f"heliograph-{os.geteuid()}-{digest}"  # noqa: S108  created 0711 and checked for its owner
    return home


def password_file(home: Path, role: str) -> Path:
    """Where the password of one database login is kept."""
    return home / "secrets" / f"postgres-{role}"


def database_url(home: Path, role: str) -> str:
    """The URL of the embedded PostgreSQL for one login; it works once the server has been started."""
    file = password_file(home, role)
    password = file.read_text(encoding="ascii") if file.exists() else ""
    host = quote(str(place(home) / "run"), safe="")
    return f"postgresql://heliograph_{role}:{password}@{host}/{DATABASE}"


def broker_url(home: Path) -> str:
    """The URL of the embedded Valkey."""
    return f"redis+socket://{place(home) / 'run' / 'valkey.sock'}"
