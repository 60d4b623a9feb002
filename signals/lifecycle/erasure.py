"""A partner that left signs that it has erased everything; where it cannot, a member of staff notes what is known.

Its API keys are gone, so the receipt needs none: the reference is unguessable, and the signature says who speaks. A key
that leaving retired still counts for this one statement (docs/decisions/0083).
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.db.models import Q

from hub.ledger.leaf import Json
from hub.ledger.record import Event, record_many
from hub.refusal import Refusal
from partners import public
from partners.public import SigningKeyFacts
from signals.core import claims as rules
from signals.core import statement
from signals.core.claims import ErasureClaims
from signals.core.leaving import Erasure, Standing, is_key_of_leaver, standing
from signals.core.refusals import (
    CannotMove,
    KeyNotActive,
    LineRefusal,
    NotFound,
    ReceiptRefused,
    Schema,
    UnknownKey,
    UnsupportedType,
)
from signals.core.statement import Jws
from signals.models import Departure, Distrust

_NOTHING = "There is no such departure."


def take_receipt(departure_id: UUID, line: bytes, *, at: datetime) -> Departure:
    """The departure, signed for by a compact or flattened `erasure+jws`; signed again changes nothing.

    Refuses NotFound, and ReceiptRefused with the `reason` by the code that a statement would have been refused with.
    """
    departure = Departure.objects.filter(pk=departure_id).first()
    if departure is None:
        raise NotFound(_NOTHING)
    try:
        jws, key, said = _judge(departure, line, at=at)
    except LineRefusal as refusal:
        raise _refused(refusal) from None
    slug = public.partner(departure.partner_id).slug
    with transaction.atomic():
        departure = Departure.objects.select_for_update().get(pk=departure_id)
        if _is_believed(departure, fallen=_fallen([departure])):
            return departure
        departure.key_id, departure.jws, departure.digest = key.id, jws.verbatim, jws.digest
        departure.scope = list(said.scope or ())
        facts: dict[str, Json] = {"digest": jws.digest.hex(), "key": key.kid, "scope": list(departure.scope)}
        _note(departure, Erasure.SIGNED, actor=f"partner:{slug}", at=at, facts=facts)
    return departure


def note_erasure(departure_id: UUID, how: Erasure, *, reason: str, actor: str, at: datetime) -> Departure:
    """What is known of a leaver that cannot sign: shown on paper, or given up. The reason is kept as a commitment.

    Refuses NotFound, and CannotMove where its signed word is there or nothing is said.
    """
    if how not in {Erasure.ON_PAPER, Erasure.GIVEN_UP} or not reason.strip():
        raise CannotMove("Say whether something was shown or the demand is given up, and why.")
    with transaction.atomic():
        departure = Departure.objects.select_for_update().filter(pk=departure_id).first()
        if departure is None:
            raise NotFound(_NOTHING)
        if _is_believed(departure, fallen=_fallen([departure])):
            raise CannotMove("Its partner has signed for it.")
        _note(departure, how, actor=actor, at=at, facts={}, reason=reason.strip())
    return departure


def standings(departures: Collection[Departure], *, at: datetime) -> dict[UUID, Standing]:
    """How each leaver's word stands, in one query for all: one signed with a key that fell since then is owed anew."""
    fallen = _fallen(departures)
    return {
        each.id: standing(
            Erasure(each.erasure), is_believed=_is_believed(each, fallen=fallen), due_at=each.due_at, at=at
        )
        for each in departures
    }


def not_said() -> Q:
    """Which rows of departures wait for the leaver's word, those included whose key may have fallen after it signed."""
    fallen = Distrust.objects.values("key_id")
    return Q(erasure=Erasure.OWED.value) | Q(erasure=Erasure.SIGNED.value, key_id__in=fallen)


def overdue(*, at: datetime) -> int:
    """How many leavers have not said in time that they have erased everything."""
    late = list(Departure.objects.filter(not_said(), due_at__lt=at))
    return sum(stands is Standing.OVERDUE for stands in standings(late, at=at).values())


