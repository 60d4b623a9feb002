"""Start a PostgreSQL and a Valkey for the test run, before Django reads its settings."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from pathlib import Path

_home = Path(tempfile.mkdtemp(prefix="heliograph-test-"))
_home.chmod(0o711)
(_home / "static").mkdir()  # WhiteNoise warns where it is missing
os.environ |= {
    "HELIOGRAPH_HOME": str(_home),
    "HELIOGRAPH_DATABASE_POOL": "no",
    "HELIOGRAPH_ENV": "development",
    "HELIOGRAPH_HUB_ID": "hub.test",
    "HELIOGRAPH_PUBLIC_URL": "http://testserver",
    "HELIOGRAPH_ALLOWED_HOSTS": "testserver,localhost,127.0.0.1",
    "HELIOGRAPH_EGRESS_ALLOWED_CIDRS": "127.0.0.0/8,::1/128",
}
for engine in ("DATABASE", "OWNER_DATABASE", "LEDGER_DATABASE", "BROKER"):
    os.environ.pop(f"HELIOGRAPH_{engine}_URL", None)

from hub.embedded.postgres import Postgres  # noqa: E402  the environment above must stand first
from hub.embedded.valkey import Valkey  # noqa: E402

postgres = Postgres(_home, durable=False)
valkey = Valkey(_home)


def _stop() -> None:
    valkey.stop()
    postgres.stop(immediate=True)
    shutil.rmtree(_home, ignore_errors=True)


atexit.register(_stop)
postgres.start()
valkey.start()
