"""Measure a promise: `python -m tests.bench NAME [--size N] [--rounds R]`; the last line is one JSON object.

A run starts a whole hub of its own (embedded PostgreSQL with durable settings, Valkey, web server, workers,
sequencer), measures it and its ceiling in the same run, and ends by itself. Several names share one hub, which is for
trying that they work; figures come from one at a time. docs/performance.md reads them.
"""

from __future__ import annotations

import argparse
import importlib
import inspect
import json
import os
import shutil
import signal
import sys
import tempfile
from pathlib import Path

BENCHES = {
    "ingest": "sustained verified ingest through HTTP, against verify + seal + COPY of the same rows",
    "feed": "a full walk of a feed as NDJSON through HTTP, against keyset read + decrypt + render of the same rows",
    "latency": "submit to webhook received, one signal at a time, idle and while another partner back-fills",
    "fanout": "a feed to many endpoints, all received and counted, against a bare client posting ready-made bodies",
    "ledger": "transactions of 32 clients with an event for the ledger in each, against the same without; merge delay",
    "isolation": "submit to received at many endpoints, with one bad receiver among them and without",
    "export": "an export of the ledger, made and then verified offline, against bare hashing of its entries",
    "desk": "every page of the admin with so many signals, and a hundredth as many open cases: p95 and queries",
}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__.partition("\n")[0])
    parser.add_argument(
        "names",
        nargs="+",
        choices=BENCHES,
        metavar="NAME",
        help="; ".join(f"{name}: {what}" for name, what in BENCHES.items()),
    )
    parser.add_argument("--size", type=int, help="how much of it (default: what ends in under 50 s)")
    parser.add_argument("--rounds", type=int, help="how often, hub and ceiling in turn; the median ratio is quoted")
    parser.add_argument("--endpoints", type=int, help="how many webhooks are delivered to (fanout, isolation)")
    parser.add_argument("--batch", type=int, help="signals in one POST (fanout)")
    asked = parser.parse_args()
    home = Path(tempfile.mkdtemp(prefix="heliograph-bench-"))
    home.chmod(0o711)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that a time limit, too, leaves nothing behind
    try:
        _set_environment(home)
        import django

        django.setup()
        from tests.bench import rig

        given = {name: value for name, value in vars(asked).items() if name != "names" and value is not None}
        with rig.running_hub() as hub:
            for name in asked.names:
                run = importlib.import_module(f"tests.bench.{name}").run
                wanted = {each: value for each, value in given.items() if each in inspect.signature(run).parameters}
                print(json.dumps({"bench": name, **run(hub, **wanted)}), flush=True)
    finally:
        shutil.rmtree(home, ignore_errors=True)


def _set_environment(home: Path) -> None:
    """A hub as it comes, but in a home of its own; nothing of the caller's deployment leaks in."""
    for name in [name for name in os.environ if name.startswith("HELIOGRAPH_")]:
        del os.environ[name]
    (home / "static").mkdir()  # WhiteNoise warns where it is missing
    os.environ |= {
        "DJANGO_SETTINGS_MODULE": "hub.settings",
        "HELIOGRAPH_HOME": str(home),
        "HELIOGRAPH_EGRESS_ALLOWED_CIDRS": "127.0.0.0/8",
        "HELIOGRAPH_LOG_FORMAT": "json",
    }
    os.chdir(Path(__file__).resolve().parents[2])
    sys.path.insert(0, os.getcwd())


if __name__ == "__main__":
    main()
