from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
from django.db import transaction
from django.db.models import Model
from pytest_django import DjangoDbBlocker

from partners.core.accountability import Accountability, LawfulBasis
from partners.core.limits import OwnLimits
from partners.core.programmes import PRESETS, ProgrammeSettings
from partners.core.refusals import (
    InvalidApiKeySettings,
    InvalidLimits,
    InvalidProgramme,
    InvalidSlug,
    InvalidTime,
    MissingScope,
    NoSuchApiKey,
    NoSuchMembership,
    NoSuchPartner,
    SlugTaken,
    WrongState,
)
from partners.core.scopes import Scope
from partners.core.states import KeyState, MembershipState
from partners.lifecycle.activate_key import activate_key
from partners.lifecycle.add_partner import add_partner
from partners.lifecycle.add_programme import add_programme
from partners.lifecycle.begin_membership import Terms, begin_membership
from partners.lifecycle.change_accountability import change_accountability
from partners.lifecycle.change_limits import change_limits
from partners.lifecycle.change_membership import change_membership
from partners.lifecycle.change_partner import change_partner
from partners.lifecycle.change_programme import change_programme
from partners.lifecycle.end_membership import end_membership
from partners.lifecycle.issue_api_key import Use, issue_api_key
from partners.lifecycle.part_with_partner import part_with_partner
from partners.lifecycle.probation import begin_probation, end_probation
from partners.lifecycle.propose_key import propose_key
from partners.lifecycle.resume_membership import resume_membership
from partners.lifecycle.resume_partner import resume_partner
from partners.lifecycle.retire_key import retire_key
from partners.lifecycle.revoke_api_key import revoke_api_key
from partners.lifecycle.revoke_key import revoke_key
from partners.lifecycle.roll_api_key import roll_api_key
from partners.lifecycle.suspend_membership import suspend_membership
from partners.lifecycle.suspend_partner import suspend_partner
from partners.models import ApiKey, KeyEndorsement, Membership, Partner, Programme, SigningKey
from tests.builders import (
    NOON,
    KeyPair,
    Who,
    a_membership,
    a_partner,
    a_programme,
    a_signing_key,
    an_api_key,
    an_ed25519_key,
    an_endorsement,
    endorse,
    public_jwk,
)
from tests.partners.conftest import LedgerRefuses, Recorded

pytestmark = pytest.mark.django_db

WHO: Who = {"actor": "staff:1", "at": NOON}
PAIR = ("acme-social", "csea")
ANSWERS = Accountability(
    "Acme Social, 1 Main Street",
    "legal@acme.example",
    "+1 555 0100",
    LawfulBasis.LEGITIMATE_INTERESTS,
    ("us-ca", "DE", "DE"),
)


@dataclass
class World:
    """One active partner in one programme, one partner suspended, one outside everything, keys in every state."""

    active: KeyPair
    proposed: KeyPair
    api_key: str


@pytest.fixture(scope="module")
def _made_once(module_db: None, django_db_blocker: DjangoDbBlocker) -> World:
    with django_db_blocker.unblock():
        return _a_world()


@pytest.fixture
def world(_made_once: World, db: None) -> World:
    return deepcopy(_made_once)


def _a_world() -> World:
    acme, pixel, csea = a_partner(), a_partner("pixel-chat"), a_programme()
    a_partner("newcomer", is_probationary=True)
    a_membership(acme, csea)
    a_membership(pixel, csea, state=MembershipState.SUSPENDED)
    token = an_api_key(acme)
    suspend_partner(a_partner("asleep").slug, **WHO)
    return World(a_signing_key(acme), a_signing_key(acme, state=KeyState.PROPOSED), token.split("_")[2])


def _revoke(world: World) -> None:
    with transaction.atomic():
        revoke_key(world.active.kid, partner_id=world.active.row.partner_id, compromised_at=None, **WHO)


