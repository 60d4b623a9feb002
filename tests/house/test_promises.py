"""A page that promises names the test that holds each promise, and every one it names exists."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
_ROW = re.compile(r"^\| (?P<said>[^|]+) \| `(?P<path>[\w/]+\.py)::(?P<name>\w+)` \|$", re.MULTILINE)
_TABLE = re.compile(r"^\|[^\n]*\| held by \|\n\|[-|]+\|\n(?P<rows>(?:\|[^\n]*\n)+)", re.MULTILINE)
PROMISES = {"delivery.md": 40, "triage.md": 20}  # and at least so many


def promised(page: str) -> str:
    """The rows of a page's tables that end in what holds them."""
    return "".join(table["rows"] for table in _TABLE.finditer((ROOT / "docs" / page).read_text(encoding="utf-8")))


ROWS = [match.groups() for page in PROMISES for match in _ROW.finditer(promised(page))]


@cache
def names_in(path: str) -> frozenset[str]:
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    return frozenset(node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef))


@pytest.mark.parametrize(("said", "path", "name"), ROWS, ids=[name for _, _, name in ROWS])
def test_the_test_that_holds_a_sentence_exists(said: str, path: str, name: str) -> None:
    assert name in names_in(path), said


@pytest.mark.parametrize("page", PROMISES)
def test_every_promise_names_its_test(page: str) -> None:
    rows = promised(page)
    assert rows.count("\n") == len(_ROW.findall(rows)) > PROMISES[page]
