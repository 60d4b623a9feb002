"""The demo's own home: chosen before any setting is read, emptied before each run, and never anybody else's."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

HUB_ID = "demo.heliograph.example"
_ROOT = Path(__file__).resolve().parents[2]
_MARK = "this-is-the-demo"
# Passwords are in use already when a home is emptied, the lock is held, and copies of programs are only expensive.
_KEPT = (_MARK, "secrets", "up.lock", "programs-", "valkey-server-")


def step_aside() -> None:
    """Point the settings at the demo's home, and away from every database, broker and key they may name.

    For manage.py, which calls it before Django reads the settings. Ends the process where the home cannot be made.
    """
    home = Path(os.environ.get("HELIOGRAPH_HOME") or _ROOT / "var").resolve() / "demo"
    try:
        home.mkdir(parents=True, exist_ok=True)
        if not any(home.iterdir()):
            (home / _MARK).touch()
    except OSError as error:
        sys.exit(f"{home} cannot be made ({error.strerror}): set HELIOGRAPH_HOME to a folder that you may write to.")
    for name in [name for name in os.environ if name.startswith("HELIOGRAPH_")]:
        del os.environ[name]
    os.environ |= {
        "HELIOGRAPH_HOME": str(home),
        "HELIOGRAPH_HUB_ID": HUB_ID,
        "HELIOGRAPH_EGRESS_ALLOWED_CIDRS": "127.0.0.0/8",  # the receiver's webhook address is on this machine
    }


def is_ours(home: Path) -> bool:
    """Whether this folder was made for the demo."""
    return (home / _MARK).is_file()


def clear(*folders: Path) -> None:
    """Empty these folders of an earlier run; for the holder of the home's lock, when its servers have stopped."""
    for folder in folders:
        for entry in folder.iterdir() if folder.is_dir() else ():
            if entry.name.startswith(_KEPT):
                continue
            if entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry)
            else:
                entry.unlink()