VERBS: dict[str, tuple[str, Callable[[World], Any]]] = {
    "add_partner": ("partner.enrolled", lambda w: add_partner("late-comer", "Late Comer", **WHO)),
    "change_partner": ("partner.changed", lambda w: change_partner("acme-social", name="Acme", **WHO)),
    "change_limits": ("partner.limits-changed", lambda w: change_limits("acme-social", OwnLimits(5, 20, 7), **WHO)),
    "suspend_partner": ("partner.suspended", lambda w: suspend_partner("acme-social", **WHO)),
    "resume_partner": ("partner.resumed", lambda w: resume_partner("asleep", **WHO)),
    "part_with_partner": ("partner.left", lambda w: part_with_partner("newcomer", **WHO)),
    "begin_probation": ("partner.probation-began", lambda w: begin_probation("acme-social", **WHO)),
    "end_probation": ("partner.probation-ended", lambda w: end_probation("newcomer", **WHO)),
    "add_programme": ("programme.created", lambda w: add_programme("ncii", "NCII", PRESETS["ncii"], **WHO)),
    "change_programme": ("programme.changed", lambda w: change_programme("csea", "C", PRESETS["ncii"], **WHO)),
    "begin_membership": ("membership.began", lambda w: begin_membership("newcomer", "csea", Terms(), **WHO)),
    "change_membership": (
        "membership.changed",
        lambda w: change_membership(*PAIR, Terms(may_submit=False), **WHO),
    ),
    "change_accountability": (
        "membership.accountability-changed",
        lambda w: change_accountability(*PAIR, ANSWERS, **WHO),
    ),
    "suspend_membership": ("membership.suspended", lambda w: suspend_membership(*PAIR, **WHO)),
    "resume_membership": ("membership.resumed", lambda w: resume_membership("pixel-chat", "csea", **WHO)),
    "end_membership": ("membership.ended", lambda w: end_membership(*PAIR, **WHO)),
    "propose_key": (
        "key.proposed",
        lambda w: propose_key(public_jwk(an_ed25519_key()), partner_slug="acme-social", **WHO),
    ),
    "endorse_key": ("key.activated", lambda w: endorse(w.proposed, an_endorsement(w.proposed, by=w.active), **WHO)),
    "activate_key": ("key.activated", lambda w: activate_key(w.proposed.kid, partner_slug="acme-social", **WHO)),
    "retire_key": ("key.retired", lambda w: retire_key(w.active.kid, partner_slug="acme-social", **WHO)),
    "revoke_key": ("key.revoked", _revoke),
    "issue_api_key": ("api-key.created", lambda w: issue_api_key("acme-social", Use(frozenset(Scope)), **WHO)),
    "roll_api_key": (
        "api-key.rolled",
        lambda w: roll_api_key(
            w.api_key,
            partner_slug="acme-social",
            asked_with=None,
            old_expires_in=timedelta(hours=1),
            **WHO,
        ),
    ),
    "revoke_api_key": ("api-key.revoked", lambda w: revoke_api_key(w.api_key, partner_slug="acme-social", **WHO)),
}


def _everything() -> list[list[dict[str, Any]]]:
    tables: list[type[Model]] = [Partner, Programme, Membership, SigningKey, KeyEndorsement, ApiKey]
    return [list(table._default_manager.order_by("pk").values()) for table in tables]


@pytest.mark.parametrize("verb", VERBS)
def test_if_the_ledger_cannot_be_written_nothing_happened(
    verb: str, world: World, ledger_refuses: LedgerRefuses
) -> None:
    before = _everything()
    with ledger_refuses(), transaction.atomic():
        VERBS[verb][1](world)
    assert _everything() == before


@pytest.mark.parametrize("verb", VERBS)
def test_a_verb_changes_something_and_says_so_in_the_ledger(verb: str, world: World, recorded: Recorded) -> None:
    before, told = _everything(), len(recorded())
    VERBS[verb][1](world)
    assert _everything() != before
    event = recorded()[told:][-1]
    assert (event["action"], event["actor"]) == (VERBS[verb][0], "staff:1")
    assert event["subjects"]


@pytest.mark.parametrize(
    "verb",
    [
        *(
            "change_partner",
            "change_limits",
            "suspend_partner",
            "resume_partner",
            "part_with_partner",
            "begin_probation",
        ),
        *("end_probation", "change_programme", "change_membership", "suspend_membership", "resume_membership"),
        "change_accountability",
        *("end_membership", "activate_key", "retire_key", "revoke_key", "revoke_api_key"),
    ],
)
def test_saying_it_twice_changes_and_records_nothing_more(verb: str, world: World, recorded: Recorded) -> None:
    VERBS[verb][1](world)
    before, told = _everything(), len(recorded())
    VERBS[verb][1](world)
    assert (_everything(), len(recorded())) == (before, told)


@pytest.mark.parametrize("slug", ["", "a", "Acme", "acme_social", "acme-", "-acme", "9lives", "a" * 41, "acme\n"])
def test_a_slug_is_lower_case_words(slug: str) -> None:
    with pytest.raises(InvalidSlug):
        add_partner(slug, "Acme", **WHO)


def test_a_slug_is_never_used_twice(world: World) -> None:
    with pytest.raises(SlugTaken):
        add_partner("acme-social", "Another", **WHO)
    with pytest.raises(SlugTaken):
        add_programme("csea", "Another", PRESETS["csea"], **WHO)


