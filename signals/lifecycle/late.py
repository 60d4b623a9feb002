"""Tell authors what became of their statements after the submission that held them was answered."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from uuid import UUID

from hub.ledger.leaf import Json
from partners import public
from signals.core.notices import NoticeKind
from signals.core.states import State
from signals.lifecycle.notices import notify
from signals.models import Signal, Statement

BATCH = 1000  # statements told by one notice


def tell_authors(ids: Iterable[UUID], *, state: State, at: datetime, waiting: str | None = None) -> None:
    """Tell the author of each of these signals the state that it has come to, within the caller's transaction.

    `waiting` is "routing" where the signal waits for one. A refused one is told as refused by review.
    """
    wanted = list(ids)
    if not wanted:
        return  # nearly always, where many are published
    signals = list(Signal.objects.filter(id__in=wanted).values_list("id", "issuer_id", "programme_id"))
    said = Statement.objects.filter(signal_id__in=[row[0] for row in signals], typ="signal+jws")
    jtis = dict(said.order_by("received_at").values_list("signal_id", "jti"))  # of the latest revision
    told: dict[tuple[int, int], list[Json]] = {}
    for identity, issuer, programme in signals:
        statement: Json = {"type": "signal", "jti": jtis.get(identity), "signal": str(identity)}
        told.setdefault((issuer, programme), []).append(statement)
    verdict: dict[str, Json] = {"verdict": "accepted", "state": state.value}
    if state is State.REFUSED:
        verdict |= {"verdict": "refused", "code": "refused-by-review"}
    if waiting is not None:
        verdict["waiting"] = waiting
    for (issuer, programme), statements in sorted(told.items()):
        _tell(issuer, public.programme_by_id(programme).slug, verdict, statements, at=at)


def tell_met(statements: Sequence[Statement], *, at: datetime) -> None:
    """Tell that statements which waited for their signal have taken effect on it."""
    _tell_each(statements, {"verdict": "accepted"}, at=at)


def tell_refused(statements: Sequence[Statement], *, code: str, at: datetime) -> None:
    """Tell that statements which waited for their signal were refused when it came; their jtis are free again."""
    _tell_each(statements, {"verdict": "refused", "code": code}, at=at)


def _tell_each(statements: Sequence[Statement], verdict: dict[str, Json], *, at: datetime) -> None:
    told: dict[tuple[int, int], list[Json]] = {}
    for row in statements:
        statement: dict[str, Json] = {"type": row.typ.removesuffix("+jws"), "jti": row.jti}
        if row.signal_id is not None:
            statement["signal"] = str(row.signal_id)
        told.setdefault((row.partner_id, row.programme_id), []).append(statement)
    for (partner, programme), each in sorted(told.items()):
        _tell(partner, public.programme_by_id(programme).slug, verdict, each, at=at)


def _tell(partner: int, programme: str, verdict: dict[str, Json], statements: list[Json], *, at: datetime) -> None:
    for first in range(0, len(statements), BATCH):
        facts = {"programme": programme, **verdict, "statements": statements[first : first + BATCH]}
        notify(partner, NoticeKind.VERDICT_LATE, facts, at=at)
