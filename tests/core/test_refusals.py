"""Refusals are the API's words for "no": every one has a stable code and a text for docs/problems.md."""

from __future__ import annotations

import ast
import inspect
import re

import pytest

from hub.refusal import Refusal
from signals.core import refusals
from signals.core.refusals import LINE_REFUSALS, REFUSALS, REQUEST_REFUSALS

DEMANDED = {
    "malformed-jws", "unknown-key", "key-not-active", "bad-signature", "algorithm-not-allowed", "wrong-audience",
    "wrong-issuer", "not-a-member", "may-not-submit", "schema", "invalid-indicator", "victim-identifier", "jti-reused",
    "stale", "too-large",
}  # fmt: skip


def test_every_code_that_was_promised_exists() -> None:
    assert set(LINE_REFUSALS) >= DEMANDED


def test_no_two_refusals_share_a_code() -> None:
    classes = [cls for cls in vars(refusals).values() if inspect.isclass(cls) and issubclass(cls, Refusal)]
    named = [cls for cls in classes if "code" in vars(cls) and cls is not Refusal]
    assert sorted(cls.code for cls in named) == sorted(REFUSALS)
    assert len(REFUSALS) == len(LINE_REFUSALS) + len(REQUEST_REFUSALS)


@pytest.mark.parametrize("code", REFUSALS)
def test_every_refusal_explains_itself(code: str) -> None:
    assert re.fullmatch(r"[a-z]+(-[a-z]+)*", code)
    text = inspect.getdoc(REFUSALS[code]) or ""
    title, _, body = text.partition("\n\n")
    assert "\n" not in title
    assert title.endswith(".")
    assert len(body) > 20


def test_the_core_knows_no_django_no_clock_and_no_settings() -> None:
    from pathlib import Path

    for path in Path(refusals.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            modules = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            modules += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            for module in modules:
                assert not module.startswith(("django", "partners", "hub.settings", "time", "signals.models")), (
                    path.name
                )
                assert not module.startswith("hub") or module in {"hub.jose", "hub.refusal"}, path.name
            if isinstance(node, ast.Attribute):
                assert node.attr not in ("now", "utcnow", "today"), path.name
