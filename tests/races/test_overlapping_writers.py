"""Writers overlap, stall and roll back between lock and commit; readers follow meanwhile. Whatever the schedule, at
rest every copy is exactly what its owner may see, and nobody was ever shown what it might not.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import count, pairwise
from typing import Any
from uuid import UUID

import pytest
from heliograph_client import statements
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from hub.vault import keyring
from partners.lifecycle.begin_membership import Terms, begin_membership
from partners.models import Programme
from signals.lifecycle.examine import context
from signals.lifecycle.expire import expire_due
from signals.lifecycle.publish import publish
from signals.lifecycle.quarantine import revoke_compromised_key, settle_fallen_keys
from signals.lifecycle.verify import verify_next
from signals.models import Change, Distrust, Head, Signal, Statement
from tests.builders import a_membership, a_programme, a_signing_key
from tests.chances import chances
from tests.companies import Company, a_company, now, settle
from tests.races.actors import Actor, let_all_end, let_all_fail
from tests.races.following import Document, Follower

pytestmark = pytest.mark.usefixtures("committed_db")

_numbers = count(1)
_people: dict[str, Company] = {}
AUDIENCES = ("programme", "only", "except")
NAMES = ("acme-social", "birch-chat", "cedar-video", "dune-games", "elm-photos", "late-comer")


def company(name: str) -> Company:
    """One company of each name for the whole module; its programmes and keys are each example's own."""
    if name not in _people:
        _people[name] = a_company(name)
    return _people[name]


@dataclass
class World:
    """One programme: two who say and read, three who read, one who comes late, one who is never in it."""

    programme: Programme
    sayers: list[Company]
    followers: dict[str, Follower]
    said: list[tuple[Company, bytes, str]] = field(default_factory=list)  # who, the signal, its audience
    chance: random.Random = field(default_factory=random.Random)
    joined: bool = False

    @classmethod
    def new(cls, seed: int) -> World:
        programme = a_programme(f"race-{next(_numbers)}")
        for name in NAMES[:5]:
            a_membership(company(name).partner, programme)
        sayers = [company(name) for name in NAMES[:2]]
        for sayer in sayers:
            sayer.key = a_signing_key(sayer.partner)  # an earlier example's may have fallen
        followers = {name: Follower(company(name), programme.slug) for name in (*NAMES, "outsider-inc")}
        world = cls(programme, sayers, followers, chance=random.Random(seed))
        for sayer in sayers:
            for audience in AUDIENCES:
                world._say_signal(sayer, audience)
        settle()
        return world

    # ------------------------------------------------------------ what partners say (a submission is committed at once)
    def say(self, what: str, who: int) -> None:
        sayer = self.sayers[who]
        own = [entry for entry in self.said if entry[0] is sayer]
        if what == "signal" or not own:
            self._say_signal(sayer, self.chance.choice(AUDIENCES))
            return
        _, jws, audience = self.chance.choice(own)
        if what == "withdraw":
            sayer.submit(sayer.withdrawal(jws))
        elif what == "widen" and audience == "only":
            sayer.submit(sayer.routing(jws, only=["cedar-video", "dune-games", "elm-photos"]))
        elif what == "widen" and audience == "except":
            sayer.submit(sayer.routing(jws, leave_out=[]))
        elif what == "revise":
            self._revise(sayer, jws, audience)

    def _say_signal(self, sayer: Company, audience: str) -> None:
        asked: dict[str, Any] = {"audience": "programme" if audience == "programme" else "routed"}
        jws = sayer.sign(sayer.signal(programme=self.programme.slug, **asked))
        lines = [jws]
        if audience == "only":
            lines.append(sayer.routing(jws, only=["dune-games"]))
        elif audience == "except":
            lines.append(sayer.routing(jws, leave_out=["elm-photos"]))
        self.said.append((sayer, jws, audience))
        sayer.submit(*lines)

    def _revise(self, sayer: Company, jws: bytes, audience: str) -> None:
        changed: dict[str, Any] = {"confidence": self.chance.randrange(100), "supersedes": _payload(jws)["jti"]}
        asked: dict[str, Any] = {
            "audience": "programme" if audience == "programme" else "routed",
            "programme": self.programme.slug,
        }
        sayer.submit(sayer.sign(sayer.signal(_payload(jws)["indicator"]["value"], **asked, **changed)))

    # ------------------------------------------------------------ what the hub does (in a transaction that stalls)
    def verb(self, name: str) -> Callable[[], object]:
        verbs: dict[str, Callable[[], object]] = {
            "verify": lambda: verify_next(at=now()),
            "publish": lambda: publish(self.programme.pk, at=now()),
            "settle": lambda: settle_fallen_keys(at=now()),
            "expire": lambda: expire_due(at=now()),
            "fall": lambda: revoke_compromised_key(
                self.sayers[0].key.kid,
                partner_id=self.sayers[0].partner.pk,
                compromised_at=None,
                actor="partner:acme-social",
                at=now(),
            ),
        }
        return verbs[name]

    def join(self) -> None:
        if not self.joined:
            self.joined = True
            begin_membership("late-comer", self.programme.slug, Terms(), actor="staff:1", at=now())

    # ------------------------------------------------------------ the reference
    def check_shown(self) -> None:
        """Nobody was ever shown the value of a signal whose audience, as wide as it has become, leaves it out."""
        signals = self._signals()
        for name, follower in self.followers.items():
            allowed = {str(signal.id) for signal in signals if _admits(signal, follower.company)}
            assert follower.copy.values_shown <= allowed, name
            assert {item["id"] for item in follower.copy.shown} <= allowed, name

    def check_page(self, page: Document | None) -> None:
        """A value that was just shown stands at this moment: not removed, and its key has not fallen."""
        shown = [item["id"] for item in page["items"] if "indicator" in item] if page is not None else []
        bad_keys = set(Distrust.objects.values_list("key_id", flat=True))
        for signal in Signal.objects.filter(id__in=shown):
            assert signal.state == "published"
            assert signal.key_id not in bad_keys

    def check_copies(self) -> None:
        """Every copy is what its owner may see, computed from rows in plain words."""
        bad_keys = set(Distrust.objects.values_list("key_id", flat=True))
        jws = {row: jws.decode() for row, jws in self._standing().items()}
        signals = self._signals()
        for name, follower in self.followers.items():
            member = name not in {"outsider-inc", *([] if self.joined else ["late-comer"])}
            expected = {
                str(signal.id): jws[signal.statement_id]
                for signal in signals
                if member
                and signal.state == "published"
                and signal.key_id not in bad_keys
                and _admits(signal, follower.company)
            }
            assert follower.copy.live == expected, name

    def check_feed(self) -> None:
        """Positions are contiguous in commit order, their time never runs backwards, revisions count the moves."""
        changes = list(Change.objects.filter(programme_id=self.programme.pk).order_by("position"))
        head = Head.objects.filter(programme_id=self.programme.pk).first()
        assert [change.position for change in changes] == list(range(1, (head.position if head else 0) + 1))
        assert all(one.at <= other.at for one, other in pairwise(changes))
        moves: dict[UUID, int] = {}
        for change in changes:
            if change.signal_id is not None:
                moves[change.signal_id] = moves.get(change.signal_id, 0) + 1
                assert change.revision == moves[change.signal_id]
        for signal in self._signals():
            assert signal.revision == moves.get(signal.id, 0)
            assert signal.state != "verified" or signal.is_awaiting_routing

    def _signals(self) -> list[Signal]:
        return list(Signal.objects.filter(programme_id=self.programme.pk))

    def _standing(self) -> dict[UUID, bytes]:
        rows = Statement.objects.filter(programme_id=self.programme.pk, typ="signal+jws")
        opened = {row.id: keyring.open_sealed(bytes(row.sealed or b""), context=context(row.id)) for row in rows}
        return {row: said.rpartition(b'"jws":"')[2].rstrip(b'"') for row, said in opened.items()}


