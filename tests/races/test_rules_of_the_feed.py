"""Rules 1 to 5 of docs/decisions/0050: audiences, pages, walks, filters, memberships. Each fails without its rule."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest

from partners.lifecycle.begin_membership import Terms, begin_membership
from partners.lifecycle.end_membership import end_membership
from partners.lifecycle.suspend_membership import suspend_membership
from partners.models import Programme
from signals.lifecycle.publish import publish
from signals.lifecycle.purge import forget_tombstones, purge_due
from signals.lifecycle.verify import verify_next
from signals.lifecycle.walk import Place, open_cursor
from signals.models import Signal
from tests.builders import a_programme
from tests.companies import Company, a_company, now, settle
from tests.races import broken
from tests.races.actors import Actor
from tests.races.broken import needs
from tests.races.following import Follower

BY = "staff:1"


@dataclass
class Three:
    """Acme says, birch and cedar read."""

    programme: Programme
    acme: Company
    birch: Company
    cedar: Company

    def follow(self, company: Company) -> Follower:
        return Follower(company, self.programme.slug)


def three() -> Three:
    programme = a_programme("csea")
    return Three(programme, *(a_company(name, programme) for name in ("acme-social", "birch-chat", "cedar-video")))


# ---------------------------------------------------------------- rule 1
@pytest.mark.django_db
def test_1_nobody_who_was_told_can_be_left_out_by_a_later_routing() -> None:
    def scenario() -> None:
        world = three()
        birch = world.follow(world.birch)
        jws = world.acme.sign(world.acme.signal(audience="routed"))
        world.acme.say(jws, world.acme.routing(jws, leave_out=["cedar-video"]))
        birch.catch_up()
        world.acme.say(world.acme.routing(jws, leave_out=["birch-chat"]))
        world.acme.say(world.acme.withdrawal(jws))
        birch.catch_up()
        assert birch.copy.live == {}, "birch holds what it will never be told to drop"

    needs(broken.audiences_may_narrow, scenario)


@pytest.mark.django_db
def test_1_a_wider_audience_is_a_move_so_that_the_new_ones_hear_of_it() -> None:
    def scenario() -> None:
        world = three()
        cedar = world.follow(world.cedar)
        jws = world.acme.sign(world.acme.signal(audience="routed"))
        world.acme.say(jws, world.acme.routing(jws, leave_out=["cedar-video"]))
        cedar.catch_up()
        world.acme.say(world.acme.routing(jws, leave_out=[]))
        assert len(cedar.catch_up().live) == 1

    needs(broken.widening_is_no_move, scenario)


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("variant", "audience"),
    [(broken.except_ignored, {"leave_out": ["cedar-video"]}), (broken.only_ignored, {"only": ["birch-chat"]})],
)
def test_1_whoever_is_outside_an_audience_is_shown_nothing(
    variant: broken.Variant, audience: dict[str, list[str]]
) -> None:
    def scenario() -> None:
        world = three()
        birch, cedar = world.follow(world.birch), world.follow(world.cedar)
        jws = world.acme.sign(world.acme.signal(audience="routed"))
        world.acme.say(jws, world.acme.routing(jws, **audience))
        birch.catch_up()
        cedar.catch_up()
        world.acme.say(world.acme.withdrawal(jws))
        birch.catch_up()
        cedar.catch_up()
        assert len(birch.copy.shown) == 2
        assert cedar.copy.shown == []

    needs(variant, scenario)


# ---------------------------------------------------------------- rule 2 and the one mechanism
@pytest.mark.usefixtures("committed_db")
def test_positions_follow_the_order_of_commits_so_that_no_late_commit_is_skipped() -> None:
    world = three()
    birch = world.follow(world.birch)
    said: list[str] = []

    def late_commit(first: Actor, second: Actor) -> None:
        """Acme's signal takes its place first and commits last; a reader looks in between."""
        for company in (world.acme, world.cedar):
            company.submit(company.sign(company.signal()))
            verify_next(at=now())
            holds = (first if company is world.acme else second).begin(lambda: publish(world.programme.pk, at=now()))
            said.append("held" if holds else "waits")
        if second.is_holding:
            second.end()
        birch.catch_up()
        first.end()
        if second.is_busy:
            second.arrive()
            second.end()
        birch.catch_up()

    with Actor("first") as first, Actor("second") as second:
        late_commit(first, second)
        assert said == ["held", "waits"]
        assert len(birch.copy.live) == 2
        with broken.positions_before_commit():
            late_commit(first, second)
    assert said[2:] == ["held", "held"]
    assert Signal.objects.filter(state="published").count() == 4
    assert len(birch.copy.live) < 4, "the reader went past a signal that was not committed yet"


@pytest.mark.django_db
def test_2_a_page_and_its_next_cursor_are_one_snapshot() -> None:
    world: list[Three] = []

    def scenario() -> None:
        world[:] = [three()]
        birch = world[0].follow(world[0].birch)
        birch.catch_up()
        birch.catch_up()
        assert len(birch.copy.live) == Signal.objects.filter(state="published").count()

    def publish_one() -> None:
        world[0].acme.say(world[0].acme.sign(world[0].acme.signal()))

    needs(lambda: broken.head_read_later(publish_one), scenario)


