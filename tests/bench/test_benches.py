"""Every bench at a tiny size on one hub, so that none of them rots: each ends by itself and prints what it promises."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.bench.__main__ import BENCHES

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.bench
def test_the_benches_end_by_themselves_and_print_their_figures() -> None:
    command = [sys.executable, "-m", "tests.bench", *BENCHES, "--size", "5", "--rounds", "1", "--endpoints", "21"]

    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=200, check=False)

    assert ended.returncode == 0, ended.stderr[-2000:]
    said = {each["bench"]: each for each in map(json.loads, ended.stdout.splitlines())}
    assert said.keys() == BENCHES.keys()
    for name in ("ingest", "feed", "fanout", "ledger"):
        assert min(said[name]["figure"], said[name]["ceiling"], said[name]["ratio"]) > 0
        assert len(said[name]["spread"]) == 2
    latency = said["latency"]
    assert 0 < latency["p50_ms"] <= latency["p99_ms"]
    assert 0 < latency["backfill_p50_ms"] <= latency["backfill_p99_ms"]
    assert said["fanout"]["posts"] >= 21
    assert 0 < said["ledger"]["merge_delay_p50_s"] <= said["ledger"]["merge_delay_p99_s"] <= 15
    isolation = said["isolation"]
    assert isolation["received"] == 2 * 5 * 20
    assert isolation["ratio"] > 0
    assert said["export"]["complete"]["verified_s"] > 0
    assert said["export"]["filtered"]["entries"] == 5
    desk = said["desk"]
    assert {"home", "case: list", "signal: published", "who received one signal", "leaf: list"} <= desk["pages"].keys()
    assert all(page["queries"] > 0 and page["p95_ms"] > 0 for page in desk["pages"].values())
