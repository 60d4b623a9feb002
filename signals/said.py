"""What a partner may read of opinions: its own, whether each still stands, and where a signal it may see stands."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, TypeVar
from uuid import UUID

from django.db.models import QuerySet

from hub.jose import to_base64url
from partners import public
from partners.public import Caller
from signals.core.refusals import NotFound, ParameterInvalid
from signals.core.states import State
from signals.distrust import fallen_among
from signals.models import Opinion, Outcome, Signal, Statement
from signals.queries import reading_member
from signals.voices import heard_of, standing_statements, weighed

_Word = TypeVar("_Word", Opinion, Outcome)
_NOT_FOUND = "There is nothing here that this key may see."


def opinions_of(partner_id: int, *, limit: int, before: str | None) -> tuple[list[dict[str, Any]], str | None]:
    """A partner's own opinions, newest first, and the jti to go on before. Refuses ParameterInvalid."""
    page = _newest(Opinion.objects.filter(partner_id=partner_id), partner_id, limit, before)
    facts = [{"opinion": row.held, "reason": row.reason} for row in page]
    return _page(page, facts, partner_id, limit)


def outcomes_of(partner_id: int, *, limit: int, before: str | None) -> tuple[list[dict[str, Any]], str | None]:
    """A partner's own outcomes, as `opinions_of` has its opinions."""
    page = _newest(Outcome.objects.filter(partner_id=partner_id), partner_id, limit, before)
    facts = [{"did": row.did, "review": row.review, "basis": row.basis, "policy": row.policy} for row in page]
    return _page(page, facts, partner_id, limit)


def standing_document(signal_id: UUID, *, caller: Caller, at: datetime) -> dict[str, Any]:
    """Where a signal stands at this moment, by what members may count.

    Refuses NotFound for one that never was for the caller, and what `reading_member` refuses.
    """
    signal = Signal.objects.filter(id=signal_id).first()
    if signal is None or not _is_for(signal, caller.partner_id):
        raise NotFound(_NOT_FOUND)
    programme = public.programme_by_id(signal.programme_id)
    reading_member(caller, programme.slug, at=at)
    result = weighed(signal, heard_of([signal])[signal.id], gates=programme.gates)
    state = State.QUARANTINED.value if not signal.removal and fallen_among([signal.id]) else signal.state
    permitted = {State.PUBLISHED.value: signal.permitted, State.RESTRICTED.value: ["investigate"]}.get(state, [])
    return {
        "signal": str(signal.id),
        "programme": programme.slug,
        "state": signal.removal or state,
        "permitted": list(permitted),
        "standing": result.shown.standing.value,
        **result.shown_counts,
    }


def _is_for(signal: Signal, partner_id: int) -> bool:
    if signal.published_at is None:
        return False
    if signal.issuer_id == partner_id or signal.audience == "programme":
        return True
    return (partner_id in signal.audience_partners) == (signal.audience == "only")


def _said(partner_id: int, jti: str) -> list[UUID]:
    if "\0" in jti:  # which no text of the database holds
        return []
    return list(Statement.objects.filter(partner_id=partner_id, jti=jti).values_list("id", flat=True))


def _newest(rows: QuerySet[_Word], partner_id: int, limit: int, before: str | None) -> list[_Word]:
    """One more than asked for, which says that there are more."""
    rows = rows.order_by("-number")
    if before is not None:
        last = rows.filter(statement_id__in=_said(partner_id, before)).first()
        if last is None:
            raise ParameterInvalid("`before` is `next` of an earlier page.", parameter="before")
        rows = rows.filter(number__lt=last.number)
    return list(rows[: limit + 1])


def _page(
    page: Sequence[Opinion | Outcome], facts: Sequence[dict[str, Any]], partner_id: int, limit: int
) -> tuple[list[dict[str, Any]], str | None]:
    more, page = len(page) > limit, page[:limit]
    rows = Statement.objects.filter(id__in=[row.statement_id for row in page])
    named = {identity: (jti, bytes(digest)) for identity, jti, digest in rows.values_list("id", "jti", "digest")}
    table = page[0]._meta.db_table if page else "signals_opinion"
    stand = standing_statements(table, partner_id, [row.signal_id for row in page])
    documents = [
        {
            "jti": named[row.statement_id][0],
            "digest": to_base64url(named[row.statement_id][1]),
            "signal": str(row.signal_id),
            "received_at": row.received_at,
            "stands": row.statement_id in stand,
            **about,
        }
        for row, about in zip(page, facts, strict=False)
    ]
    return documents, documents[-1]["jti"] if more else None
