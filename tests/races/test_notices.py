"""Whoever tells a partner something may stall or roll back before its commit; no notice is lost or doubled by it."""

from __future__ import annotations

import json
import random
from itertools import count

import pytest

from partners.models import Partner
from signals.core.notices import NoticeKind
from signals.lifecycle.notice_feed import read_notices, start_notices
from signals.lifecycle.notices import notify, post_notices
from signals.lifecycle.recalls import tell_recalls
from signals.lifecycle.verify import verify_next
from signals.lifecycle.walk import Place
from signals.models import Notice, NoticeHead, RecallPlace
from tests.builders import a_partner, a_programme
from tests.companies import a_company, now
from tests.races.actors import Actor, let_all_end, let_all_fail
from tests.races.following import Follower

pytestmark = pytest.mark.usefixtures("committed_db")

_numbers = count(1)


class Reader:
    """Follows one partner's notices from the start and remembers every one it was told, in order."""

    def __init__(self, partner: Partner) -> None:
        self.partner = partner
        self.place: Place = start_notices(partner.pk, channel="notices", at=now())
        self.told: list[str] = []

    def read(self) -> None:
        more = True
        while more:
            page = read_notices(self.place, limit=2, at=now())
            self.place, more = page.place, page.more
            self.told += [json.loads(item)["facts"]["kid"] for item in page.items]


def tell(partner: Partner, kid: str) -> None:
    notify(partner.pk, NoticeKind.KEY_RETIRED, {"kid": kid}, at=now())


def test_a_notice_that_commits_late_comes_after_those_that_overtook_it() -> None:
    partner = a_partner(f"late-{next(_numbers)}")
    reader = Reader(partner)
    with Actor("early") as early, Actor("late") as late:
        assert early.begin(lambda: tell(partner, "first inserted"))
        late.do(lambda: tell(partner, "first committed"))
        post_notices(at=now())
        reader.read()
        assert reader.told == ["first committed"]
        early.end()
        post_notices(at=now())
        reader.read()
    assert reader.told == ["first committed", "first inserted"]


@pytest.mark.parametrize("seed", range(6))
def test_in_every_schedule_each_notice_that_committed_is_read_once(seed: int) -> None:
    chance = random.Random(seed)
    partners = [a_partner(f"race-{next(_numbers)}") for _ in range(2)]
    readers = [Reader(partner) for partner in partners]
    committed: list[list[str]] = [[], []]
    writing: dict[Actor, tuple[int, str]] = {}
    with Actor("a") as a, Actor("b") as b, Actor("c") as c, Actor("p") as p, Actor("q") as q:
        writers, posters, names = (a, b, c), (p, q), count(1)
        try:
            for _ in range(60):
                who = chance.choice([*writers, *posters])
                if who.is_busy and who.is_holding:
                    commits = chance.random() < 0.7
                    who.end(commit=commits)
                    if who in writing:
                        index, kid = writing.pop(who)
                        committed[index] += [kid] if commits else []
                elif not who.is_busy and who in posters:
                    who.start(lambda: post_notices(at=now()))
                    who.arrive()
                elif not who.is_busy:
                    index, kid = chance.randrange(2), f"{next(names)}"
                    writing[who] = index, kid
                    who.begin(lambda index=index, kid=kid: tell(partners[index], kid))  # type: ignore[misc]
                chance.choice(readers).read()
            for who, (index, kid) in writing.items():
                who.end()
                committed[index].append(kid)
            let_all_end(*posters)
        finally:
            let_all_fail(*writers, *posters)
    while post_notices(at=now()):
        pass
    for reader, kids in zip(readers, committed, strict=True):
        reader.read()
        assert sorted(reader.told) == sorted(kids), "lost, doubled, or told although it was rolled back"
        places = Notice.objects.filter(partner_id=reader.partner.pk).order_by("position")
        assert list(places.values_list("position", flat=True)) == [*range(1, len(kids) + 1)]
        head = NoticeHead.objects.filter(partner_id=reader.partner.pk).first()
        assert (head.position if head else 0) == len(kids)


def test_a_withdrawal_that_commits_late_is_recalled_once_it_has() -> None:
    programme = a_programme(f"race-{next(_numbers)}")
    acme = a_company(f"acme-{next(_numbers)}", programme)
    birch = Follower(a_company(f"birch-{next(_numbers)}", programme), programme.slug)
    said = [acme.sign(acme.signal(programme=programme.slug)) for _ in range(2)]
    acme.say(*said)
    birch.catch_up()
    RecallPlace.objects.create(programme_id=programme.pk)
    with Actor("withdraws") as withdraws, Actor("tells") as tells, Actor("tells too") as too:
        acme.submit(acme.withdrawal(said[0]))
        assert withdraws.begin(lambda: verify_next(at=now()))
        assert tells.do(lambda: tell_recalls(at=now())) == 0
        withdraws.end()
        assert tells.begin(lambda: tell_recalls(at=now()))
        assert too.do(lambda: tell_recalls(at=now())) == 0, "one at a time reads a programme's log"
        tells.end(commit=False)
        assert too.do(lambda: tell_recalls(at=now())) == 1
        assert tells.do(lambda: tell_recalls(at=now())) == 0
    assert Notice.objects.filter(partner_id=birch.company.partner.pk, kind="recall").count() == 1
