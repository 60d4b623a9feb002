"""Every read a door may ask of signals: documents for partners, counts for operators."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import connection

from hub.ledger.mirror import current_epoch
from partners import public
from partners.public import Caller, MembershipFacts
from signals.core import gates
from signals.core.notices import RECALLED
from signals.core.refusals import MembershipEnded, MembershipSuspended, NotFound
from signals.core.states import State
from signals.due import DUE_FROM, IS_DUE
from signals.models import (
    Attempt,
    Endpoint,
    FormerSecret,
    NoticeHead,
    Signal,
    Statement,
    Submission,
    Verdict,
    Walk,
)

_NOT_FOUND = "There is nothing here that this key may see."


def reading_member(caller: Caller, programme_slug: str, *, at: datetime) -> MembershipFacts:
    """The membership by which a caller reads a programme's feed.

    Refuses NotFound (unknown programme, never a member), MembershipEnded (with what to erase) and MembershipSuspended.
    """
    return _may_read(public.membership(caller.partner_id, programme_slug, at=at))


def reading_member_and_names(
    caller: Caller, programme_slug: str, *, at: datetime
) -> tuple[MembershipFacts, dict[int, str]]:
    """The same with the slugs of all members by id, by one query; refuses as `reading_member` does."""
    member, slugs = public.membership_and_names(caller.partner_id, programme_slug, at=at) or (None, {})
    return _may_read(member), slugs


def _may_read(member: MembershipFacts | None) -> MembershipFacts:
    if member is None:
        raise NotFound(_NOT_FOUND)
    if member.state == "ended":
        last = (
            Walk.objects.filter(partner_id=member.partner_id, programme_id=member.programme_id).order_by("-id").first()
        )
        raise MembershipEnded(
            "The membership has ended: erase everything received in this programme.",
            erase="all",
            epoch=last.epoch if last else current_epoch(),
            walk=last.pk if last else 0,
        )
    if not member.may_receive:
        raise MembershipSuspended(
            "The membership is suspended, or its training or agreement has lapsed: nothing is served meanwhile."
        )
    return member


def submission(submission_id: UUID, *, partner_id: int) -> Submission:
    """A partner's own submission, or NotFound."""
    found = Submission.objects.filter(id=submission_id, partner_id=partner_id).first()
    if found is None:
        raise NotFound(_NOT_FOUND)
    return found


def submission_document(found: Submission) -> dict[str, Any]:
    """A submission with a verdict per statement; a signal's state is as it stands now."""
    verdicts = [_verdict(*row) for row in _verdict_rows(found.id)]
    counts = {"accepted": 0, "held": 0, "refused": 0}
    for verdict in verdicts:
        counts[verdict["verdict"]] += 1
    return {
        "id": str(found.id),
        "status": found.state,
        "received_at": _time(found.received_at),
        "statements": found.statement_count,
        "counts": {**counts, "pending": found.statement_count - len(verdicts)},
        "verdicts": verdicts,
    }


def own_signal(signal_id: UUID, *, partner_id: int) -> dict[str, Any]:
    """What its author may know of a signal: its state and who it is for, not who has seen it."""
    signal = Signal.objects.filter(id=signal_id, issuer_id=partner_id).first()
    if signal is None:
        raise NotFound(_NOT_FOUND)
    jti = Statement.objects.filter(id=signal.statement_id).values_list("jti", flat=True).first()
    return {
        "id": str(signal.id),
        "programme": public.programme_by_id(signal.programme_id).slug,
        "jti": jti,
        "type": signal.indicator_type,
        "state": signal.state,
        "revision": signal.revision,
        "waiting": "routing" if signal.is_awaiting_routing else None,
        "held": shown_reasons(signal.held_reasons) if signal.state == State.HELD.value else [],
        "received_at": _time(signal.received_at),
        "published_at": _time(signal.published_at) if signal.published_at else None,
        "changed_at": _time(signal.changed_at),
        "expires_at": _time(signal.expires_at),
    }


def endpoint(endpoint_id: UUID, *, partner_id: int) -> Endpoint:
    """A partner's own endpoint, or NotFound; deleted ones are gone."""
    found = Endpoint.objects.filter(id=endpoint_id, partner_id=partner_id).exclude(state="deleted").first()
    if found is None:
        raise NotFound(_NOT_FOUND)
    return found


def endpoints(partner_id: int) -> list[Endpoint]:
    """A partner's endpoints, oldest first."""
    return list(Endpoint.objects.filter(partner_id=partner_id).exclude(state="deleted").order_by("created_at"))


def last_attempts(endpoint_ids: Iterable[UUID]) -> dict[UUID, Attempt]:
    """The latest attempt of each endpoint, in one query that looks no further back than it must."""
    with connection.cursor() as cursor:
        cursor.execute(_LAST_ATTEMPTS, {"endpoints": list(endpoint_ids)})
        names = [column.name for column in cursor.description or ()]
        rows = [Attempt(**dict(zip(names, row, strict=True))) for row in cursor.fetchall()]
    return {row.endpoint_id: row for row in rows}


