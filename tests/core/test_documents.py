"""docs/statements.md is normative: its examples are read by the code, and it names every type and member."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import msgspec
import pytest

from signals.core import claims
from signals.core.indicators import INDICATOR_TYPES, read
from signals.core.opinions import REASONS, Did, Opinion
from signals.core.refusals import REFUSALS
from signals.core.standing import Standing
from signals.core.statement import TYPES

TEXT = (Path(__file__).parents[2] / "docs" / "statements.md").read_text()
KINDS: dict[str, type[claims.Claims]] = {
    "signal+jws": claims.SignalClaims,
    "routing+jws": claims.RoutingClaims,
    "withdrawal+jws": claims.WithdrawalClaims,
    "receipt+jws": claims.ReceiptClaims,
    "opinion+jws": claims.OpinionClaims,
    "outcome+jws": claims.OutcomeClaims,
    "retraction+jws": claims.RetractionClaims,
    "erasure+jws": claims.ErasureClaims,
    "key-endorsement+jws": claims.EndorsementClaims,
}
SECTIONS: dict[str, tuple[type[claims.Claims], list[dict[str, Any]]]] = {
    typ: (kind, [json.loads(block) for block in re.findall(r"```json\n(.*?)```", section, re.DOTALL)])
    for typ, kind in KINDS.items()
    for section in re.findall(rf"^## `{re.escape(typ)}`.*?(?=^## |\Z)", TEXT, re.DOTALL | re.MULTILINE)
}


def test_every_type_has_a_section_with_an_example() -> None:
    assert set(SECTIONS) == set(TYPES)
    assert all(examples for _, examples in SECTIONS.values())


@pytest.mark.parametrize("typ", SECTIONS)
def test_the_examples_are_read(typ: str) -> None:
    kind, examples = SECTIONS[typ]
    for example in examples:
        found = claims.read(kind, example)
        if isinstance(found, claims.SignalClaims):
            indicator = found.indicator
            reading = read(indicator.type, indicator.value, service=indicator.service, quality=indicator.quality)
            assert (reading.changes, reading.weaknesses) == ((), ())


@pytest.mark.parametrize("typ", SECTIONS)
def test_every_member_is_described(typ: str) -> None:
    kind, _ = SECTIONS[typ]
    for member in msgspec.structs.fields(kind):
        assert f"`{member.encode_name}`" in TEXT, f"{typ}: {member.encode_name}"


def test_every_indicator_type_is_described() -> None:
    assert all(f"`{name}`" in TEXT for name in INDICATOR_TYPES)


def test_every_reason_is_explained() -> None:
    page = (Path(__file__).parents[2] / "docs" / "standing.md").read_text()
    for opinion, reasons in REASONS.items():
        table = page.split(f"| of `{opinion}` |")[1].split("\n\n")[0]
        assert tuple(re.findall(r"^\| `([a-z-]+)`", table, re.MULTILINE)) == reasons
    assert all(f"`{word}`" in page for word in (*Opinion, *Standing) if not word.startswith("confirm-"))
    assert all(f"`{did}`" in TEXT for did in Did)


def test_codes_in_the_page_exist() -> None:
    named = set(re.findall(r"(?:refused as|Else:|[Aa]nother:|one:|outright:) `([a-z-]+)`", TEXT))
    assert named
    assert named <= set(REFUSALS)
