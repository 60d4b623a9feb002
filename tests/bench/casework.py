"""What hangs on a hub's many signals: cases, walks with their disclosures, endpoints with attempts, notices, leaves."""

from __future__ import annotations

import random
import uuid
from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import cycle, islice
from typing import Any

from django.conf import settings
from django.db import connection, transaction

from hub.embedded.postgres import Postgres
from hub.ledger.leaf import Json
from hub.ledger.record import Event, record_many
from signals.core.cases import DUE_WITHIN, REASONS, CaseKind, Outcome
from signals.models import (
    Acknowledgement,
    Appeal,
    Case,
    CaseEvent,
    Endpoint,
    RemedyAsked,
    Signal,
    Walk,
)
from tests.bench import rig
from tests.bench.plenty import DAYS, Plenty, Row, lay_rows, uuid_of

OPEN_SHARE = 100  # one signal in so many has an open case
DECIDED_TO_OPEN = 5
_BEHIND = 3  # companies that have not read for a while
_LEAVES_AT_ONCE = 5_000


def hang(plenty: Plenty, *, now: datetime) -> None:
    """Lay all of it, and let the planner look at it."""
    days = ", ".join(f"signals_make_day('signals_disclosure', current_date - {ago})" for ago in range(DAYS + 2))
    _as_superuser("SET ROLE heliograph_owner", f"SELECT {days}")
    with transaction.atomic():
        _lay_readers(plenty, now=now)
        _lay_cases(plenty, now=now)
    _as_superuser(
        "SELECT setval('signals_arrival', (SELECT max(arrival) + 1 FROM signals_signal))",
        "VACUUM (ANALYZE)",
        "CHECKPOINT",
    )


def lay_cases_of(signals: list[Row], *, chance: random.Random, now: datetime) -> None:
    """The cases of those that are held or disputed."""
    kinds = {"held": CaseKind.HOLD, "restricted": CaseKind.DISPUTE}
    cases = [
        _open(signal["arrival"], kinds[signal["state"]], signal["id"], signal["programme_id"], None, chance, now)
        for signal in signals
        if signal["state"] in kinds
    ]
    lay_rows(Case, cases)
    lay_rows(CaseEvent, [event for case in cases for event in _events_of(case)])


def record_leaves(hub: rig.Rig, plenty: Plenty, *, now: datetime) -> None:
    """A leaf for each signal, of the kind that most are; the hub's own sequencer makes them."""
    slugs = [company.slug for company in plenty.companies]
    waiting = _events(plenty.signals, slugs, now)
    while events := list(islice(waiting, _LEAVES_AT_ONCE)):
        with transaction.atomic():
            record_many(events)
    hub.wait_for_ledger(seconds=1200)


