"""Submit a file of rows: assign, sign, send in batches, collect the verdicts, and go on where a run was broken off."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from heliograph_client import statements
from heliograph_client.hub import HubClient, Verdict, batches
from heliograph_client.inputs import Row, payload_of
from heliograph_client.keys import SigningKey
from heliograph_client.outbox import Assigned, Outbox
from heliograph_client.wire import NotStrict, strict_object

ALREADY: Final = "already"
PENDING: Final = "pending"
UNREADABLE: Final = "unreadable-row"
_WAIT_SECONDS: Final = 30
_AT_ONCE: Final = 1_000


@dataclass(frozen=True, slots=True)
class Author:
    """Who signs, for which hub and programme."""

    issuer: str
    hub_id: str
    programme: str
    key: SigningKey


@dataclass(frozen=True, slots=True)
class Fate:
    """What became of one row. `verdict`: accepted, held, refused, pending, or already (accepted by an earlier run)."""

    line: int
    verdict: str
    code: str | None = None
    detail: str | None = None
    signal: str | None = None


@dataclass(frozen=True, slots=True)
class _Draft:
    line: int
    jws: str
    assigned: Assigned


def submit_rows(
    hub: HubClient,
    author: Author,
    rows: Iterable[Row],
    outbox: Outbox,
    *,
    clock: Callable[[], datetime],
    timeout: float = 300,
) -> Iterator[Fate]:
    """Submit every row and yield its fate. Assignments are written to `outbox` before anything is sent.

    Killed at any moment and run again, it sends the same bytes under the same jti, so the hub doubles nothing.
    `timeout`: seconds to wait for one batch's verdicts.
    """
    for chunk in _chunks(rows):
        drafts: list[_Draft] = []
        for row in chunk:
            drafted = draft(author, row, outbox, at=clock())
            if isinstance(drafted, Fate):
                yield drafted
            else:
                drafts.append(drafted)
        outbox.remember([drafted.assigned for drafted in drafts])
        yield from _send(hub, drafts, outbox, timeout=timeout)


def draft(author: Author, row: Row, outbox: Outbox, *, at: datetime) -> _Draft | Fate:
    """A row signed and ready to send, or its fate when there is nothing to send."""
    if row.problem is not None:
        return Fate(row.line, "refused", UNREADABLE, row.problem)
    try:
        assigned, jws = _ready(row.ready, outbox) if row.ready is not None else _signed(author, row, outbox, at=at)
    except (statements.StatementProblem, NotStrict) as problem:
        return Fate(row.line, "refused", UNREADABLE, str(problem))
    if assigned.verdict in {"accepted", "held"}:
        return Fate(row.line, ALREADY, signal=assigned.signal)
    assigned.digest = statements.digest(jws)
    return _Draft(row.line, jws, assigned)


def _signed(author: Author, row: Row, outbox: Outbox, *, at: datetime) -> tuple[Assigned, str]:
    wording = {"iss": author.issuer, "aud": author.hub_id, "programme": author.programme, **(row.wording or {})}
    assigned = outbox.assign(wording, iat=int(at.timestamp()))
    payload = payload_of(
        row.wording or {},
        issuer=author.issuer,
        hub=author.hub_id,
        programme=author.programme,
        jti=assigned.jti,
        iat=assigned.iat,
    )
    assigned.jti = str(payload["jti"])  # a row that names its own jti keeps it
    return assigned, statements.sign(payload, author.key, statements.SIGNAL)


def _ready(jws: str | None, outbox: Outbox) -> tuple[Assigned, str]:
    text = jws or ""
    claims = strict_object(statements.read(text).payload)
    iat = claims.get("iat")
    return outbox.adopt(text, jti=str(claims.get("jti")), iat=iat if isinstance(iat, int) else 0), text


def _send(hub: HubClient, drafts: list[_Draft], outbox: Outbox, *, timeout: float) -> Iterator[Fate]:
    sent = iter(drafts)
    for batch in batches(drafted.jws for drafted in drafts):
        members = [next(sent) for _ in batch]
        submission = hub.submit(batch, wait=_WAIT_SECONDS)
        if not submission.is_done:
            submission = hub.wait_for_verdicts(submission, timeout=timeout)
        by_line = {verdict.line: verdict for verdict in submission.verdicts}
        fates = [_fate(drafted, by_line.get(number)) for number, drafted in enumerate(members, start=1)]
        outbox.remember([drafted.assigned for drafted in members])
        yield from fates


def _fate(drafted: _Draft, verdict: Verdict | None) -> Fate:
    if verdict is None:
        return Fate(drafted.line, PENDING, detail="the hub has taken it; its verdict is not in yet")
    drafted.assigned.verdict, drafted.assigned.signal = verdict.verdict, verdict.signal
    code, detail = verdict.code, verdict.detail
    if verdict.verdict == "held":
        code = ", ".join(verdict.held) or "review"
    if verdict.pointer:
        detail = f"{detail or ''} ({verdict.pointer})".strip()
    return Fate(drafted.line, verdict.verdict, code, detail, verdict.signal)


def _chunks(rows: Iterable[Row]) -> Iterator[list[Row]]:
    chunk: list[Row] = []
    for row in rows:
        chunk.append(row)
        if len(chunk) == _AT_ONCE:
            yield chunk
            chunk = []
    if chunk:
        yield chunk
