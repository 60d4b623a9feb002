from __future__ import annotations

from datetime import date, timedelta

import pytest
from pytest_django import DjangoAssertNumQueries

from partners import public
from partners.core.states import KeyState, MembershipState, PartnerState
from tests.builders import LONG_AGO, NOON, a_membership, a_partner, a_programme, a_signing_key

pytestmark = pytest.mark.django_db


def test_facts_take_one_query_each(django_assert_num_queries: DjangoAssertNumQueries) -> None:
    partner, programme = a_partner(), a_programme()
    a_membership(partner, programme)
    key = a_signing_key(partner)
    with django_assert_num_queries(1):
        assert public.partner(partner.pk).slug == "acme-social"
    with django_assert_num_queries(1):
        assert public.programme("csea") is not None
    with django_assert_num_queries(1):
        assert public.membership(partner.pk, "csea", at=NOON) is not None
    with django_assert_num_queries(1):
        assert [m.partner_slug for m in public.members(programme.pk, at=NOON)] == ["acme-social"]
    with django_assert_num_queries(1):
        assert [m.programme_slug for m in public.programmes_of(partner.pk, at=NOON)] == ["csea"]
    with django_assert_num_queries(1):
        assert set(public.signing_keys([key.kid, "unknown"])) == {key.kid}
    with django_assert_num_queries(1):
        assert set(public.partners_by_slug(["acme-social", "nobody"])) == {"acme-social"}


def test_unknown_is_none() -> None:
    assert public.programme("nowhere") is None
    assert public.membership(1, "nowhere", at=NOON) is None


@pytest.mark.parametrize(
    ("partner_state", "state", "seen"),
    [
        (PartnerState.ACTIVE, MembershipState.ACTIVE, "active"),
        (PartnerState.SUSPENDED, MembershipState.ACTIVE, "suspended"),
        (PartnerState.SUSPENDED, MembershipState.ENDED, "ended"),
        (PartnerState.LEFT, MembershipState.ACTIVE, "ended"),
        (PartnerState.ACTIVE, MembershipState.SUSPENDED, "suspended"),
    ],
)
def test_a_membership_is_as_good_as_its_partner(partner_state: PartnerState, state: MembershipState, seen: str) -> None:
    partner = a_partner(state=partner_state)
    a_membership(partner, a_programme(), state=state)
    facts = public.membership(partner.pk, "csea", at=NOON)
    assert facts is not None
    assert (facts.state, facts.may_submit, facts.may_receive) == (seen, seen == "active", seen == "active")


def test_training_counts_up_to_and_on_its_last_day() -> None:
    partner = a_partner()
    a_membership(partner, a_programme(is_training_required=True), training_valid_until=date(2025, 6, 2))
    today = public.membership(partner.pk, "csea", at=NOON)
    tomorrow = public.membership(partner.pk, "csea", at=NOON + timedelta(days=1))
    assert today is not None
    assert tomorrow is not None
    assert (today.may_submit, today.may_receive) == (True, True)
    assert (tomorrow.may_submit, tomorrow.may_receive, tomorrow.state) == (False, False, "active")


def test_training_never_noted_counts_only_where_none_is_required() -> None:
    partner = a_partner()
    a_membership(partner, a_programme())
    a_membership(partner, a_programme("ncii", is_training_required=True))
    assert [m.may_submit for m in public.programmes_of(partner.pk, at=NOON)] == [True, False]


def test_an_older_agreement_opens_nothing() -> None:
    partner = a_partner()
    a_membership(partner, a_programme(agreement_version=3), agreement_version=2)
    facts = public.membership(partner.pk, "csea", at=NOON)
    assert facts is not None
    assert (facts.may_submit, facts.may_receive) == (False, False)


def test_a_key_is_good_between_its_activation_and_its_end() -> None:
    partner = a_partner()
    key = a_signing_key(partner, state=KeyState.RETIRED, retired_at=NOON)
    facts = public.signing_keys([key.kid])[key.kid]
    assert public.key_was_good(facts, received_at=LONG_AGO - timedelta(seconds=1)) == "proposed"
    assert public.key_was_good(facts, received_at=LONG_AGO) is None
    assert public.key_was_good(facts, received_at=NOON - timedelta(seconds=1)) is None
    assert public.key_was_good(facts, received_at=NOON) == "retired"


def test_a_compromised_key_keeps_what_was_received_before() -> None:
    partner = a_partner()
    compromised_at = NOON - timedelta(days=3)
    key = a_signing_key(partner, state=KeyState.REVOKED, compromised_at=compromised_at)
    facts = public.signing_keys([key.kid])[key.kid]
    assert public.key_was_good(facts, received_at=compromised_at - timedelta(seconds=1)) is None
    assert public.key_was_good(facts, received_at=compromised_at) == "compromised"


def test_a_key_compromised_nobody_knows_when_was_never_good() -> None:
    key = a_signing_key(a_partner(), state=KeyState.REVOKED)
    facts = public.signing_keys([key.kid])[key.kid]
    assert public.key_was_good(facts, received_at=LONG_AGO) == "compromised"


def test_a_proposed_key_is_not_good() -> None:
    key = a_signing_key(a_partner(), state=KeyState.PROPOSED)
    facts = public.signing_keys([key.kid])[key.kid]
    assert public.key_was_good(facts, received_at=NOON) == "proposed"
