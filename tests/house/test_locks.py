"""Advisory locks are numbers that the whole database shares: each stands for one thing."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

HOUSE = Path(__file__).resolve().parents[2]
OURS = 0x68656C696F  # "helio"; one byte more tells them apart
_HEX = re.compile(rf"0x{OURS:x}[0-9a-f]{{2}}", re.IGNORECASE)
_DECIMAL = re.compile(r"pg_(?:try_)?advisory_(?:xact_)?lock\((\d+)\)")


def test_no_two_things_share_a_lock() -> None:
    found: Counter[int] = Counter()
    for room in ("hub", "partners", "signals"):
        for file in (HOUSE / room).rglob("*.py"):
            text = file.read_text(encoding="utf-8")
            found.update({int(number, 16) for number in _HEX.findall(text)} | set(map(int, _DECIMAL.findall(text))))
    assert len(found) >= 7
    assert {hex(number): uses for number, uses in found.items() if uses > 1} == {}