@pytest.mark.django_db
def test_2_limits_count_what_the_reader_may_see() -> None:
    def scenario() -> None:
        world = three()
        acme = world.acme
        for number in range(6):
            jws = acme.sign(acme.signal(audience="routed"))
            acme.say(jws, acme.routing(jws, leave_out=["cedar-video"] if number % 2 else []))
        cedar = world.follow(world.cedar)
        pages = [cedar.pull(limit=2), cedar.pull(limit=2)]
        assert [len(page["items"]) if page else None for page in pages] == [2, 1]
        assert [page["more"] for page in pages if page] == [True, False]

    needs(broken.limits_count_hidden_rows, scenario)


# ---------------------------------------------------------------- rule 3
@pytest.mark.django_db
def test_3_a_new_walk_never_wades_through_old_tombstones() -> None:
    def scenario() -> None:
        world = three()
        for _ in range(3):
            jws = world.acme.sign(world.acme.signal())
            world.acme.say(jws, world.acme.withdrawal(jws))
            jws = world.acme.sign(world.acme.signal())
            world.acme.say(jws)
            world.acme.say(world.acme.withdrawal(jws))
        page = world.follow(world.birch).pull()
        assert page is not None
        assert page["items"] == []
        assert page["listed"]

    needs(broken.floor_ignored, scenario)


@pytest.mark.django_db
def test_3_a_reader_that_slept_past_a_forgotten_tombstone_is_told_to_walk_again() -> None:
    needs(broken.forgotten_tombstones_ignored, _sleeper)


@pytest.mark.django_db
def test_3_the_walk_that_follows_says_listed_and_the_reader_drops_what_it_did_not_list() -> None:
    needs(broken.never_listed, _sleeper)


def _sleeper() -> None:
    world = three()
    birch = world.follow(world.birch)
    jws = world.acme.sign(world.acme.signal())
    world.acme.say(jws)
    birch.catch_up()
    world.acme.say(world.acme.withdrawal(jws))
    _forget_everything()
    birch.catch_up()
    birch.catch_up()
    assert birch.copy.live == {}, "birch keeps a withdrawn signal for ever"


@pytest.mark.django_db
def test_3_a_tombstone_forgotten_between_two_looks_is_not_missed() -> None:
    """The cursor was good when it was opened; the page itself finds that it no longer is."""

    def scenario() -> None:
        world = three()
        birch = world.follow(world.birch)
        jws = world.acme.sign(world.acme.signal())
        world.acme.say(jws)
        birch.catch_up()
        world.acme.say(world.acme.withdrawal(jws))
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("tests.races.following.open_cursor", _open_then_forget)
            birch.pull()
        birch.catch_up()
        assert birch.copy.live == {}

    needs(broken.page_forgets_nothing, scenario)


def _open_then_forget(*args: Any, **kwargs: Any) -> Place:
    place = open_cursor(*args, **kwargs)
    _forget_everything()
    return place


def _forget_everything() -> None:
    later = now() + timedelta(days=200)
    assert purge_due(at=later) == 1
    assert forget_tombstones(at=later) == 1


# ---------------------------------------------------------------- rule 4
@pytest.mark.django_db
def test_4_a_new_filter_is_a_new_walk() -> None:
    def scenario() -> None:
        world = three()
        birch = world.follow(world.birch)
        acme = world.acme
        acme.say(acme.sign(acme.signal()), acme.sign(acme.signal("0" * 31 + "1", type="md5")))
        birch.filter = {"types": ["url"]}
        birch.catch_up()
        birch.filter = {}
        birch.catch_up()
        assert len(birch.copy.live) == 2

    needs(lambda: broken.filters_may_change(since={"types": ["url"]}), scenario)


# ---------------------------------------------------------------- rule 5
@pytest.mark.django_db
def test_5_whoever_comes_back_reads_everything_again() -> None:
    def scenario() -> None:
        world = three()
        birch = world.follow(world.birch)
        world.acme.say(world.acme.sign(world.acme.signal()))
        birch.catch_up()
        cursor = birch.cursor
        end_membership("birch-chat", "csea", actor=BY, at=now())
        birch.pull()
        assert birch.copy.live == {}
        begin_membership("birch-chat", "csea", Terms(), actor=BY, at=now())
        birch.cursor = cursor
        birch.catch_up()
        assert len(birch.copy.live) == 1

    needs(broken.generation_ignored, scenario)


@pytest.mark.django_db
def test_5_a_suspended_member_is_served_nothing() -> None:
    world = three()
    suspend_membership("birch-chat", "csea", actor=BY, at=now())
    world.acme.say(world.acme.sign(world.acme.signal()))
    settle()
    birch = world.follow(world.birch)
    assert birch.pull() is None
    assert world.birch.feed()["code"] == "membership-suspended"


@pytest.mark.django_db
def test_5_who_has_left_is_told_to_erase_everything_of_every_walk() -> None:
    world = three()
    world.acme.say(world.acme.sign(world.acme.signal()))
    page = world.birch.feed()
    end_membership("birch-chat", "csea", actor=BY, at=now())
    answer = world.birch.feed(after=page["next"])
    assert (answer["code"], answer["erase"], answer["walk"]) == ("membership-ended", "all", page["walk"])
