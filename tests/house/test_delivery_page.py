"""docs/delivery.md promises nothing without a test: every one it names exists."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
_ROW = re.compile(r"^\| (?P<said>[^|]+) \| `(?P<path>[\w/]+\.py)::(?P<name>\w+)` \|$", re.MULTILINE)
ROWS = [match.groups() for match in _ROW.finditer((ROOT / "docs" / "delivery.md").read_text(encoding="utf-8"))]


@cache
def names_in(path: str) -> frozenset[str]:
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    return frozenset(node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef))


@pytest.mark.parametrize(("said", "path", "name"), ROWS, ids=[name for _, _, name in ROWS])
def test_the_test_that_holds_a_sentence_exists(said: str, path: str, name: str) -> None:
    assert name in names_in(path), said


def test_every_guarantee_names_its_test() -> None:
    rows = (ROOT / "docs" / "delivery.md").read_text(encoding="utf-8").split("## Guarantees")[1].splitlines()
    promises = [row for row in rows if row.startswith("| ") and not row.startswith(("| the hub |", "|---"))]
    assert len(promises) == len(ROWS) > 40
