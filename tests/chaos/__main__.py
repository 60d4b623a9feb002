"""`python -m tests.chaos`: strike a hub of our own with faults, or play one named scenario; see `--help`."""

from __future__ import annotations

import argparse
import os
import secrets
import sys
import time

from tests.chaos.home import own_home
from tests.chaos.names import SCENARIOS


def main() -> int:
    """Run it; 0 when every promise held."""
    options = _options()
    seed = options.seed or secrets.token_hex(4)
    print(f"HELIOGRAPH_CHAOS_SEED={seed}", flush=True)
    began = time.monotonic()
    with own_home(keep_log=options.keep_log) as folder:
        from tests.chaos import campaign, scenarios

        if options.scenario:
            print(scenarios.play(options.scenario, folder))
        else:
            report = campaign.run(folder, seed=seed, count=options.faults, minutes=options.minutes, only=options.only)
            print(f"{report.struck} faults, {report.lines} statements in {report.seconds:.0f} s; every promise held.")
            print("\n".join(report.table()))
            print("\n".join(f"  {name}: {value}" for name, value in report.facts.items()))
    print(f"{time.monotonic() - began:.0f} s in all")
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--seed", default=os.environ.get("HELIOGRAPH_CHAOS_SEED", ""))
    parser.add_argument("--faults", type=int, default=int(os.environ.get("HELIOGRAPH_CHAOS_FAULTS", "25")))
    parser.add_argument("--minutes", type=float, help="strike no longer than this (by default 6 s a fault)")
    parser.add_argument("--only", default="", help="faults whose names hold this, such as `worker child`")
    parser.add_argument("--keep-log", action="store_true", help="keep the hub's log though all went well")
    parser.add_argument("--scenario", choices=SCENARIOS)
    options = parser.parse_args()
    options.minutes = options.minutes or options.faults / 10
    return options


if __name__ == "__main__":
    sys.exit(main())
