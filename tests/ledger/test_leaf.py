"""The leaf format: a vector that may never change, and what has no place in a leaf."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.ledger import leaf
from hub.ledger.leaf import Leaf, Mention, NotALeaf, canonical, commitment, decode, encode
from hub.ledger.tlog.merkle import leaf_hash

VECTOR = json.loads((Path(__file__).parent / "leaf-v1.json").read_text(encoding="utf-8"))


def a_leaf(**changes: Any) -> Leaf:
    members: dict[str, Any] = {
        "action": "statement.refused",
        "actor": "partner:acme-social",
        "at": "2026-11-03T12:00:00.000001Z",
        "commitments": {"value": commitment(bytes(range(16)), "value", "grüße@acme.example")},
        "facts": {
            "code": "schema",
            "line": 3,
            "list": [1, None, True, {"b": '\u0000\b\t\n\f\r"\\/\u001f\u007f\u2028', "a": []}],
            "text": "e\u0301 \u20ac \U0001f600",
        },
        "id": "0191b7a4-1c00-7abc-8000-00000000000a",
        "nonce": "000102030405060708090a0b0c0d0e0f",
        "sequenced_at": "2026-11-03T12:00:00.250000Z",
        "subjects": [Mention("signal:0191b7a4-0000-4000-8000-000000000001", 1), Mention("partner:acme-social", 41)],
        "v": 1,
    }
    return Leaf(**members | changes)


def test_the_golden_vector_stands_for_ever() -> None:
    entry = encode(a_leaf())
    assert entry.decode() == VECTOR["entry"]
    assert leaf_hash(entry).hex() == VECTOR["leaf_hash"]
    assert decode(entry) == a_leaf()


def test_a_commitment_is_what_the_page_says() -> None:
    salt, value = bytes(range(16)), "grüße@acme.example".encode()
    assert commitment(salt, "value", value) == hashlib.sha256(salt + b"\x00\x05value" + value).hexdigest()
    assert commitment(salt, "val", b"ue") != commitment(salt, "v", b"alue")


_text = st.text(st.characters(exclude_categories=["Cs"]))
_json = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | _text,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(st.characters(codec="ascii")), inner, max_size=4)
    ),
    max_leaves=12,
)


@given(st.dictionaries(st.text(st.characters(codec="ascii")), _json, max_size=4))
def test_canonical_form_is_that_of_the_standard_library_read_as_rfc_8785(value: dict[str, Any]) -> None:
    """With ASCII names, RFC 8785 is sorted keys, no spaces and the shortest escapes: what json makes, too."""
    try:
        made = canonical(value)
    except NotALeaf:
        return  # deeper than eight
    assert made == json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


@pytest.mark.parametrize(
    "value",
    [
        0.5,
        float("nan"),
        2**53,
        -(2**53),
        b"bytes",
        {1: "x"},
        {"ä": 1},
        "\ud800",
        {"x": {1, 2}},
        datetime(2026, 1, 1, tzinfo=UTC),
    ],
)
def test_what_has_no_canonical_form_is_refused(value: object) -> None:
    with pytest.raises(NotALeaf):
        encode(a_leaf(facts={"it": value}))


def test_facts_have_a_depth_and_leaves_a_size() -> None:
    deep: object = "x"
    for _ in range(7):
        deep = [deep]
    encode(a_leaf(facts={"deep": deep}))
    with pytest.raises(NotALeaf, match="deep"):
        encode(a_leaf(facts={"deep": [deep]}))
    with pytest.raises(NotALeaf, match="65,535"):
        encode(a_leaf(facts={"long": "x" * 65_535}))


@pytest.mark.parametrize(
    "changes",
    [
        {"at": "2026-11-03T12:00:00Z"},
        {"at": "2026-11-03 12:00:00.000000Z"},
        {"sequenced_at": "2026-11-03T12:00:00.000000+00:00"},
        {"nonce": "00"},
        {"nonce": "000102030405060708090A0B0C0D0E0F"},
        {"commitments": {"value": "short"}},
        {"action": "withdrawn"},
        {"actor": "acme"},
        {"subjects": [Mention("nobody", 1)]},
    ],
)
def test_a_malformed_member_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(NotALeaf):
        encode(a_leaf(**changes))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'{"action"', b'{ "action"'),
        (b'"v":1', b'"v":2'),
        (b'"v":1', b'"v":1,"w":1'),
        (b'"line":3', b'"line":3.0'),
        (b'"line":3', b'"line":3,"line":3'),
        (b'"line":3', b'"line":03'),
        (b"\xe2\x82\xac", b"\\u20ac"),
        (b'"v":1}', b'"v":1}\n'),
        (b'"v":1}', b'"v":1'),
    ],
)
def test_other_bytes_for_the_same_leaf_are_no_leaf(old: bytes, new: bytes) -> None:
    entry = encode(a_leaf())
    assert old in entry
    with pytest.raises(NotALeaf):
        decode(entry.replace(old, new))


def test_the_clock_has_a_zone_and_microseconds() -> None:
    assert leaf.timestamp(datetime(2026, 11, 3, 12, tzinfo=UTC)) == "2026-11-03T12:00:00.000000Z"
    with pytest.raises(NotALeaf):
        leaf.timestamp(datetime(2026, 11, 3, 12))  # noqa: DTZ001  the point of the test
