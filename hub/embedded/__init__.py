"""The floor: the PostgreSQL and Valkey that start when no URL is given; this file says where they live and listen."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from urllib.parse import quote

from hub import environment

ROLES = ("app", "migrator", "ledger")  # the logins; `heliograph_owner` owns the tables and cannot log in
DATABASE = "heliograph"
_LONGEST_SOCKET_FOLDER = 90  # a Unix socket's whole path ends at 107 bytes
_FOLDER_OF_ROOT = Path("/var/lib/heliograph")


class CannotStart(RuntimeError):
    """An embedded server cannot run here; the text is one sentence that says why and what to do."""


def is_open_to_all(folder: Path) -> bool:
    """Whether any user may walk down to `folder`: as root, PostgreSQL runs as somebody else and must get there."""
    existing = next(parent for parent in (folder, *folder.parents) if parent.exists())
    return all(parent.stat().st_mode & 0o001 for parent in (existing, *existing.parents))


def place(home: Path) -> Path:
    """The folder of the servers' data: `home`, or one under /var/lib for root with a home nobody else may enter."""
    if os.geteuid() == 0 and not is_open_to_all(home):
        return _FOLDER_OF_ROOT / _digest(home)
    return home


def run_folder(home: Path) -> Path:
    """The folder of the sockets: `run` beside the data, or a short path under /tmp where that is too long for one."""
    run = place(home) / "run"
    if len(os.fsencode(run)) > _LONGEST_SOCKET_FOLDER:
        return Path("/tmp") / f"heliograph-{os.geteuid()}-{_digest(home)}"  # noqa: S108  made 0700 and checked for its owner
    return run


def password_file(home: Path, role: str) -> Path:
    """Where the password of one database login is kept."""
    return home / "secrets" / f"postgres-{role}"


def password(home: Path, role: str) -> str:
    """The password of one database login, made on first use."""
    return environment.kept_secret(password_file(home, role))


def database_url(home: Path, role: str) -> str:
    """The URL of the embedded PostgreSQL for one login; it answers once the server has been started."""
    host = quote(str(run_folder(home)), safe="")
    return f"postgresql://heliograph_{role}:{password(home, role)}@{host}/{DATABASE}"


def broker_url(home: Path) -> str:
    """The URL of the embedded Valkey, as Celery spells it."""
    return f"redis+socket://{run_folder(home) / 'valkey.sock'}"


def redis_url(broker: str) -> str:
    """The same broker as redis-py spells it: `redis+socket:///path` becomes `unix:///path`."""
    return broker.replace("redis+socket://", "unix://", 1)


def _digest(home: Path) -> str:
    return hashlib.sha256(os.fsencode(home)).hexdigest()[:12]
