"""Leaves for those they are about, and the proofs of them: what a member may fetch of a log that it may not read.

A leaf is its subject's own when it mentions the subject and no other of the same kind, when no other of that kind did
it, and when its action goes `to_partner`. Nobody who may not read the log can tell another's leaf from one that does
not exist.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from django.db import connection

from hub.ledger import checkpoints, tree
from hub.ledger.actions import ACTIONS
from hub.ledger.checkpoints import Signed
from hub.ledger.tlog import policy
from hub.ledger.tlog.policy import NotAPolicy
from hub.ledger.tlog.proof_file import ProofFile

_WINDOW = 10_000  # leaves looked through by one statement, along the primary key
_WINDOWS = 20  # in one answer: whoever is seldom mentioned gets an empty page and goes on from its end
_CHECKPOINTS = 5  # among which one is looked for that enough witnesses have cosigned
_OPEN = sorted(name for name, action in ACTIONS.items() if action.to_partner)
_OWN = (
    "action = ANY(%(open)s) AND subjects @> %(subjects)s::text[]"
    " AND (actor = %(subject)s OR actor NOT LIKE %(kind)s)"
    " AND NOT EXISTS (SELECT FROM unnest(subjects) AS other WHERE other LIKE %(kind)s AND other <> %(subject)s)"
)


class NotSignedYet(Exception):
    """No checkpoint covers the leaf yet: the next one will, within seconds."""


@dataclass(frozen=True, slots=True)
class OwnLeaf:
    """One leaf: its place, its RFC 6962 hash and its exact bytes."""

    index: int
    leaf_hash: bytes
    entry: bytes


@dataclass(frozen=True, slots=True)
class Stretch:
    """Leaves in order, the index to go on from, and whether the log has any there now."""

    leaves: list[OwnLeaf]
    next: int
    more: bool


def own_leaves(subject: str, *, start: int, limit: int, about: Sequence[str] = ()) -> Stretch:
    """The subject's own leaves from index `start` on, at most `limit`; with `about`, those of them about that too.

    `subject` is such as "partner:acme-social"; `about` must name something that few leaves mention, such as a signal.
    Nothing is ever added below `next`: leaves get their indices in the order in which they are committed.
    """
    size = _size()
    if about:
        found = _found("index >= %(start)s AND index < %(end)s", subject, limit + 1, start, size, about)
        if len(found) > limit:
            return Stretch(found[:limit], found[limit].index, more=True)
        return Stretch(found, max(start, size), more=False)
    found = []
    for _ in range(_WINDOWS):
        if start >= size:
            break
        end = min(start + _WINDOW, size)
        found += _found("index >= %(start)s AND index < %(end)s", subject, limit - len(found), start, end)
        start = end
        if len(found) == limit:
            start = found[-1].index + 1
            break
    return Stretch(found, start, start < size)


def own_leaf(subject: str, index: int) -> OwnLeaf | None:
    """The leaf at this index if it is the subject's own, else None."""
    return next(iter(_found("index = %(start)s", subject, 1, index)), None)


def proof_file(leaf: OwnLeaf) -> ProofFile:
    """The leaf with its proof, under a checkpoint that meets the published policy if there is one (C2SP tlog-proof).

    Raises NotSignedYet, and StoreAway where the tiles cannot be read.
    """
    signed = _covering(leaf.index)
    return ProofFile(leaf.index, tuple(tree.inclusion(leaf.index, signed.size)), signed.note, leaf.entry)


def _covering(index: int) -> Signed:
    """The newest checkpoint over the leaf that meets the policy; the newest of all while none does."""
    recent = checkpoints.newest(index + 1, count=_CHECKPOINTS)
    if not recent:
        raise NotSignedYet
    try:
        published = policy.parse(checkpoints.policy_text())
    except (NotAPolicy, OSError):  # the operator's file: the monitor tells of it, and a proof is one without it too
        return recent[0]
    return next((signed for signed in recent if published.is_met_by(signed.note).is_met), recent[0])


def _found(
    where: str, subject: str, limit: int, start: int, end: int | None = None, about: Sequence[str] = ()
) -> list[OwnLeaf]:
    values: dict[str, str | int | list[str] | None] = {
        "open": _OPEN,
        "subjects": [subject, *about],
        "subject": subject,
        "kind": f"{subject.partition(':')[0]}:%",
        "start": start,
        "end": end,
        "limit": limit,
    }
    query = (
        f"SELECT index, leaf_hash, entry FROM ledger_reading WHERE {where} AND {_OWN} ORDER BY index LIMIT %(limit)s"  # noqa: S608  ours
    )
    with connection.cursor() as cursor:
        cursor.execute(query, values)
        return [OwnLeaf(index, bytes(digest), bytes(entry)) for index, digest, entry in cursor.fetchall()]


def _size() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT size FROM ledger_tree")
        return int(cursor.fetchone()[0])
