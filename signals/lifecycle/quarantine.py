"""A key fell: nothing the hub received under it since then is believed, and what it undid is done again.

The fall acts when it commits, for reads ask signals_distrust themselves; it takes a position of its own in every feed
of its partner. The moves that make it visible to those who had the signals follow in chunks.
"""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from django.db import connection, transaction
from django.db.models import Q, QuerySet

from hub.ledger.record import record
from partners import public
from partners.public import RevokedKeys
from signals import wake
from signals.core.refusals import CannotMove
from signals.core.statement import OPINION, OUTCOME, RETRACTION
from signals.core.states import State
from signals.distrust import fallen_among
from signals.lifecycle.effects.take import lock_issuer
from signals.lifecycle.late import tell_authors
from signals.lifecycle.leave import look_again
from signals.lifecycle.moves import Kind, lock_head, lock_signals, mark_fall, take_positions
from signals.lifecycle.opinions import weigh_again
from signals.lifecycle.publish import record_each, record_moves
from signals.models import Distrust, Signal, Statement

BATCH = 1000
_SHOWN = [State.PUBLISHED.value, State.RESTRICTED.value]
_WORDS = [OPINION, OUTCOME, RETRACTION]
_UNSEEN = [State.VERIFIED.value, State.HELD.value]


def revoke_compromised_key(
    kid: str, *, partner_id: int, compromised_at: datetime | None, actor: str, at: datetime
) -> RevokedKeys:
    """Revoke a key as compromised since `compromised_at` (None: for all its time), with all it endorsed since.

    Refuses what partners.public.revoke_key refuses. Quarantine begins with this commit.
    """
    with transaction.atomic():
        lock_issuer(partner_id)  # none of the partner's batches is half done: it came before, or finds the key fallen
        fallen = public.revoke_key(kid, partner_id=partner_id, compromised_at=compromised_at, actor=actor, at=at)
        for key in fallen.keys:
            Distrust.objects.update_or_create(
                key_id=key.id, defaults={"since": key.compromised_at, "at": at, "is_settled": False}
            )
        for member in sorted(public.programmes_of(partner_id, at=at), key=lambda member: member.programme_id):
            for key in fallen.keys:
                head = mark_fall(member.programme_id, key_id=key.id, since=key.compromised_at, at=at)
                wake.changed(member.programme_id, head)
        wake.publish()
        wake.deliver()
    return fallen


def settle_fallen_keys(*, at: datetime) -> int:
    """Move up to 1,000 signals that a fallen key touches; returns how many. The sweep calls it until that is none.

    One worker at a time settles a key: whoever finds nothing left to move says so for good.
    """
    while True:
        with transaction.atomic():
            unsettled = Distrust.objects.select_for_update(skip_locked=True).filter(is_settled=False)
            fallen = unsettled.order_by("at", "key_id").first()
            if fallen is None:
                return 0
            moved = _quarantine(fallen, at=at) or _undo_statements(fallen, at=at)
            if moved:
                return moved
            fallen.is_settled = True
            fallen.save(update_fields=["is_settled"])


def clear(signal_id: UUID, *, actor: str, at: datetime) -> Signal:
    """A person looked at a quarantined signal and lets it stand: it is served again, at a new position.

    One that had been held before anybody saw it is held again. Refuses CannotMove.
    """
    with transaction.atomic():
        signal = lock_signals([signal_id]).get(signal_id)
        if signal is None or signal.state != State.QUARANTINED.value:
            raise CannotMove("Only a quarantined signal can be cleared.")
        if signal.expires_at <= at:
            raise CannotMove("The signal has expired while it was quarantined.")
        signal.is_cleared = True
        signal.save(update_fields=["is_cleared"])
        _reinstate([signal], at=at)
        record("signal.restored", actor=actor, at=at, subjects=[f"signal:{signal.id}"], facts={"reason": "cleared"})
    signal.refresh_from_db()
    return signal


def _quarantine(fallen: Distrust, *, at: datetime) -> int:
    touched = _touched(fallen).filter(state__in=[*_SHOWN, *_UNSEEN])
    programme_id = touched.order_by("received_at").values_list("programme_id", flat=True).first()
    if programme_id is None:
        return 0
    slug = public.programme_by_id(programme_id).slug
    chosen = list(touched.filter(programme_id=programme_id).values_list("id", flat=True)[:BATCH])
    rows = list(touched.filter(id__in=chosen).order_by("id").select_for_update())
    shown = [row.id for row in rows if row.state in _SHOWN]
    hidden = [row for row in rows if row.state in _UNSEEN]
    unrouted = [row.id for row in hidden if not _said_it(fallen, row)]
    _await_another_routing(unrouted)
    tell_authors(unrouted, state=State.VERIFIED, waiting="routing", at=at)
    unseen = [row.id for row in hidden if _said_it(fallen, row)]
    Signal.objects.filter(id__in=unseen).update(state=State.QUARANTINED.value, removal="quarantined", removed_at=at)
    record_each("signal.quarantined", unseen, slug, at=at)
    tell_authors([*unseen, *shown], state=State.QUARANTINED, at=at)
    if shown:
        taken = take_positions(programme_id, shown, kind=Kind.QUARANTINED, at=at)
        record_moves("signal.quarantined", slug, taken)
        wake.changed(programme_id, taken.to)
        wake.deliver()
    return len(chosen)


