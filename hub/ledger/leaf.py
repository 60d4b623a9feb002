"""The leaf format, version 1: exact bytes that stand for ever. Pure; docs/decisions/0031 says why it is so."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import Literal, TypeAlias

import msgspec

Json: TypeAlias = "str | int | bool | Sequence[Json] | Mapping[str, Json] | None"

LARGEST = 65_535  # bytes: entry bundles of tlog-tiles carry a 16-bit length
SALT_BYTES = 16
NONCE_BYTES = 16
_LARGEST_INTEGER = 2**53 - 1  # RFC 8785 §3.2.2.3: what every JSON reader holds exactly
_DEEPEST = 8
_HEX_NONCE = re.compile(r"[0-9a-f]{32}")
_HEX_DIGEST = re.compile(r"[0-9a-f]{64}")
_ACTION = re.compile(r"[a-z][a-z-]*(\.[a-z-]+)+")
_ACTOR = re.compile(r"(partner|staff|system):[A-Za-z0-9._:-]+")
_SUBJECT = re.compile(r"[a-z][a-z-]*:[A-Za-z0-9._:-]+")
_ADDED_LATER = 256  # bytes: what the sequencer adds to an event (id, nonce, time, version and their names)
_ADDED_PER_SUBJECT = 32  # bytes: {"id":…,"n":…} around each
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")


class NotALeaf(ValueError):
    """The value cannot be a leaf; the message says which member is at fault."""


class Mention(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A subject and this leaf's running number among the leaves about it, from 1: a gap is a missing leaf."""

    id: str
    n: int


class Leaf(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One event of the log. Members stand in the order of RFC 8785: sorted."""

    action: str
    actor: str
    at: str
    commitments: dict[str, str]
    facts: dict[str, object]
    id: str
    nonce: str
    sequenced_at: str
    subjects: list[Mention]
    v: Literal[1]


_encoder = msgspec.json.Encoder(order="deterministic")
_decoder = msgspec.json.Decoder(Leaf)


def encode(leaf: Leaf) -> bytes:
    """The leaf's exact bytes: canonical JSON (RFC 8785), at most 65,535 of them.

    Raises NotALeaf for what has no canonical form here (floats, large integers, non-ASCII member names, depth beyond 8)
    and for a malformed time, nonce or commitment.
    """
    check_event(leaf.action, leaf.actor, leaf.at, [subject.id for subject in leaf.subjects])
    check_values(leaf.facts, leaf.commitments)
    if not _TIME.fullmatch(leaf.sequenced_at):
        raise NotALeaf("Times are RFC 3339 in UTC with microseconds.")
    if not _HEX_NONCE.fullmatch(leaf.nonce):
        raise NotALeaf("The nonce is 128 bits of lower-case hex.")
    entry = exact_bytes(leaf)
    if len(entry) > LARGEST:
        raise NotALeaf(f"A leaf has at most {LARGEST:,} bytes; this one has {len(entry):,}.")
    return entry


def decode(entry: bytes) -> Leaf:
    """The leaf that these bytes are; raises NotALeaf unless they are exactly what `encode` makes of it."""
    try:
        leaf = _decoder.decode(entry)
    except (msgspec.DecodeError, RecursionError) as error:
        raise NotALeaf(f"Not a leaf of version 1: {error}") from error
    if encode(leaf) != entry:
        raise NotALeaf("The bytes are not in canonical form.")
    return leaf


def canonical(value: Mapping[str, Json]) -> bytes:
    """Canonical JSON (RFC 8785) of an object that passes `check`."""
    check(value)
    return exact_bytes(value)


def check(value: object, depth: int = 0) -> None:
    """Raise NotALeaf if any part of `value` has no canonical form here."""
    if value is None or isinstance(value, (str, int)):
        if isinstance(value, int) and not -_LARGEST_INTEGER <= value <= _LARGEST_INTEGER:
            raise NotALeaf("An integer beyond 2^53 - 1 has no exact JSON form; write it as a string.")
    elif depth == _DEEPEST:
        raise NotALeaf(f"Facts are at most {_DEEPEST} levels deep.")
    elif isinstance(value, (dict, Mapping)):
        for name, member in value.items():
            if not (isinstance(name, str) and name.isascii()):
                raise NotALeaf("Member names are ASCII strings.")
            if type(member) is not str:  # most are: a call for each would cost more than all else here
                check(member, depth + 1)
    elif isinstance(value, (list, tuple)):
        for member in value:
            check(member, depth + 1)
    else:
        kind = type(value).__name__
        raise NotALeaf(f"A {kind} has no canonical form; facts are strings, integers, booleans, lists and objects.")


def check_event(action: str, actor: str, at: str, subjects: Iterable[str]) -> None:
    """Raise NotALeaf unless these name an action, an actor, a time and subjects in the form that leaves give them."""
    _check_said(action, actor, at)
    if not all(map(_SUBJECT.fullmatch, subjects)):
        raise NotALeaf("A subject is <kind>:<id>, such as signal:<uuid>.")


@lru_cache(maxsize=256)  # the events of a batch have these in common
def _check_said(action: str, actor: str, at: str) -> None:
    if not _ACTION.fullmatch(action):
        raise NotALeaf("An action is dotted words, such as signal.published.")
    if not _ACTOR.fullmatch(actor):
        raise NotALeaf("An actor is partner:<slug>, staff:<number> or system:<name>.")
    if not _TIME.fullmatch(at):
        raise NotALeaf("Times are RFC 3339 in UTC with microseconds.")


def check_values(facts: Mapping[str, object], commitments: Mapping[str, str]) -> None:
    """Raise NotALeaf unless the facts have a canonical form and the commitments are digests."""
    check(facts)
    if not commitments:
        return
    check(commitments)
    if not all(map(_HEX_DIGEST.fullmatch, commitments.values())):
        raise NotALeaf("A commitment is a SHA-256 digest in lower-case hex.")


def check_size(event: bytes, subjects: int) -> None:
    """Raise NotALeaf if an event of these bytes, about so many subjects, could make a leaf that is too large."""
    if len(event) + _ADDED_LATER + _ADDED_PER_SUBJECT * subjects > LARGEST:
        raise NotALeaf(f"A leaf has at most {LARGEST:,} bytes; this event alone has {len(event):,}.")


@lru_cache(maxsize=256)
def timestamp(at: datetime) -> str:
    """RFC 3339 in UTC with microseconds; refuses a time without a zone."""
    if at.tzinfo is None:
        raise NotALeaf("A time without a zone says nothing.")
    return at.astimezone(UTC).isoformat(timespec="microseconds")[:-6] + "Z"


def commitment(salt: bytes, name: str, value: str | bytes) -> str:
    """SHA-256(salt || length of the name as 2 bytes, big-endian || name || value), in hex."""
    field = name.encode()
    content = value.encode() if isinstance(value, str) else value
    return hashlib.sha256(salt + len(field).to_bytes(2, "big") + field + content).hexdigest()


def exact_bytes(value: Leaf | Mapping[str, Json]) -> bytes:
    """The canonical JSON of what has been checked already: the sequencer's way, which checks each event once."""
    try:
        return _encoder.encode(value)
    except UnicodeEncodeError:
        raise NotALeaf("A string holds half a surrogate pair, which is no Unicode text.") from None