def _admits(signal: Signal, reader: Company) -> bool:
    if signal.is_awaiting_routing or signal.issuer_id == reader.partner.pk:
        return False
    if signal.audience == "only":
        return reader.partner.pk in signal.audience_partners
    return reader.partner.pk not in signal.audience_partners


def _payload(jws: bytes) -> dict[str, Any]:
    payload: dict[str, Any] = json.loads(statements.read(jws).payload)
    return payload


@pytest.fixture(scope="module")
def writers() -> Iterator[list[Actor]]:
    with ExitStack() as stack:
        yield [stack.enter_context(Actor(f"writer {number}")) for number in range(3)]


STEPS = st.one_of(
    st.tuples(
        st.just("say"),
        st.sampled_from(["signal", "signal", "signal", "withdraw", "widen", "revise"]),
        st.integers(0, 1),
    ),
    st.tuples(
        st.just("begin"), st.integers(0, 2), st.sampled_from(["verify", "verify", "publish", "publish", "settle"])
    ),
    st.tuples(st.just("end"), st.integers(0, 2), st.sampled_from([True, True, False])),
    st.tuples(st.just("pull"), st.sampled_from([*NAMES, "outsider-inc"]), st.integers(1, 3)),
    st.tuples(st.just("begin"), st.integers(0, 2), st.just("fall")),
    st.tuples(st.sampled_from(["rewalk", "join"]), st.integers(0, 5), st.none()),
)


@settings(
    max_examples=chances(3, 30),
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)
@given(st.lists(STEPS, min_size=15, max_size=45), st.integers(0, 2**32))
def test_whatever_the_schedule_every_copy_is_exact_at_rest(
    writers: list[Actor], schedule: list[tuple[str, Any, Any]], seed: int
) -> None:
    world = World.new(seed)
    try:
        for step in schedule:
            take(world, writers, *step)
            if step[0] == "pull":
                world.check_shown()
        let_all_end(*writers)
    finally:
        let_all_fail(*writers)
    while settle_fallen_keys(at=now()):
        pass
    settle()
    for follower in world.followers.values():
        follower.catch_up(limit=2)
    world.check_shown()
    world.check_copies()
    world.check_feed()


def take(world: World, writers: list[Actor], kind: str, which: Any, how: Any) -> None:
    if kind == "say":
        world.say(which, how)
    elif kind == "pull":
        world.check_page(world.followers[which].pull(limit=how))
    elif kind == "begin" and not writers[which].is_busy:
        writers[which].begin(world.verb(how))
    elif kind == "end" and writers[which].is_holding:
        writers[which].end(commit=how)
        for other in writers:
            if other.is_busy:
                other.arrive()  # behind the next lock, or through
    elif kind == "rewalk":
        world.followers[NAMES[which]].rewalk()
    elif kind == "join":
        world.join()
