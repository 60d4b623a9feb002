"""Open the commitments of leaves for an export: the salts and values that are still kept, and the statements' bytes.

What was erased stays closed: purging a signal erases its salts with its value.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from uuid import UUID

import msgspec
from django.db import transaction

from hub.ledger.export.making import Opened
from hub.ledger.leaf import Leaf
from hub.ledger.models import Salt
from hub.ledger.record import record
from hub.vault import keyring
from signals.lifecycle.examine import context
from signals.models import Export, Statement, Submission, Verdict

_SAID = "payload_digest"  # of a verdict on a statement
_BODY = "body"  # of a submission
_REASON = "reason"  # of an export


class _Jws(msgspec.Struct):
    jws: str


_decoder = msgspec.json.Decoder(_Jws)


def open_values(leaves: Sequence[tuple[int, Leaf]], *, export_id: UUID, actor: str, at: datetime) -> list[Opened]:
    """What opens the commitments of these leaves. Which signals are opened is recorded first, in one transaction."""
    with transaction.atomic():
        salts = _salts(leaves)
        statements = _statements(leaves)
        signals = sorted({str(row.signal_id) for row in statements.values() if row.signal_id is not None})
        if salts and signals:
            subjects = [f"export:{export_id}", *(f"signal:{identity}" for identity in signals)]
            record("export.opened", actor=actor, at=at, subjects=subjects, facts={"count": len(signals)})
        return list(_open(leaves, salts, statements))


def _salts(leaves: Sequence[tuple[int, Leaf]]) -> dict[tuple[UUID, str], bytes]:
    rows = Salt.objects.filter(event__in=[UUID(leaf.id) for _, leaf in leaves])
    return {(event, field): bytes(salt) for event, field, salt in rows.values_list("event", "field", "salt")}


def _statements(leaves: Sequence[tuple[int, Leaf]]) -> dict[tuple[str, int], Statement]:
    """The accepted statement of each line of a submission that a leaf is about."""
    wanted = {_line(leaf) for _, leaf in leaves if _SAID in leaf.commitments} - {None}
    verdicts = Verdict.objects.filter(
        submission_id__in={line[0] for line in wanted if line}, statement_id__isnull=False
    )
    found = {(str(row.submission_id), row.line): row.statement_id for row in verdicts}
    rows = Statement.objects.in_bulk([found[line] for line in wanted if line in found])
    return {line: rows[found[line]] for line in wanted if line is not None and found.get(line) in rows}


def _line(leaf: Leaf) -> tuple[str, int] | None:
    submission, line = leaf.facts.get("submission"), leaf.facts.get("line")
    return (submission, line) if isinstance(submission, str) and isinstance(line, int) else None


def _open(
    leaves: Sequence[tuple[int, Leaf]],
    salts: dict[tuple[UUID, str], bytes],
    statements: dict[tuple[str, int], Statement],
) -> Iterator[Opened]:
    bodies = _bodies(leaves)
    reasons = _reasons(leaves)
    for index, leaf in leaves:
        for name in leaf.commitments:
            salt = salts.get((UUID(leaf.id), name))
            if salt is None:
                continue
            statement = statements.get(_line(leaf) or ("", 0))
            if name == _SAID and statement is not None:
                yield Opened(index, name, salt, bytes(statement.digest), _jws(statement))
            elif name == _BODY and (digest := bodies.get(_subject(leaf, "submission"))) is not None:
                yield Opened(index, name, salt, digest)
            elif name == _REASON and (reason := reasons.get(_subject(leaf, "export"))) is not None:
                yield Opened(index, name, salt, reason.encode())


def _jws(statement: Statement) -> str | None:
    """The statement as its author signed it; None where it is erased or its month's key is destroyed."""
    if statement.sealed is None:
        return None
    try:
        opened = keyring.open_sealed(bytes(statement.sealed), context=context(statement.id))
    except keyring.KeyDestroyed:
        return None
    return _decoder.decode(b"{" + opened + b"}").jws


def _bodies(leaves: Sequence[tuple[int, Leaf]]) -> dict[str, bytes]:
    ids = {_subject(leaf, "submission") for _, leaf in leaves if _BODY in leaf.commitments} - {""}
    return {str(row.id): bytes(row.digest) for row in Submission.objects.filter(id__in=ids).only("id", "digest")}


def _reasons(leaves: Sequence[tuple[int, Leaf]]) -> dict[str, str]:
    ids = {_subject(leaf, "export") for _, leaf in leaves if _REASON in leaf.commitments} - {""}
    return {str(row.id): row.reason for row in Export.objects.filter(id__in=ids).only("id", "reason")}


def _subject(leaf: Leaf, kind: str) -> str:
    """The id of the leaf's subject of this kind; empty where it has none."""
    return next((m.id.partition(":")[2] for m in leaf.subjects if m.id.startswith(f"{kind}:")), "")
