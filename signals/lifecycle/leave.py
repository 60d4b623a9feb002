"""A partner leaves a programme, or the hub for good, in one act; what it said and what it holds have a fate from then.

With the act: its membership ends (and its keys, for good), what becomes of its signals is fixed by the programme's
rule, and it is asked to sign that it has erased everything. Its endpoints hear their last word by delivery; the sweep
withdraws what is to be withdrawn. Lock order: the issuer's turn, then the rows of partners, then signals, then the
departure, then the head; the sweep begins at the departure, and waits for no signal.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from uuid import UUID, uuid4

from django.db import connection, transaction
from django.db.models import Q, QuerySet

from hub.ledger.leaf import Json
from hub.ledger.record import Event, record, record_many
from partners import public
from partners.public import MembershipFacts
from signals import wake
from signals.core.leaving import RECEIPT_DUE, Fate
from signals.core.notices import NoticeKind
from signals.core.refusals import NotFound
from signals.core.states import LIVE, State
from signals.lifecycle.effects.take import lock_issuer
from signals.lifecycle.moves import Kind, take_positions
from signals.lifecycle.notices import notify
from signals.models import Departure, Signal, Submission

BATCH = 1000
_SYSTEM = "system:leaving"
_SEEN = {state.value for state in LIVE}
_UNSEEN = Q(state__in=[State.VERIFIED.value, State.HELD.value]) | Q(state=State.QUARANTINED.value, revision=0)
_ALL = Q(state__in=[*_SEEN, State.VERIFIED.value, State.HELD.value, State.QUARANTINED.value])
_AT_ONCE = 100  # departures that one turn of the sweep looks at


def leave_programme(partner_slug: str, programme_slug: str, *, actor: str, at: datetime) -> Departure:
    """The partner's membership ends, for this stay. The same again gives the same departure.

    Refuses NotFound for who was never in it.
    """
    with transaction.atomic():
        partner_id = _turn_of(partner_slug)
        at = _end(at)
        member = public.membership(partner_id, programme_slug, at=at)
        if member is None:
            raise NotFound("This partner has never been in that programme.")
        public.end_membership(partner_slug, programme_slug, actor=actor, at=at)
        departure = _depart(member, actor=actor, at=at)
        wake.deliver()
    return departure


def leave_hub(partner_slug: str, *, actor: str, at: datetime) -> list[Departure]:
    """The partner leaves every programme and the hub, for good: its signing keys are retired, its API keys revoked.

    Refuses NotFound, and what partners.public.leave_hub refuses.
    """
    with transaction.atomic():
        partner_id = _turn_of(partner_slug)
        at = _end(at)
        members = {member.programme_slug: member for member in public.programmes_of(partner_id, at=at)}
        ended = public.leave_hub(partner_slug, actor=actor, at=at)
        departures = [_depart(members[slug], actor=actor, at=at) for slug in ended]
        wake.deliver()
    return departures


def leave_again(
    departure_id: UUID,
    partner_slug: str,
    programme_slug: str,
    *,
    generation: int,
    fate: Fate,
    due_at: datetime,
    at: datetime,
) -> None:
    """After a restore: ask again for what was asked for since the backup, under the same reference and the same time.

    What becomes of the partner's signals is what it was then. The stay counts as the last so far, so that the next has
    a number, and a departure, of its own. Refuses NotFound.
    """
    actor = "system:restore"
    with transaction.atomic():
        member = public.membership(_turn_of(partner_slug), programme_slug, at=at)
        if member is None:
            raise NotFound("This partner has never been in that programme.")
        public.end_membership(partner_slug, programme_slug, generation=generation, actor=actor, at=at)
        known = Departure.objects.filter(
            partner_id=member.partner_id, programme_id=member.programme_id, generation=generation
        )
        if not known.exists():
            _ask(departure_id, member, generation=generation, fate=fate, due_at=due_at, actor=actor, at=at)


def hold(partner_slug: str) -> None:
    """Lock what leaving looks at, in the order in which it does, until the caller's transaction ends."""
    partner_id = _turn_of(partner_slug)
    public.hold_memberships(partner_id)  # with the programmes, whose rule says what becomes of the signals
    public.hold_keys(partner_id)


def left_to_withdraw(departure: Departure) -> int:
    """How many of its signals are still to be withdrawn."""
    return _said(departure).count()


def settle_departures(*, at: datetime) -> int:
    """Withdraw up to 1,000 signals of one leaver, or note that none is left; returns how much there was to do."""
    unsettled = Departure.objects.filter(settled_at=None).order_by("left_at", "id")
    for identity in unsettled.values_list("id", flat=True)[:_AT_ONCE]:
        with transaction.atomic():
            departure = unsettled.select_for_update(skip_locked=True).filter(id=identity).first()
            if departure is None:
                continue
            is_awaited = _is_awaited(departure)  # asked first: what a batch has said by now, the next line sees
            done = _withdraw(departure, at=at) or (0 if is_awaited else _settle(departure, at=at))
        if done:
            wake.deliver()
            return done
    return 0


