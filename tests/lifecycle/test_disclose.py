"""Disclosures: exactly what each page held is computed again from rows that outlive purge."""

from __future__ import annotations

import random
from datetime import timedelta
from uuid import UUID

import pytest

from hub.vault import keyring
from partners import public
from partners.models import Programme
from signals.lifecycle.disclose import read_page, reader_of
from signals.lifecycle.expire import expire_due
from signals.lifecycle.moves import root_of_pairs
from signals.lifecycle.purge import forget_tombstones, purge_due
from signals.lifecycle.quarantine import clear, revoke_compromised_key, settle_fallen_keys
from signals.lifecycle.walk import start_walk
from signals.models import Change, Disclosure, Signal, Statement, Unsummed, Walk
from tests.builders import a_programme, a_signing_key
from tests.chances import chances
from tests.companies import Company, a_company, now, settle
from tests.races.following import Follower

pytestmark = pytest.mark.django_db

_GONE = {"withdrawn", "expired", "quarantined"}
_SERVED_ANEW = {"published", "restored"}


def pairs_of(disclosure: Disclosure) -> list[tuple[UUID, int]]:
    """What a page held (docs/decisions/0050, rule 11), from rows that outlive purge: walks, changes and statements."""
    walk = disclosure.walk
    assert walk.programme_id is not None
    log = list(
        Change.objects.filter(programme_id=walk.programme_id, position__lte=disclosure.head).order_by("position")
    )
    latest = {change.signal_id: change for change in log if change.signal_id is not None}
    inside = [c for c in latest.values() if disclosure.from_position < c.position <= disclosure.to_position]
    held = [c for c in inside if _is_for(c, walk) and (c.position > walk.floor or not _is_tombstone(c, log))]
    return [(c.signal_id, c.revision) for c in sorted(held, key=lambda c: c.position) if c.signal_id is not None]


def _is_for(change: Change, walk: Walk) -> bool:
    [signal] = Signal.objects.filter(id__in=[change.signal_id])
    wanted = walk.filter
    if change.audience == "only" and walk.partner_id not in change.audience_partners:
        return False
    if change.audience == "except" and walk.partner_id in change.audience_partners:
        return False
    if signal.issuer_id == walk.partner_id and not wanted.get("own"):
        return False
    facts = {"types": signal.indicator_type, "violations": signal.violation, "issuers": signal.issuer_id}
    return all(value in wanted[name] for name, value in facts.items() if wanted.get(name))


def _is_tombstone(change: Change, log: list[Change]) -> bool:
    """By what it says, or because a key under it had fallen by the page's head and no person had let it stand since."""
    if change.kind in _GONE:
        return True
    [said] = Statement.objects.filter(id__in=[change.statement_id])
    routings = Statement.objects.filter(signal_id=change.signal_id, typ="routing+jws", received_at__lte=change.at)
    under = [said, *routings.order_by("-received_at")[:1]]
    falls = [fall for fall in log if fall.kind == "key-fell" and any(_touches(fall, row) for row in under)]
    if not falls:
        return False
    own = [c for c in log if c.signal_id == change.signal_id and c.statement_id == change.statement_id]
    return not any(c.kind in _SERVED_ANEW and c.position > falls[0].position for c in own)


def _touches(fall: Change, said: Statement) -> bool:
    return fall.key_id == said.key_id and (fall.key_since is None or said.received_at >= fall.key_since)