def own_departures(partner_id: int, *, at: datetime) -> list[dict[str, Json]]:
    """A partner's own departures as it reads them, newest first."""
    rows = list(Departure.objects.filter(partner_id=partner_id).order_by("-left_at", "id")[:100])
    stands, slugs = standings(rows, at=at), public.programme_slugs()
    return [document(row, stands[row.id], slugs[row.programme_id]) for row in rows]


def document_of(row: Departure, *, at: datetime) -> dict[str, Json]:
    """The document of a single one."""
    return document(row, standings([row], at=at)[row.id], public.programme_by_id(row.programme_id).slug)


def document(row: Departure, stands: Standing, programme_slug: str) -> dict[str, Json]:
    """One departure as its partner reads it."""
    return {
        "departure": str(row.id),
        "programme": programme_slug,
        "left_at": row.left_at.isoformat(),
        "signals": row.fate,
        "due_at": row.due_at.isoformat(),
        "state": stands.value,
        "known_since": row.erased_at.isoformat() if row.erased_at and stands.value == row.erasure else None,
    }


def _judge(departure: Departure, line: bytes, *, at: datetime) -> tuple[Jws, SigningKeyFacts, ErasureClaims]:
    jws = statement.parse(line)
    if jws.typ != statement.ERASURE:
        raise UnsupportedType(f"The receipt of a partner that left is {statement.ERASURE}.")
    key = public.signing_keys([jws.kid]).get(jws.kid)
    if key is None or key.partner_id != departure.partner_id:
        raise UnknownKey("No key with this kid is registered for the partner.")
    if not is_key_of_leaver(
        state=key.state, activated_at=key.activated_at, retired_at=key.retired_at, left_at=departure.left_at
    ):
        raise KeyNotActive(f"The key is {key.state}, and was not active when the partner left.")
    statement.verify(jws, key.jwk)
    said = statement.read_claims(jws)
    assert isinstance(said, ErasureClaims)
    rules.check_binding(said, issuer=public.partner(departure.partner_id).slug, hub_id=settings.HUB_ID)
    rules.check_times(said, received_at=at, may_backfill=False)
    if said.departure != str(departure.id):
        raise Schema("The departure is not that of this address.", pointer="/departure")
    if said.programme != public.programme_by_id(departure.programme_id).slug:
        raise Schema("The programme is not the one that was left.", pointer="/programme")
    if said.iat < int(departure.left_at.timestamp()) - rules.MAX_AHEAD.total_seconds():
        raise Schema("This was said before the partner left.", pointer="/iat")
    return jws, key, said


def _refused(refusal: Refusal) -> ReceiptRefused:
    return ReceiptRefused(refusal.detail, pointer=refusal.pointer, reason=refusal.code)


def _fallen(departures: Collection[Departure]) -> dict[int, datetime | None]:
    """Since when the keys that signed are not believed."""
    keys = [each.key_id for each in departures if each.key_id is not None]
    return dict(Distrust.objects.filter(key_id__in=keys).values_list("key_id", "since")) if keys else {}


def _is_believed(departure: Departure, *, fallen: dict[int, datetime | None]) -> bool:
    """Whether it was signed, and with a key that nobody else had by then."""
    if departure.erasure != Erasure.SIGNED or departure.key_id is None or departure.erased_at is None:
        return False
    since = fallen.get(departure.key_id)
    return departure.key_id not in fallen or (since is not None and departure.erased_at < since)


def _note(
    departure: Departure, how: Erasure, *, actor: str, at: datetime, facts: dict[str, Json], reason: str = ""
) -> None:
    departure.erasure, departure.erased_at, departure.noted_by = how.value, at, actor
    departure.save()
    slug = public.partner(departure.partner_id).slug
    programme = public.programme_by_id(departure.programme_id).slug
    subjects = (f"departure:{departure.id}", f"partner:{slug}", f"programme:{programme}")
    private = {"reason": reason} if reason else {}
    about = subjects[:1] if reason else ()
    record_many([Event("departure.erased", actor, at, subjects, {"how": how.value, **facts}, private, about)])
