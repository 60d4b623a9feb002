"""The locked case, the checks that every verb makes of it, and what is written down of each step.

Lock order: the case, then what its decision touches. Leases are judged by the database's clock alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from uuid import UUID, uuid4

from django.db import connection

from hub.ledger.leaf import Json
from hub.ledger.record import Event, record_many
from hub.vault import keyring
from partners import public
from signals.cases.refusals import CaseDecided, CasePaused, CaseTaken, LeaseLost, NoSuchCase, StalePage
from signals.core.cases import CaseEventKind, CaseState
from signals.models import Case, CaseEvent, Signal

TEXT_LIMIT = 4000  # characters of a comment


def lock(case_id: UUID) -> Case:
    """The case, locked until the caller's transaction ends. Refuses NoSuchCase."""
    case = Case.objects.select_for_update().filter(pk=case_id).first()
    if case is None:
        raise NoSuchCase("There is no such case.")
    return case


def lock_undecided(case_id: UUID) -> Case:
    """As `lock`; refuses CaseDecided too."""
    case = lock(case_id)
    if case.state == CaseState.DECIDED:
        raise CaseDecided(
            "What this case was about is gone; nobody has to decide it any more."
            if not case.decided_by
            else f"{case.decided_by} has decided this case at {case.decided_at:%H:%M} UTC: it was {case.outcome}."
        )
    return case


def lock_claimed(case_id: UUID, *, actor: str, token: UUID, version: int | None = None) -> Case:
    """The case that this person holds by this lease, and, where a version is given, as their page showed it.

    Refuses CaseDecided, CaseTaken, LeaseLost, CasePaused and StalePage. Locks the row.
    """
    case = lock_undecided(case_id)
    if case.lease_token != token or case.holder != actor:
        if is_leased(case) and case.holder != actor:
            raise CaseTaken(f"Your claim had run out, and {case.holder} has claimed this case since. Nothing was done.")
        raise LeaseLost("You do not hold this case any more. Nothing was done; claim it again and repeat it.")
    if not is_leased(case):
        raise LeaseLost("Your claim has run out. Nothing was done; claim the case again and repeat it.")
    if case.state == CaseState.PAUSED:
        raise CasePaused("This case is paused. Nothing was done; resume it first.")
    if version is not None and case.version != version:
        raise StalePage("Something happened to this case since the page was drawn. Nothing was done; look again.")
    return case


def is_leased(case: Case) -> bool:
    """Whether somebody's claim runs, by the database's clock at this very moment."""
    if case.lease_until is None:
        return False
    with connection.cursor() as cursor:
        cursor.execute("SELECT %s > clock_timestamp()", [case.lease_until])
        return bool(cursor.fetchone()[0])


def lease_to(case: Case, holder: str, *, duration: timedelta) -> UUID:
    """Give the case to somebody; returns the new token. The caller notes it, which saves the row."""
    case.holder, case.lease_token = holder, uuid4()
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp() + make_interval(secs => %s)", [duration.total_seconds()])
        case.lease_until = cursor.fetchone()[0]
    return case.lease_token


def free(case: Case) -> None:
    """Nobody holds it any more. The caller notes it, which saves the row."""
    case.holder, case.lease_token, case.lease_until = "", None, None


def note(
    case: Case,
    kind: CaseEventKind,
    *,
    actor: str,
    at: datetime,
    facts: Mapping[str, Json] | None = None,
    text: str = "",
    private: Mapping[str, str] | None = None,
) -> None:
    """Save the case one version on, and write down what happened to it: one event, and one leaf of the ledger.

    `facts` are closed words. `text` is what a person wrote: sealed like the value of the signal it is about, and in the
    ledger a commitment only, as are `private` values, which stand sealed in front of it.
    """
    case.version += 1
    case.save()
    said = {name: value for name, value in {**(private or {}), "comment": text.strip()[:TEXT_LIMIT]}.items() if value}
    sealed = _seal(case, said, at=at) if said else None
    CaseEvent.objects.create(case=case, kind=kind.value, actor=actor, at=at, facts=dict(facts or {}), sealed=sealed)
    record_many([leaf(case, f"case.{kind.value}", actor=actor, at=at, facts=facts, private=said)])


def leaf(
    case: Case,
    action: str,
    *,
    actor: str,
    at: datetime,
    facts: Mapping[str, Json] | None = None,
    private: Mapping[str, str] | None = None,
) -> Event:
    """The event of the ledger about a case and what it is about; never `to_partner`."""
    subjects = [f"case:{case.pk}"]
    if case.signal_id is not None:
        subjects.append(f"signal:{case.signal_id}")
    if case.partner_id is not None:
        subjects.append(f"partner:{public.partner(case.partner_id).slug}")
    known: dict[str, Json] = {"kind": case.kind, **(facts or {})}
    return Event(action, actor, at, tuple(subjects), known, private or {}, (subjects[1],) if private else ())


def read(event: CaseEvent) -> dict[str, str]:
    """What a person wrote with an event; empty where nothing was, or where its key is destroyed."""
    if event.sealed is None:
        return {}
    try:
        opened = keyring.open_sealed(bytes(event.sealed), context=_context(event.case_id))
    except (keyring.KeyDestroyed, keyring.CannotOpen):
        return {"comment": "[erased]"}
    lines = (line.partition("=") for line in opened.decode().split("\x00"))
    return {name: value for name, _, value in lines}


def _seal(case: Case, said: Mapping[str, str], *, at: datetime) -> bytes:
    """Under the month in which its signal's value becomes unreadable, so that it does not outlive it.

    What is written later, when that month's key may be destroyed, is sealed under the month of its writing.
    """
    scope, moment = "hub", at
    if case.signal_id is not None:
        signal = Signal.objects.values_list("programme_id", "expires_at").get(pk=case.signal_id)
        scope, moment = f"programme:{public.programme_by_id(signal[0]).slug}", max(signal[1], at)
    whole = "\x00".join(f"{name}={value.replace(chr(0), '')}" for name, value in said.items())
    return keyring.sealer(scope, keyring.month_of(moment)).seal(whole.encode(), context=_context(case.pk))


def _context(case_id: UUID) -> bytes:
    return b"case:" + case_id.bytes