class Season:
    """A long life in one programme, by chance: everything that can happen, and readers who look now and then."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.programme: Programme = a_programme("csea")
        names = ("acme-social", "birch-chat", "cedar-video")
        self.acme, self.birch, self.cedar = (a_company(name, self.programme) for name in names)
        self.readers = [
            Follower(self.birch, "csea"),
            Follower(self.cedar, "csea"),
            Follower(self.cedar, "csea", filter={"types": ["md5"]}),
            Follower(self.acme, "csea", filter={"own": True}),
        ]
        self.said: list[tuple[dict[str, object], bytes]] = []
        self.bad = a_signing_key(self.acme.partner)

    def happen(self) -> None:
        what = self.chance.choice(
            ["say", "say", "say", "withdraw", "revise", "widen", "fall", "settle", "clear", "look"]
        )
        getattr(self, what)()
        if self.chance.random() < 0.4:
            self.look()

    def say(self) -> None:
        acme, routed = self.acme, self.chance.random() < 0.5
        key = self.chance.choice([acme.key, self.bad])
        shape = self.chance.choice(
            [("url", f"https://bad.example/{len(self.said)}"), ("md5", f"{len(self.said) + 1:032x}")]
        )
        payload = acme.signal(shape[1], type=shape[0], audience="routed" if routed else "programme")
        jws = acme.sign(payload, key=key)
        acme.say(jws, *([acme.routing(jws, leave_out=["cedar-video"])] if routed else []))
        self.said.append((payload, jws))

    def withdraw(self) -> None:
        if self.said:
            key = self.chance.choice([self.acme.key, self.bad])
            self.acme.say(self.acme.withdrawal(self.chance.choice(self.said)[1], key=key))

    def revise(self) -> None:
        if self.said:
            payload = dict(self.chance.choice(self.said)[0])
            self.acme.said += 1
            payload |= {"supersedes": payload["jti"], "jti": f"again-{self.acme.said}", "confidence": 7}
            self.acme.say(self.acme.sign(payload))

    def widen(self) -> None:
        if self.said:
            self.acme.say(self.acme.routing(self.chance.choice(self.said)[1], leave_out=[]))

    def fall(self) -> None:
        revoke_compromised_key(
            self.bad.kid, partner_id=self.acme.partner.pk, compromised_at=None, actor="partner:acme-social", at=now()
        )
        self.bad = a_signing_key(self.acme.partner)

    def settle(self) -> None:
        settle_fallen_keys(at=now())
        settle()

    def clear(self) -> None:
        hidden = Signal.objects.filter(state="quarantined").first()
        if hidden is not None:
            clear(hidden.id, actor="staff:1", at=now())
            settle()

    def look(self) -> None:
        reader = self.chance.choice(self.readers)
        if self.chance.random() < 0.3:
            reader.rewalk()
        reader.pull(limit=self.chance.randrange(1, 5))


def check_all() -> int:
    disclosures = list(Disclosure.objects.select_related("walk"))
    for disclosure in disclosures:
        pairs = pairs_of(disclosure)
        assert len(pairs) == disclosure.count
        assert root_of_pairs(pairs) == bytes(disclosure.root)
    return len(disclosures)


@pytest.mark.chances
@pytest.mark.parametrize("seed", range(1, chances(1, 6) + 1))
def test_what_every_page_held_is_computed_again_from_rows_that_outlive_purge(seed: int) -> None:
    season = Season(seed)
    for _ in range(35):
        season.happen()
    assert check_all() > 5
    far = now() + timedelta(days=800)
    while expire_due(at=far - timedelta(days=400)):
        pass
    for reader in season.readers:
        reader.catch_up(limit=3)
    while purge_due(at=far) + forget_tombstones(at=far):
        pass
    check_all()


def test_a_page_is_recorded_and_waits_for_its_leaf_and_a_silent_one_is_not() -> None:
    season = Season(0)
    season.say()
    reader = season.readers[0]
    for _ in range(3):
        reader.pull()
    assert Disclosure.objects.get().id == Unsummed.objects.get().disclosure_id


def test_a_page_costs_the_same_queries_whatever_it_holds(
    django_assert_num_queries: pytest.FixtureRequest,
) -> None:
    season = Season(0)
    acme: Company = season.acme
    acme.say(*(acme.sign(acme.signal()) for _ in range(30)))
    member = public.membership(season.birch.partner.pk, "csea", at=now())
    assert member is not None
    place = start_walk(member, channel="pull", filter={}, at=now())
    reader = reader_of(member)
    for limit in (1, 30):
        with django_assert_num_queries(3):  # type: ignore[operator]  # savepoint, disclosure, release; and the page
            page = read_page(place, reader=reader, limit=limit, at=now())
            assert len(page.items) == limit


def test_a_page_that_cannot_be_opened_is_neither_shown_nor_recorded() -> None:
    season = Season(0)
    season.acme.say(*(season.acme.sign(season.acme.signal()) for _ in range(3)))
    member = public.membership(season.birch.partner.pk, "csea", at=now())
    assert member is not None
    place = start_walk(member, channel="pull", filter={}, at=now())
    last = Signal.objects.latest("position").statement_id
    Statement.objects.filter(id=last).update(sealed=Statement.objects.exclude(id=last)[0].sealed)

    with pytest.raises(keyring.CannotOpen):
        read_page(place, reader=reader_of(member), limit=10, at=now())

    assert not Disclosure.objects.exists()
