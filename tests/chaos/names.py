"""The names of the scenarios, which are known before a home is chosen and so before anything of the hub is loaded."""

from __future__ import annotations

SCENARIOS = ("worker-killed", "database-restarted", "broker-wiped")