def old_secrets(endpoint_ids: Iterable[UUID], *, at: datetime) -> dict[UUID, list[datetime]]:
    """Until when replaced secrets still sign, by endpoint, in one query."""
    rows = FormerSecret.objects.filter(endpoint_id__in=list(endpoint_ids), valid_until__gt=at).order_by("valid_until")
    found: dict[UUID, list[datetime]] = {}
    for endpoint_id, until in rows.values_list("endpoint_id", "valid_until"):
        found.setdefault(endpoint_id, []).append(until)
    return found


def shown_reasons(reasons: Iterable[str]) -> list[str]:
    """A hold's reasons as its submitter reads them."""
    return gates.shown_to_submitter(reasons)


def heads() -> dict[int, int]:
    """The end of every programme's feed."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT programme_id, position FROM signals_head")
        return dict(cursor.fetchall())


def notice_heads(partner_ids: Iterable[int]) -> dict[int, int]:
    """The ends of these partners' feeds of notices; those that were never told anything are absent."""
    rows = NoticeHead.objects.filter(partner_id__in=list(partner_ids))
    return dict(rows.values_list("partner_id", "position"))


def finished(submission_ids: Iterable[UUID]) -> set[UUID]:
    """Which of these submissions have all their verdicts."""
    rows = Submission.objects.filter(id__in=list(submission_ids), state="done")
    return set(rows.values_list("id", flat=True))


@dataclass(frozen=True, slots=True)
class Due:
    """Which steps have rows waiting that nobody holds a lease on."""

    verify: bool
    publish: bool
    deliver: bool
    notices: bool
    exports: bool
    bulk: bool


def due() -> Due:
    """Whether there is something to verify, to publish, to deliver, to tell, to export, to decide in bulk."""
    with connection.cursor() as cursor:
        cursor.execute(_DUE, {"epoch": current_epoch(), "recalled": list(RECALLED)})
        row = cursor.fetchone()
    assert row is not None
    return Due(*row)


def _verdict_rows(submission_id: UUID) -> list[tuple[Verdict, Signal | None]]:
    verdicts = list(Verdict.objects.filter(submission_id=submission_id).order_by("line"))
    signals = Signal.objects.in_bulk({verdict.signal_id for verdict in verdicts if verdict.signal_id is not None})
    return [(verdict, signals.get(verdict.signal_id) if verdict.signal_id else None) for verdict in verdicts]


def _verdict(verdict: Verdict, signal: Signal | None) -> dict[str, Any]:
    document: dict[str, Any] = {
        "line": verdict.line,
        "type": verdict.typ.removesuffix("+jws"),
        "verdict": verdict.verdict,
    }
    if verdict.jti:
        document["jti"] = verdict.jti
    if verdict.verdict == "refused":
        document |= {"code": verdict.code, "detail": verdict.detail}
        if verdict.pointer:
            document["pointer"] = verdict.pointer
    elif signal is None:
        document["waiting"] = "signal"
    else:
        document |= {"signal": str(signal.id), "revision": signal.revision, "state": signal.state}
        if signal.is_awaiting_routing and signal.state == State.VERIFIED.value:
            document["waiting"] = "routing"
        if signal.state == State.HELD.value:
            document |= {"verdict": "held", "held": shown_reasons(signal.held_reasons)}
        elif signal.state == State.REFUSED.value:
            document |= {
                "verdict": "refused",
                "code": "refused-by-review",
                "detail": "A reviewer turned the signal down.",
            }
        else:
            document["verdict"] = "accepted"
    return document


def _time(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


# In order of time, day by day: a day is not looked at once a later one has answered.
_LAST_ATTEMPTS = """
SELECT attempt.* FROM unnest(%(endpoints)s::uuid[]) AS wanted (id), LATERAL (
    SELECT * FROM signals_attempt WHERE endpoint_id = wanted.id ORDER BY at DESC, id DESC LIMIT 1) AS attempt
"""

_DUE = f"""
SELECT
  EXISTS (SELECT 1 FROM signals_submission WHERE state = 'pending' AND next_attempt_at <= clock_timestamp()
             AND (lease_until IS NULL OR lease_until < clock_timestamp())),
  EXISTS (SELECT 1 FROM signals_signal WHERE state = 'verified' AND NOT is_awaiting_routing),
  EXISTS (SELECT 1 {DUE_FROM} WHERE {IS_DUE}),
  EXISTS (SELECT 1 FROM signals_notice WHERE position IS NULL)
    OR EXISTS (SELECT 1 FROM signals_head AS head LEFT JOIN signals_recallplace AS place USING (programme_id)
                WHERE EXISTS (SELECT 1 FROM signals_change AS change
                               WHERE change.programme_id = head.programme_id AND change.kind = ANY (%(recalled)s)
                                 AND change.position > coalesce(place.position, 0))),
  EXISTS (SELECT 1 FROM signals_export WHERE state = 'pending' AND next_attempt_at <= clock_timestamp())
    AND NOT EXISTS (SELECT 1 FROM signals_export WHERE state = 'pending' AND lease_until > clock_timestamp()),
  EXISTS (SELECT 1 FROM signals_bulkrun
           WHERE state IN ('applying', 'undoing') AND next_attempt_at <= clock_timestamp()
             AND (lease_until IS NULL OR lease_until <= clock_timestamp()))
"""  # noqa: S608  constants