def test_who_answers_for_a_member_is_written_down_and_no_contact_stands_in_the_ledger(
    world: World, recorded: Recorded
) -> None:
    membership = change_accountability(*PAIR, ANSWERS, **WHO)
    membership.refresh_from_db()
    assert (membership.legal_contact, membership.jurisdictions) == ("legal@acme.example", ["DE", "US-CA"])
    event = recorded()[-1]
    assert event["facts"]["after"] == {"lawful_basis": "legitimate-interests", "jurisdictions": ["DE", "US-CA"]}
    assert set(event["commitments"]) == {"controller", "legal_contact", "security_contact"}
    assert "Main Street" not in str(event)
    for wrong in (Accountability(jurisdictions=("Germany",)), Accountability(controller="x" * 501)):
        with pytest.raises(WrongState):
            change_accountability(*PAIR, wrong, **WHO)
    end_membership(*PAIR, **WHO)
    with pytest.raises(WrongState):
        change_accountability(*PAIR, Accountability(), **WHO)


def test_every_beginning_raises_the_generation(world: World) -> None:
    assert begin_membership("newcomer", "csea", Terms(), **WHO).generation == 1
    end_membership("newcomer", "csea", **WHO)
    assert begin_membership("newcomer", "csea", Terms(), **WHO).generation == 2


def test_a_running_membership_cannot_begin(world: World) -> None:
    with pytest.raises(WrongState):
        begin_membership(*PAIR, Terms(), **WHO)


def test_an_ended_membership_is_neither_resumed_nor_changed(world: World) -> None:
    end_membership(*PAIR, **WHO)
    with pytest.raises(WrongState):
        resume_membership(*PAIR, **WHO)
    with pytest.raises(WrongState):
        change_membership(*PAIR, Terms(), **WHO)


def test_a_partner_with_a_running_membership_cannot_leave(world: World) -> None:
    with pytest.raises(WrongState, match="erase"):
        part_with_partner("acme-social", **WHO)


def test_nobody_comes_back_from_having_left(world: World) -> None:
    part_with_partner("newcomer", **WHO)
    with pytest.raises(WrongState):
        resume_partner("newcomer", **WHO)
    with pytest.raises(WrongState):
        begin_membership("newcomer", "csea", Terms(), **WHO)


def test_the_unknown_is_refused() -> None:
    with pytest.raises(NoSuchPartner):
        suspend_partner("nobody", **WHO)
    with pytest.raises(NoSuchMembership):
        suspend_membership("nobody", "csea", **WHO)


@pytest.mark.parametrize(
    "settings",
    [
        ProgrammeSettings((), ("md5",), {"*": 1}),
        ProgrammeSettings(("other",), (), {"*": 1}),
        ProgrammeSettings(("other", "other"), ("md5",), {"*": 1}),
        ProgrammeSettings(("Other",), ("md5",), {"*": 1}),
        ProgrammeSettings(("other",), ("md6",), {"*": 1}),
        ProgrammeSettings(("other",), ("md5",), {}),
        ProgrammeSettings(("other",), ("md5",), {"*": 0}),
        ProgrammeSettings(("other",), ("md5",), {"*": 1, "phone": 1}),
        ProgrammeSettings(("other",), ("md5",), {"*": 1}, gates={"flood": 1.5}),
        ProgrammeSettings(("other",), ("md5",), {"*": 1}, agreement_version=-1),
    ],
)
def test_settings_that_make_no_sense_are_refused(settings: ProgrammeSettings) -> None:
    with pytest.raises(InvalidProgramme):
        add_programme("strange", "Strange", settings, **WHO)


@pytest.mark.parametrize(
    ("use", "refusal"),
    [
        (Use(frozenset()), InvalidApiKeySettings),
        (Use(frozenset({"everything"})), InvalidApiKeySettings),
        (Use(frozenset(Scope), networks=("203.0.113.1/24",)), InvalidApiKeySettings),
        (Use(frozenset(Scope), networks=("home",)), InvalidApiKeySettings),
        (Use(frozenset(Scope), expires_at=NOON), InvalidTime),
    ],
)
def test_an_api_key_needs_sensible_settings(use: Use, refusal: type[Exception], world: World) -> None:
    with pytest.raises(refusal):
        issue_api_key("acme-social", use, **WHO)


