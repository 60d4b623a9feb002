"""The same leaves for people and their tools: a line of CSV and an OCSF event each. Views prove nothing; leaves do."""

from __future__ import annotations

import csv
import hashlib
import io
from datetime import datetime

import msgspec

from hub.ledger.actions import ACTIONS
from hub.ledger.leaf import Leaf

CSV_COLUMNS = (
    *("index", "sequenced_at", "at", "action", "meaning", "actor", "subjects", "facts", "commitments"),
    *("id", "leaf_hash"),
)
OCSF_VERSION = "1.6.0"
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
_CREATE, _READ, _UPDATE, _DELETE, _OTHER = 1, 2, 3, 4, 99
_READING = frozenset({"disclosed", "revealed", "searched", "read", "downloaded", "signed-in", "signed-out"})
_CREATING = frozenset(
    {"created", "received", "accepted", "published", "enrolled", "began", "proposed", "asked", "made", "imported"}
)
_DELETING = frozenset(
    {"removed", "purged", "withdrawn", "expired", "revoked", "ended", "left", "forgotten", "destroyed"}
)
_FAILING = frozenset({"refused", "failed", "sign-in-failed", "failing", "denied"})
_json = msgspec.json.Encoder(order="deterministic").encode


def csv_header() -> str:
    """The first line."""
    return _line(CSV_COLUMNS)


def csv_row(index: int, leaf: Leaf, entry: bytes) -> str:
    """One leaf as a line; no cell is a formula to a spreadsheet."""
    return _line(
        (
            *(str(index), leaf.sequenced_at, leaf.at, leaf.action, meaning(leaf.action), leaf.actor),
            " ".join(f"{mention.id}#{mention.n}" for mention in leaf.subjects),
            _json(leaf.facts).decode(),
            _json(leaf.commitments).decode(),
            leaf.id,
            leaf_hash(entry),
        )
    )


def ocsf_event(index: int, leaf: Leaf, entry: bytes, *, hub: str) -> bytes:
    """One leaf as an event of OCSF's class API Activity (6003), on a line of its own.

    A leaf holds no network address, on purpose: the source is named by the actor.
    """
    verb = leaf.action.rpartition(".")[2]
    activity = _activity(verb)
    failed = verb in _FAILING
    return (
        _json(
            {
                "activity_id": activity,
                "activity_name": leaf.action,
                "actor": {"user": {"name": leaf.actor, "uid": leaf.actor}},
                "api": {"operation": leaf.action, "service": {"name": hub}},
                "category_uid": 6,
                "class_uid": 6003,
                "message": meaning(leaf.action),
                "metadata": {
                    "event_code": leaf.action,
                    "logged_time": _milliseconds(leaf.sequenced_at),
                    "original_time": leaf.at,
                    "product": {"name": "Heliograph", "vendor_name": "Heliograph"},
                    "sequence": index,
                    "uid": leaf.id,
                    "version": OCSF_VERSION,
                },
                "resources": [{"type": m.id.partition(":")[0], "uid": m.id} for m in leaf.subjects],
                "severity_id": 2 if failed else 1,
                "src_endpoint": {"name": leaf.actor},
                "status_id": 2 if failed else 1,
                "time": _milliseconds(leaf.at),
                "type_uid": 6003 * 100 + activity,
                "unmapped": {
                    "commitments": leaf.commitments,
                    "facts": leaf.facts,
                    "leaf_hash": leaf_hash(entry),
                    "running_numbers": {mention.id: mention.n for mention in leaf.subjects},
                },
            }
        )
        + b"\n"
    )


def meaning(action: str) -> str:
    """The registry's sentence; of an action that another version of the hub knew, nothing."""
    return ACTIONS[action].meaning if action in ACTIONS else ""


def leaf_hash(entry: bytes) -> str:
    """RFC 6962 §2.1, in hex."""
    return hashlib.sha256(b"\x00" + entry).hexdigest()


def _line(cells: tuple[str, ...]) -> str:
    out = io.StringIO()
    csv.writer(out).writerow([f"'{cell}" if cell.startswith(_FORMULA) else cell for cell in cells])
    return out.getvalue()


def _activity(verb: str) -> int:
    for verbs, activity in ((_READING, _READ), (_CREATING, _CREATE), (_DELETING, _DELETE)):
        if verb in verbs:
            return activity
    return _OTHER if verb in _FAILING else _UPDATE


def _milliseconds(time: str) -> int:
    moment = datetime.fromisoformat(time)
    return int(moment.timestamp()) * 1000 + moment.microsecond // 1000