def _said_it(fallen: Distrust, signal: Signal) -> bool:
    """Whether the signal itself was said under the key, and not its routing alone."""
    return signal.key_id == fallen.key_id and (fallen.since is None or signal.received_at >= fallen.since)


def _await_another_routing(ids: list[UUID]) -> None:
    """Signals that nobody has seen, routed under the key: whom it named counts no more, and they wait again."""
    Signal.objects.filter(id__in=ids).update(
        is_awaiting_routing=True, audience="only", audience_partners=[], routing_key_id=None, routed_at=None
    )
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM signals_route WHERE signal_id = ANY(%s)", [ids])


def _undo_statements(fallen: Distrust, *, at: datetime) -> int:
    """Up to 1,000 of what the key said about signals count no more; what it alone had withdrawn comes back."""
    said = Statement.objects.filter(key_id=fallen.key_id, effect__in=["effective", "waiting"])
    said = said.filter(typ__in=["withdrawal+jws", "routing+jws", *_WORDS])
    said = said if fallen.since is None else said.filter(received_at__gte=fallen.since)
    chosen = list(said.values_list("id", "signal_id", "typ")[:BATCH])
    if not chosen:
        return 0
    signals = lock_signals({row[1] for row in chosen if row[1] is not None and row[2] == "withdrawal+jws"})
    Statement.objects.filter(id__in=[row[0] for row in chosen]).update(effect="undone")
    record("statement.undone", actor="system:publisher", at=at, facts={"count": len(chosen), "key": fallen.key_id})
    weigh_again({row[1] for row in chosen if row[1] is not None and row[2] in _WORDS})
    others = Statement.objects.filter(typ="withdrawal+jws", effect="effective", signal_id__in=signals)
    others = others.order_by("-received_at")
    stands = dict(others.values_list("signal_id", "id"))  # the first that still counts
    undone = {row[0] for row in chosen}
    back = []
    for signal in signals.values():
        if signal.state != State.WITHDRAWN.value or signal.withdrawal_id not in undone:
            continue
        if signal.id in stands:
            Signal.objects.filter(id=signal.id).update(withdrawal_id=stands[signal.id])
        elif signal.expires_at > at:
            back.append(signal)
    _reinstate(back, at=at)
    return len(chosen)


def _reinstate(signals: list[Signal], *, at: datetime) -> None:
    """Serve removed signals again, unless their own key has fallen: those that were out move, the others wait again.

    Those of a partner that has left since go once more, by the rule of its leaving.
    """
    look_again(signals)
    by_programme: dict[int, list[Signal]] = {}
    for signal in signals:
        by_programme.setdefault(signal.programme_id, []).append(signal)
    for programme_id, coming in sorted(by_programme.items()):
        slug = public.programme_by_id(programme_id).slug
        lock_head(programme_id, at=at)  # a fall takes it too: it came before and is seen here, or sees what we do
        fallen = fallen_among({signal.id for signal in coming})
        standing = [signal for signal in coming if signal.id not in fallen]
        doubtful = Signal.objects.filter(id__in=fallen, state=State.WITHDRAWN.value)
        doubtful.update(
            state=State.QUARANTINED.value, removal="quarantined", withdrawal_id=None
        )  # a person may clear it
        rows = Signal.objects.filter(id__in=[signal.id for signal in standing])
        rows.update(withdrawal_id=None)
        unseen = rows.filter(revision=0)
        record_each("signal.restored", list(unseen.values_list("id", flat=True)), slug, at=at)
        unseen.update(state=State.VERIFIED.value, removal="", removed_at=None)
        held = rows.filter(revision=0).exclude(held_reasons=[])
        held.update(state=State.HELD.value)  # nobody had approved it
        tell_authors(held.values_list("id", flat=True), state=State.HELD, at=at)
        again = rows.filter(revision=0, held_reasons=[]).values_list("id", flat=True)
        tell_authors(again, state=State.VERIFIED, at=at)
        moving = [signal.id for signal in standing if signal.revision > 0]
        if moving:
            taken = take_positions(programme_id, moving, kind=Kind.RESTORED, at=at)
            record_moves("signal.restored", slug, taken)
            tell_authors(moving, state=State.PUBLISHED, at=at)
            wake.changed(programme_id, taken.to)
    wake.publish()
    wake.deliver()


def _touched(fallen: Distrust) -> QuerySet[Signal]:
    """The signals that the key said, or routed, while it was not to be believed."""
    said, routed = Q(key_id=fallen.key_id), Q(routing_key_id=fallen.key_id)
    if fallen.since is not None:
        said, routed = said & Q(received_at__gte=fallen.since), routed & Q(routed_at__gte=fallen.since)
    return Signal.objects.filter(said | routed, is_cleared=False)
