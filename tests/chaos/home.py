"""Choose a home for a hub of our own and forget every setting of the caller's, before Django reads any."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import django

_OURS = ("HELIOGRAPH_CHAOS_SEED", "HELIOGRAPH_CHAOS_FAULTS")


@contextmanager
def own_home(*, keep_log: bool) -> Iterator[Path]:
    """A folder for this run, removed afterwards; its `hub.log` is kept beside it on wish, and when the block raises."""
    folder = Path(tempfile.mkdtemp(prefix="heliograph-chaos-"))
    folder.chmod(0o711)  # as root, PostgreSQL runs as somebody else and must get in
    for name in [name for name in os.environ if name.startswith("HELIOGRAPH_") and name not in _OURS]:
        del os.environ[name]
    os.environ |= {
        "HELIOGRAPH_HOME": str(folder),
        "HELIOGRAPH_HUB_ID": "hub.chaos",
        "HELIOGRAPH_EGRESS_ALLOWED_CIDRS": "127.0.0.0/8",  # the receivers are on this machine
        "HELIOGRAPH_LOG_FORMAT": "json",
        "DJANGO_SETTINGS_MODULE": "hub.settings",
    }
    django.setup()
    went_well = False
    try:
        yield folder
        went_well = True
    finally:
        if (folder / "hub.log").exists() and (keep_log or not went_well):
            kept = folder.with_name(f"{folder.name}.log")
            shutil.copyfile(folder / "hub.log", kept)
            print(f"The hub's log is kept as {kept}.")
        shutil.rmtree(folder, ignore_errors=True)