def test_a_rolled_key_lives_on_for_the_overlap_and_no_longer(world: World) -> None:
    overlap = timedelta(hours=6)
    rolled = roll_api_key(world.api_key, partner_slug="acme-social", asked_with=None, old_expires_in=overlap, **WHO)
    old = ApiKey.objects.get(pk=world.api_key)
    assert old.expires_at == NOON + overlap
    assert set(rolled.row.scopes) == set(Scope)
    assert set(old.scopes) == set(Scope) - {Scope.KEYS_MANAGE}
    assert rolled.row.rolled_from_id == old.pk
    later: Who = {"actor": "staff:1", "at": NOON + overlap}
    with pytest.raises(WrongState):
        roll_api_key(old.pk, partner_slug="acme-social", asked_with=None, old_expires_in=overlap, **later)


def test_a_key_is_rolled_once(world: World) -> None:
    asked: dict[str, Any] = {"partner_slug": "acme-social", "old_expires_in": timedelta(hours=6), **WHO}
    roll_api_key(world.api_key, asked_with=world.api_key, **asked)
    with pytest.raises(WrongState, match="successor"):
        roll_api_key(world.api_key, asked_with=None, **asked)


def test_a_rolled_key_cannot_follow_its_owner_to_the_next_one(world: World) -> None:
    asked: dict[str, Any] = {"partner_slug": "acme-social", **WHO}
    successor = roll_api_key(world.api_key, asked_with=world.api_key, old_expires_in=timedelta(hours=6), **asked).row
    # It may have opened the door before it was rolled: the verb looks again.
    with pytest.raises(MissingScope):
        roll_api_key(successor.pk, asked_with=world.api_key, old_expires_in=timedelta(0), **asked)
    successor.refresh_from_db()
    assert successor.revoked_at is None


def test_a_key_that_could_only_manage_keys_has_no_overlap(world: World) -> None:
    only = an_api_key(world.active.row.partner, scopes=[Scope.KEYS_MANAGE]).split("_")[2]
    roll_api_key(only, partner_slug="acme-social", asked_with=only, old_expires_in=timedelta(hours=6), **WHO)
    assert ApiKey.objects.get(pk=only).revoked_at == NOON


@pytest.mark.parametrize(
    ("bound", "networks", "is_within"),
    [
        ([], [], True),
        ([], ["203.0.113.0/24"], True),
        (["203.0.113.0/24"], [], False),
        (["203.0.113.0/24"], ["203.0.113.128/25"], True),
        (["203.0.113.0/24"], ["203.0.113.0/24", "198.51.100.0/24"], False),
        (["203.0.113.0/24", "2001:db8::/32"], ["2001:db8:1::/48"], True),
        (["203.0.113.0/24"], ["2001:db8::/32"], False),
        (["203.0.113.0/25"], ["203.0.113.0/24"], False),
    ],
    ids=str,
)
def test_a_key_bound_to_networks_cannot_shed_them_by_rolling_another(
    bound: list[str], networks: list[str], is_within: bool, world: World
) -> None:
    asking = an_api_key(world.active.row.partner, networks=bound).split("_")[2]
    other = an_api_key(world.active.row.partner, networks=networks).split("_")[2]
    asked: dict[str, Any] = {"partner_slug": "acme-social", "old_expires_in": timedelta(0), **WHO}
    if is_within:
        assert roll_api_key(other, asked_with=asking, **asked).row.networks == networks
    else:
        with pytest.raises(MissingScope, match="networks"):
            roll_api_key(other, asked_with=asking, **asked)


def test_rolling_never_lengthens_the_old_keys_life(world: World) -> None:
    soon = NOON + timedelta(minutes=5)
    ApiKey.objects.filter(pk=world.api_key).update(expires_at=soon)
    roll_api_key(
        world.api_key,
        partner_slug="acme-social",
        asked_with=None,
        old_expires_in=timedelta(days=1),
        **WHO,
    )
    assert ApiKey.objects.get(pk=world.api_key).expires_at == soon


def test_a_key_that_may_more_is_not_rolled_by_one_that_may_less(world: World) -> None:
    less = an_api_key(world.active.row.partner, scopes=[Scope.KEYS_MANAGE]).split("_")[2]
    with pytest.raises(MissingScope):
        roll_api_key(world.api_key, partner_slug="acme-social", asked_with=less, old_expires_in=timedelta(0), **WHO)


def test_another_partners_api_key_is_unknown(world: World) -> None:
    with pytest.raises(NoSuchApiKey):
        revoke_api_key(world.api_key, partner_slug="pixel-chat", **WHO)


def test_a_limit_is_at_least_one(world: World) -> None:
    for limits in (OwnLimits(requests_per_second=0), OwnLimits(max_pending_submissions=10**9)):
        with pytest.raises(InvalidLimits, match="between 1 and"):
            change_limits("acme-social", limits, **WHO)