def look_again(signals: Iterable[Signal]) -> None:
    """These come back: if their issuer has left since it said them, the sweep looks at them anew.

    The caller has locked them, and changes them in this transaction.
    """
    said: dict[tuple[int, int], datetime] = {}
    for signal in signals:
        stay = signal.issuer_id, signal.programme_id
        said[stay] = min(signal.received_at, said.get(stay, signal.received_at))
    for (issuer_id, programme_id), since in sorted(said.items()):
        rows = Departure.objects.filter(partner_id=issuer_id, programme_id=programme_id, left_at__gte=since)
        # Those not yet settled too: whoever is about to settle one has not seen what comes back.
        found = list(rows.order_by("id").select_for_update().values_list("id", flat=True))
        Departure.objects.filter(id__in=found).update(settled_at=None)


def _turn_of(partner_slug: str) -> int:
    found = public.partners_by_slug([partner_slug]).get(partner_slug)
    if found is None:
        raise NotFound("There is no such partner.")
    lock_issuer(found.id)  # none of its batches is half done: it came before, or finds that the membership has ended
    return found.id


def _end(at: datetime) -> datetime:
    """When the stay ends: the database's time now that the partner's turn has come, never before `at`.

    At the door it is not known yet: the turn was waited for behind the partner's batches, and what came in while they
    were worked off was said before the end.
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT greatest(%s, clock_timestamp())", [at])
        end: datetime = cursor.fetchone()[0]
    return end


def _depart(member: MembershipFacts, *, actor: str, at: datetime) -> Departure:
    stay = {"partner_id": member.partner_id, "programme_id": member.programme_id, "generation": member.generation}
    known = Departure.objects.filter(**stay).first()
    if known is not None:
        return known
    fate = Fate(public.programme_by_id(member.programme_id).on_leaving)
    due_at = at + RECEIPT_DUE
    return _ask(uuid4(), member, generation=member.generation, fate=fate, due_at=due_at, actor=actor, at=at)


def _ask(
    departure_id: UUID,
    member: MembershipFacts,
    *,
    generation: int,
    fate: Fate,
    due_at: datetime,
    actor: str,
    at: datetime,
) -> Departure:
    departure = Departure.objects.create(
        id=departure_id,
        partner_id=member.partner_id,
        programme_id=member.programme_id,
        generation=generation,
        left_at=at,
        fate=fate.value,
        due_at=due_at,
    )
    facts: dict[str, Json] = {"fate": departure.fate, "due_at": due_at.isoformat(), "generation": generation}
    subjects = [f"departure:{departure.id}", f"partner:{member.partner_slug}", f"programme:{member.programme_slug}"]
    record("departure.began", actor=actor, at=at, subjects=subjects, facts=facts)
    told: dict[str, Json] = {"programme": member.programme_slug, "departure": str(departure.id)}
    notify(member.partner_id, NoticeKind.DEPARTURE_BEGAN, {**told, "due_at": due_at.isoformat()}, at=at)
    return departure


def _said(departure: Departure) -> QuerySet[Signal]:
    """What is to be withdrawn of what it said up to its leaving: what nobody has seen, and by the rule all the rest.

    What it says once it is back is of another stay.
    """
    said = Signal.objects.filter(issuer_id=departure.partner_id, programme_id=departure.programme_id)
    return said.filter(_UNSEEN if departure.fate == Fate.KEEP else _ALL, received_at__lte=departure.left_at)


def _withdraw(departure: Departure, *, at: datetime) -> int:
    wanted = _said(departure)
    chosen = list(wanted.order_by("id").values_list("id", flat=True)[:BATCH])
    # Whoever has a signal locked may be about to wait for this departure (`look_again`): its turn comes later.
    rows = list(wanted.filter(id__in=chosen).order_by("id").select_for_update(skip_locked=True))
    seen = [row.id for row in rows if row.state in _SEEN]
    unseen = [row.id for row in rows if row.state not in _SEEN]
    slug = public.programme_by_id(departure.programme_id).slug
    Signal.objects.filter(id__in=unseen).update(state=State.WITHDRAWN.value, removal="withdrawn", removed_at=at)
    if seen:
        taken = take_positions(departure.programme_id, seen, kind=Kind.WITHDRAWN, at=at)
        wake.changed(departure.programme_id, taken.to)
    about = f"departure:{departure.id}", f"programme:{slug}"
    why = {"reason": "issuer-left"}
    record_many([Event("signal.withdrawn", _SYSTEM, at, (f"signal:{row.id}", *about), why) for row in rows])
    departure.withdrawn += len(rows)
    departure.save(update_fields=["withdrawn"])
    return len(rows)


def _is_awaited(departure: Departure) -> bool:
    """Whether a batch that came before the end is still being looked at."""
    came = Submission.objects.filter(partner_id=departure.partner_id, state="pending")
    return came.filter(received_at__lte=departure.left_at).exists()


def _settle(departure: Departure, *, at: datetime) -> int:
    """Nothing is left, unless somebody else has it in hand just now."""
    if _said(departure).exists():
        return 0
    departure.settled_at = at
    departure.save(update_fields=["settled_at"])
    facts: dict[str, Json] = {"fate": departure.fate, "withdrawn": departure.withdrawn}
    record("departure.settled", actor=_SYSTEM, at=at, subjects=[f"departure:{departure.id}"], facts=facts)
    return 1
