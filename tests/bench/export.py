"""An export of the whole ledger, and its check by the one file that stands in every bundle, in a process of its own.

The leaves are recorded as verbs record them, sequenced, signed and tiled by the hub that is running. The ceiling is a
bare script that reads the same entries and does nothing but hash them; the promise is 60 s and 500 MB for a million.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from django.db import transaction

from hub.ledger import checkpoints
from hub.ledger.export.making import Made, Order, make
from hub.ledger.export.own_log import own_log
from hub.ledger.export.query import Kind, Query
from hub.ledger.leaf import Json
from hub.ledger.record import Event, record_many
from tests.bench import rig

_AT_ONCE = 5_000
_START = datetime(2026, 11, 3, tzinfo=UTC)
_BARE = """
import hashlib, sys
with open(sys.argv[1], "rb") as entries:
    for line in entries:
        hashlib.sha256(b"\\0" + line[:-1]).digest()
"""


def run(hub: rig.Rig, *, size: int = 20_000) -> dict[str, object]:
    """Both kinds over `size` leaves, and what they cost."""
    before = checkpoints.latest()
    for start in range(0, size, _AT_ONCE):
        with transaction.atomic():
            record_many(list(_events(range(start, min(start + _AT_ONCE, size)))))
    hub.wait_for_ledger(seconds=600)
    wanted = (before.size if before else 0) + size
    rig.wait_until(lambda: checkpoints.at_least(wanted) is not None, seconds=600, what="a checkpoint")
    found: dict[str, object] = {"size": size}
    with tempfile.TemporaryDirectory(prefix="heliograph-export-") as folder:
        for kind in Kind:
            word = "complete" if kind is Kind.COMPLETE else "filtered"
            home = Path(folder) / word
            started = time.perf_counter()
            made = _make(home, Query(kind, programme="bench"))
            took = time.perf_counter() - started
            rig.say(f"{word}: made in {took:.1f} s, {made.bytes / 1e6:.0f} MB")
            out = home / "out"
            subprocess.run([sys.executable, "-m", "zipfile", "-e", str(made.archive), str(out)], check=True)
            seconds, megabytes = _measured([str(out / "verify.py"), str(out)])
            bare, _ = _measured(["-c", _BARE, str(out / "entries.jsonl")])
            entries = made.counts["entries"]
            rig.say(f"{word}: {entries:,} verified in {seconds:.1f} s and {megabytes:.0f} MB; bare {bare:.1f} s")
            found[word] = {
                "entries": entries,
                "made_s": round(took, 1),
                "archive_mb": round(made.bytes / 1e6, 1),
                "verified_s": round(seconds, 2),
                "verified_peak_mb": round(megabytes),
            }
            if kind is Kind.COMPLETE:
                found |= {
                    "figure": round(entries / seconds),
                    "ceiling": round(entries / bare),
                    "ratio": round(bare / seconds, 3),
                }
    return found


def _make(home: Path, query: Query) -> Made:
    return make(home, Order(query, {}, []), own_log(), beat=lambda step, done, total: None)


def _measured(words: list[str]) -> tuple[float, float]:
    """Seconds, and the most megabytes that were resident, of a Python process that must succeed."""
    started = time.perf_counter()
    process = subprocess.Popen([sys.executable, "-I", *words], stdout=subprocess.PIPE)
    assert process.stdout is not None
    said = process.stdout.read()
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise RuntimeError(said.decode()[:2000])
    return time.perf_counter() - started, used.ru_maxrss / 1024


def _events(numbers: range) -> Iterator[Event]:
    """Verdicts on as many signals: what most leaves of a busy hub are."""
    for number in numbers:
        partner, signal = f"partner:company-{number % 40}", f"signal:0191b7a4-0000-4000-8000-{number:012x}"
        facts: dict[str, Json] = {
            "submission": f"0191b7a5-0000-4000-8000-{number // 1000:012x}",
            "line": number % 1000 + 1,
        }
        at = _START + timedelta(milliseconds=number)
        subjects = (partner, signal, "programme:bench")
        facts |= {"typ": "signal+jws", "kid": "k" * 43}
        yield Event("statement.accepted", partner, at, subjects, facts)