def _events(size: int, slugs: list[str], now: datetime) -> Iterator[Event]:
    start = now - timedelta(days=DAYS)
    for number in range(size):
        at, signal = start + timedelta(days=DAYS) / size * number, f"signal:{uuid_of('signal', number)}"
        actor = f"partner:{slugs[number % len(slugs)]}"
        facts: dict[str, Json] = {
            "submission": str(uuid_of("submission", number // 100)),
            "line": number % 100 + 1,
            "typ": "signal+jws",
        }
        yield Event("statement.accepted", actor, at, (actor, signal, "programme:desk-one"), facts)
        if number % 500 == 0:
            yield Event("value.revealed", f"staff:{number // 500 % 20 + 1}", at, (signal,))


def _as_superuser(*statements: str) -> None:
    """What the hub's own roles may not do."""
    with Postgres(settings.HOME).bootstrap_connection("heliograph") as superuser:
        for each in statements:
            superuser.execute(each.encode())


def _lay_readers(plenty: Plenty, *, now: datetime) -> None:
    """Everybody pulls and says so, and has an endpoint; a few have said nothing, and their endpoint fails."""
    for programme_id, head in plenty.heads.items():
        for number, company in enumerate(plenty.companies):
            partner = company.partner.pk
            at, is_behind = now - timedelta(days=DAYS), number < _BEHIND
            asked = {"partner_id": partner, "programme_id": programme_id, "epoch": 1, "generation": 1, "floor": 0}
            pull = Walk.objects.create(channel="pull", started_at=at, **asked)
            if not is_behind:
                place = {"partner_id": partner, "programme_id": programme_id, "channel": "pull", "position": head}
                Acknowledgement.objects.create(**place, walk=pull, at=now)
            endpoint = Endpoint(
                partner_id=partner,
                programme_id=programme_id,
                url=f"https://hooks.{company.slug}.example/",
                sealed_secret=b"",
                position=head - head // 10 if is_behind else head,
                failures=40 if is_behind else 0,
                next_attempt_at=now + timedelta(days=1),  # nothing is posted meanwhile
                created_at=at,
                verified_at=at,
                last_success_at=now - timedelta(days=30) if is_behind else now,
            )
            endpoint.walk = Walk.objects.create(channel=f"endpoint:{endpoint.id}", started_at=at, **asked)
            endpoint.save()
    with connection.cursor() as cursor:
        laid: dict[str, Any] = {"programmes": list(plenty.heads), "now": now, "notices": plenty.signals // 1000}
        for statement in (_DISCLOSURES, _MINUTES, _ATTEMPTS, _NOTICES):
            cursor.execute(statement, laid)


def _lay_cases(plenty: Plenty, *, now: datetime) -> None:
    """Of partners and appeals, besides those of held and disputed signals; then what has been decided."""
    wanted = plenty.signals // OPEN_SHARE
    chance = random.Random(7)
    subjects: list[tuple[CaseKind, uuid.UUID | None, int, int | None]] = []
    for company in plenty.companies[: wanted // 10]:
        subjects += [(CaseKind.QUALITY, None, each, company.partner.pk) for each in plenty.programmes]
    there = Case.objects.exclude(state="decided").filter(programme_id__in=plenty.programmes).count()
    appealed = max(1, wanted - there - len(subjects))
    rows = Signal.objects.filter(programme_id__in=plenty.programmes, state="published").order_by("-arrival")
    served = list(rows.values_list("id", "programme_id")[: 20 * wanted + 20])
    chance.shuffle(served)
    subjects += [(CaseKind.APPEAL, signal_id, programme_id, None) for signal_id, programme_id in served[:appealed]]
    first = plenty.signals + 1
    cases = [_open(number, *each, chance, now) for number, each in enumerate(subjects, first)]
    kinds = cycle([CaseKind.HOLD] * 6 + [CaseKind.DISPUTE] * 3 + [CaseKind.APPEAL])
    past = islice(zip(kinds, served[appealed:], strict=False), wanted * DECIDED_TO_OPEN)
    decided = [
        _decided(_open(number, kind, *signal, None, chance, now), chance, now)
        for number, (kind, signal) in enumerate(past, first + len(cases))
    ]
    lay_rows(Case, cases + decided)
    lay_rows(CaseEvent, [event for case in cases + decided for event in _events_of(case)])
    partners = [company.partner.pk for company in plenty.companies]
    appeals = [case for case in cases + decided if case["kind"] == CaseKind.APPEAL]
    lay_rows(Appeal, [_appeal(case, chance.choice(partners)) for case in appeals])
    upheld = [case for case in appeals if case["outcome"] == Outcome.UPHELD]
    lay_rows(RemedyAsked, [_remedy(case, partner, chance=chance) for case in upheld for partner in partners])


def _open(
    number: int,
    kind: CaseKind,
    signal_id: uuid.UUID | None,
    programme_id: int,
    partner_id: int | None,
    chance: random.Random,
    now: datetime,
) -> Row:
    """One in five is overdue; one in a thousand is at somebody's desk."""
    opened_at = now - 1.25 * chance.random() * DUE_WITHIN[kind]
    is_claimed = number % 1000 == 0
    return {
        "id": uuid_of("case", number),
        "kind": kind.value,
        "programme_id": programme_id,
        "signal_id": signal_id,
        "partner_id": partner_id,
        "cause": {CaseKind.HOLD: "probation", CaseKind.QUALITY: "flood"}.get(kind, ""),
        "state": "waiting",
        "opened_at": opened_at,
        "due_at": opened_at + DUE_WITHIN[kind],
        "paused_at": None,
        "pause_reason": "",
        "version": 1,
        "holder": "staff:1000000" if is_claimed else "",
        "lease_token": uuid_of("lease", number) if is_claimed else None,
        "lease_until": now + timedelta(hours=8) if is_claimed else None,
        "outcome": "",
        "reason": "",
        "decided_by": "",
        "decided_at": None,
        "before": "",
    }


def _decided(case: Row, chance: random.Random, now: datetime) -> Row:
    outcome = chance.choice(list(REASONS[CaseKind(case["kind"])]))
    opened_at = now - timedelta(days=2 + chance.random() * (DAYS - 3))
    return case | {
        "state": "decided",
        "opened_at": opened_at,
        "due_at": opened_at + DUE_WITHIN[CaseKind(case["kind"])],
        "version": 3,
        "holder": "",
        "lease_token": None,
        "lease_until": None,
        "outcome": outcome.value,
        "reason": chance.choice(list(REASONS[CaseKind(case["kind"])][outcome])),
        "decided_by": f"staff:{1_000_000 + chance.randrange(20)}",
        "decided_at": opened_at + timedelta(hours=20 * chance.random()),
    }


def _events_of(case: Row) -> Iterator[Row]:
    happened = [("opened", "system:cases", case["opened_at"])]
    if case["decided_at"] is not None:
        happened += [(kind, case["decided_by"], case["decided_at"]) for kind in ("claimed", "decided")]
    for kind, actor, at in happened:
        yield {"case_id": case["id"], "kind": kind, "actor": actor, "at": at, "facts": "{}"}


def _appeal(case: Row, partner_id: int) -> Row:
    return {
        "id": uuid.uuid4(),
        "case_id": case["id"],
        "partner_id": partner_id,
        "signal_id": case["signal_id"],
        "reason": "other",
        "evidence": "own-logs",
        "is_at_risk": False,
        "at": case["opened_at"],
    }


def _remedy(case: Row, partner_id: int, *, chance: random.Random) -> Row:
    told_at, is_answered = case["decided_at"], chance.random() < 0.98
    return {
        "id": uuid.uuid4(),
        "case_id": case["id"],
        "partner_id": partner_id,
        "told_at": told_at,
        "due_at": told_at + timedelta(days=7),
        "did": "nothing-held" if is_answered else "",
        "answered_at": told_at + timedelta(days=1) if is_answered else None,
    }


# A page of a hundred changes to every walk, seconds after the last of them.
_DISCLOSURES = r"""
INSERT INTO signals_disclosure (walk_id, from_position, to_position, head, count, root, at)
SELECT walk.id, change.position - 100, change.position, change.position, 100, decode(repeat('00', 32), 'hex'),
       change.at + make_interval(secs => walk.id %% 50)
  FROM signals_walk AS walk JOIN signals_change AS change USING (programme_id)
 WHERE programme_id = ANY (%(programmes)s) AND change.position %% 100 = 0
"""
_MINUTES = r"""
INSERT INTO signals_disclosedminute (id, partner_id, programme_id, channel, minute, disclosure_ids, root, at)
SELECT gen_random_uuid(), walk.partner_id, walk.programme_id, walk.channel, date_trunc('minute', disclosure.at),
       array_agg(disclosure.id ORDER BY disclosure.id), decode(repeat('00', 32), 'hex'), max(disclosure.at)
  FROM signals_disclosure AS disclosure JOIN signals_walk AS walk ON walk.id = disclosure.walk_id
 WHERE walk.programme_id = ANY (%(programmes)s)
 GROUP BY 2, 3, 4, 5
"""
_ATTEMPTS = """
INSERT INTO signals_attempt (endpoint_id, at, kind, webhook_id, signal_count, is_delivered, status, error, latency_ms,
                             settled)
SELECT endpoint.id, %(now)s - make_interval(mins => number), 'batch', 'msg_' || number, 100, endpoint.failures = 0,
       CASE WHEN endpoint.failures = 0 THEN 200 ELSE 503 END, '', 40, true
  FROM signals_endpoint AS endpoint, generate_series(1, 2000) AS number
 WHERE endpoint.programme_id = ANY (%(programmes)s)
"""
_NOTICES = """
INSERT INTO signals_notice (id, partner_id, kind, facts, signal_count, at)
SELECT gen_random_uuid(), partner_id, 'signal.weighed', '{}', 0, %(now)s
  FROM (SELECT DISTINCT partner_id FROM signals_walk WHERE programme_id = ANY (%(programmes)s)) AS partner,
       generate_series(1, %(notices)s) AS number
"""
