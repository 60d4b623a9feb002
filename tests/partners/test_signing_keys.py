from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import IntegrityError, transaction

from partners.core.refusals import EndorsementRefused, InvalidTime, KeyTaken, NoSuchKey, WrongState
from partners.core.states import KeyState
from partners.lifecycle.activate_key import activate_key
from partners.lifecycle.propose_key import MAX_PROPOSED, PROPOSED_WITHIN, propose_key
from partners.lifecycle.retire_key import retire_key
from partners.lifecycle.revoke_key import RevokedKeys, revoke_key
from partners.models import KeyEndorsement, SigningKey
from tests.builders import (
    NOON,
    KeyPair,
    Who,
    a_partner,
    a_signing_key,
    an_ed25519_key,
    an_endorsement,
    endorse,
    public_jwk,
)
from tests.partners.conftest import Recorded

pytestmark = pytest.mark.django_db
WHO: Who = {"actor": "partner:acme-social", "at": NOON}


def _reason(refused: pytest.ExceptionInfo[EndorsementRefused]) -> object:
    return refused.value.facts["reason"]


def test_an_active_key_makes_a_proposed_one_active(recorded: Recorded) -> None:
    acme = a_partner()
    old, new = a_signing_key(acme), a_signing_key(acme, state=KeyState.PROPOSED)
    key = endorse(new, an_endorsement(new, by=old), **WHO)
    assert (key.state, key.activated_at, key.endorsed_by_id) == ("active", NOON, old.row.pk)
    endorsed, activated = recorded()
    assert endorsed["action"] == "key.endorsed"
    assert activated["facts"] == {"endorsed_by": old.kid, "jwk": new.row.jwk}


def test_the_endorsement_is_kept_to_the_byte() -> None:
    acme = a_partner()
    old, new = a_signing_key(acme), a_signing_key(acme, state=KeyState.PROPOSED)
    line = an_endorsement(new, by=old)
    endorse(new, line, **WHO)
    assert bytes(KeyEndorsement.objects.get().jws) == line


def test_the_same_endorsement_again_changes_nothing(recorded: Recorded) -> None:
    acme = a_partner()
    old, new = a_signing_key(acme), a_signing_key(acme, state=KeyState.PROPOSED)
    line = an_endorsement(new, by=old)
    endorse(new, line, **WHO)
    told = len(recorded())
    endorse(new, line, **WHO)
    assert len(recorded()) == told
    assert KeyEndorsement.objects.count() == 1


def test_a_jti_is_used_once() -> None:
    acme = a_partner()
    old = a_signing_key(acme)
    first, second = a_signing_key(acme, state=KeyState.PROPOSED), a_signing_key(acme, state=KeyState.PROPOSED)
    endorse(first, an_endorsement(first, by=old, claims={"jti": "one"}), **WHO)
    with pytest.raises(EndorsementRefused) as refused:
        endorse(second, an_endorsement(second, by=old, claims={"jti": "one"}), **WHO)
    assert _reason(refused) == "jti-reused"


@pytest.mark.parametrize("state", [KeyState.PROPOSED, KeyState.RETIRED, KeyState.REVOKED])
def test_only_an_active_key_endorses(state: KeyState) -> None:
    acme = a_partner()
    sponsor, new = a_signing_key(acme, state=state), a_signing_key(acme, state=KeyState.PROPOSED)
    with pytest.raises(EndorsementRefused) as refused:
        endorse(new, an_endorsement(new, by=sponsor), **WHO)
    assert _reason(refused) == "key-not-active"
    assert SigningKey.objects.get(pk=new.row.pk).state == "proposed"


def test_a_key_does_not_endorse_itself() -> None:
    new = a_signing_key(a_partner(), state=KeyState.PROPOSED)
    with pytest.raises(EndorsementRefused):
        endorse(new, an_endorsement(new, by=new), **WHO)


def test_another_partners_key_endorses_nothing() -> None:
    stranger = a_signing_key(a_partner("pixel-chat"))
    new = a_signing_key(a_partner(), state=KeyState.PROPOSED)
    with pytest.raises(EndorsementRefused) as refused:
        endorse(new, an_endorsement(new, by=stranger), **WHO)
    assert _reason(refused) == "unknown-key"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"iss": "pixel-chat"}, "wrong-issuer"),
        ({"aud": "another.hub"}, "wrong-audience"),
        ({"iat": int((NOON - timedelta(days=8)).timestamp())}, "stale"),
        ({"iat": int((NOON + timedelta(minutes=6)).timestamp())}, "stale"),
        ({"iat": 10**400}, "stale"),
        ({"v": 2}, "schema"),
        ({"v": True}, "schema"),
        ({"jti": "a b"}, "schema"),
        ({"jti": "a\n"}, "schema"),
        ({"note": "hello"}, "schema"),
    ],
)
def test_an_endorsement_says_the_right_things(change: dict[str, object], reason: str) -> None:
    acme = a_partner()
    old, new = a_signing_key(acme), a_signing_key(acme, state=KeyState.PROPOSED)
    with pytest.raises(EndorsementRefused) as refused:
        endorse(new, an_endorsement(new, by=old, claims=change), **WHO)
    assert _reason(refused) == reason


@pytest.mark.parametrize(
    ("header", "reason"),
    [
        ({"typ": "signal+jws"}, "schema"),
        ({"alg": "none"}, "algorithm-not-allowed"),
        ({"alg": "HS256"}, "algorithm-not-allowed"),
        ({"alg": "ES256"}, "algorithm-not-allowed"),
        ({"crit": ["b64"], "b64": False}, "malformed-jws"),
        ({"jwk": {}}, "malformed-jws"),
        ({"kid": "\0"}, "unknown-key"),
        ({"kid": "\ud800" * 43}, "unknown-key"),
        ({"kid": "A" * 44}, "unknown-key"),
    ],
)
def test_an_endorsement_has_exactly_the_right_header(header: dict[str, object], reason: str) -> None:
    acme = a_partner()
    old, new = a_signing_key(acme), a_signing_key(acme, state=KeyState.PROPOSED)
    with pytest.raises(EndorsementRefused) as refused:
        endorse(new, an_endorsement(new, by=old, header=header), **WHO)
    assert _reason(refused) == reason


def test_eddsa_is_taken_as_the_older_name_of_ed25519() -> None:
    acme = a_partner()
    old, new = a_signing_key(acme), a_signing_key(acme, state=KeyState.PROPOSED)
    assert endorse(new, an_endorsement(new, by=old, header={"alg": "EdDSA"}), **WHO).state == "active"


@pytest.mark.parametrize(
    "line", [b"", b"a.b", b"a.b.c.d", b"!.!.!", b"e30.e30.e30", b"W10.W10.AA", b"\xff.\xff.\xff", b"a" * 20_000]
)
def test_nonsense_is_refused_politely(line: bytes) -> None:
    new = a_signing_key(a_partner(), state=KeyState.PROPOSED)
    with pytest.raises(EndorsementRefused):
        endorse(new, line, **WHO)


def test_a_changed_byte_is_a_bad_signature() -> None:
    acme = a_partner()
    old, new = a_signing_key(acme), a_signing_key(acme, state=KeyState.PROPOSED)
    header, payload, signature = an_endorsement(new, by=old).split(b".")
    forged = b".".join([header, payload, bytes(reversed(signature[:80])) + signature[80:]])
    with pytest.raises(EndorsementRefused) as refused:
        endorse(new, forged, **WHO)
    assert _reason(refused) == "bad-signature"


def test_an_endorsement_of_another_key_is_refused_at_this_address() -> None:
    acme = a_partner()
    old = a_signing_key(acme)
    first, second = a_signing_key(acme, state=KeyState.PROPOSED), a_signing_key(acme, state=KeyState.PROPOSED)
    with pytest.raises(EndorsementRefused):
        endorse(first, an_endorsement(second, by=old), **WHO)


def test_proposing_twice_is_the_same_key(recorded: Recorded) -> None:
    a_partner()
    jwk = public_jwk(an_ed25519_key())
    first = propose_key(jwk, partner_slug="acme-social", **WHO)
    assert propose_key(jwk | {"use": "sig"}, partner_slug="acme-social", **WHO).pk == first.pk
    assert [event["action"] for event in recorded()] == ["key.proposed"]


def test_a_key_belongs_to_one_partner() -> None:
    taken = a_signing_key(a_partner("pixel-chat"))
    a_partner()
    with pytest.raises(KeyTaken):
        propose_key(taken.row.jwk, partner_slug="acme-social", **WHO)


def test_a_stolen_api_key_cannot_fill_the_table() -> None:
    acme = a_partner()
    for _ in range(MAX_PROPOSED):
        a_signing_key(acme, state=KeyState.PROPOSED)
    with pytest.raises(WrongState):
        propose_key(public_jwk(an_ed25519_key()), partner_slug="acme-social", **WHO)


def test_giving_proposals_up_makes_no_room_before_their_month_is_over() -> None:
    a_partner()
    for _ in range(MAX_PROPOSED):
        kid = propose_key(public_jwk(an_ed25519_key()), partner_slug="acme-social", **WHO).kid
        retire_key(kid, partner_slug="acme-social", **WHO)
    with pytest.raises(WrongState, match="30 days"):
        propose_key(public_jwk(an_ed25519_key()), partner_slug="acme-social", **WHO)
    later: Who = {**WHO, "at": NOON + PROPOSED_WITHIN}
    assert propose_key(public_jwk(an_ed25519_key()), partner_slug="acme-social", **later).state == "proposed"


def test_what_a_partner_calls_its_endorsement_stands_in_no_leaf(recorded: Recorded) -> None:
    acme = a_partner()
    old, new = a_signing_key(acme), a_signing_key(acme, state=KeyState.PROPOSED)
    endorse(new, an_endorsement(new, by=old, claims={"jti": "for.alice.of.security"}), **WHO)
    endorsed = recorded()[0]
    assert set(endorsed["commitments"]) == {"jti"}
    assert "alice" not in str(recorded())


def test_a_retired_key_never_comes_back() -> None:
    key = a_signing_key(a_partner(), state=KeyState.RETIRED)
    with pytest.raises(WrongState):
        activate_key(key.kid, partner_slug="acme-social", **WHO)


def test_another_partners_key_is_unknown() -> None:
    key = a_signing_key(a_partner("pixel-chat"))
    a_partner()
    with pytest.raises(NoSuchKey):
        retire_key(key.kid, partner_slug="acme-social", **WHO)


def _revoke(key: KeyPair, *, days_ago: int | None) -> RevokedKeys:
    since = None if days_ago is None else NOON - timedelta(days=days_ago)
    with transaction.atomic():
        return revoke_key(key.kid, partner_id=key.row.partner_id, compromised_at=since, **WHO)


def test_what_a_compromised_key_endorsed_since_falls_with_all_that_follows() -> None:
    acme = a_partner()
    root = a_signing_key(acme)
    before = a_signing_key(acme, endorsed_by=root.row, activated_at=NOON - timedelta(days=10))
    child = a_signing_key(acme, endorsed_by=root.row, activated_at=NOON - timedelta(days=4))
    grandchild = a_signing_key(
        acme, endorsed_by=child.row, activated_at=NOON - timedelta(days=3), state=KeyState.RETIRED
    )
    bystander = a_signing_key(acme)
    fallen = _revoke(root, days_ago=5)
    assert set(fallen.key_ids) == {root.row.pk, child.row.pk, grandchild.row.pk}
    assert {key.kid: key.compromised_at for key in fallen.keys} == {
        root.kid: NOON - timedelta(days=5),
        child.kid: None,
        grandchild.kid: None,
    }
    states = dict(SigningKey.objects.values_list("kid", "state"))
    assert (states[before.kid], states[bystander.kid]) == ("active", "active")


def test_a_compromise_of_unknown_age_takes_everything_endorsed() -> None:
    acme = a_partner()
    root = a_signing_key(acme)
    child = a_signing_key(acme, endorsed_by=root.row, activated_at=NOON - timedelta(days=100))
    assert set(_revoke(root, days_ago=None).key_ids) == {root.row.pk, child.row.pk}


def test_a_compromise_can_be_moved_back_but_never_forward() -> None:
    acme = a_partner()
    root = a_signing_key(acme)
    child = a_signing_key(acme, endorsed_by=root.row, activated_at=NOON - timedelta(days=10))
    assert _revoke(root, days_ago=5).key_ids == (root.row.pk,)
    assert _revoke(root, days_ago=3).key_ids == ()
    assert set(_revoke(root, days_ago=20).key_ids) == {root.row.pk, child.row.pk}
    assert SigningKey.objects.get(pk=root.row.pk).compromised_at == NOON - timedelta(days=20)


def test_a_compromise_is_not_in_the_future() -> None:
    with pytest.raises(InvalidTime):
        _revoke(a_signing_key(a_partner()), days_ago=-1)


def test_revoking_belongs_inside_the_quarantines_transaction(recorded: Recorded) -> None:
    key = a_signing_key(a_partner())
    _revoke(key, days_ago=None)
    (event,) = recorded()
    assert event["facts"] == {"because_of": key.kid, "compromised_at": None, "jwk": key.row.jwk}


def test_the_database_itself_refuses_a_key_without_a_sponsor() -> None:
    key = a_signing_key(a_partner(), state=KeyState.PROPOSED)
    with pytest.raises(IntegrityError, match="signing_key_that_was_active_had_a_sponsor"), transaction.atomic():
        SigningKey.objects.filter(pk=key.row.pk).update(state="active", activated_at=NOON)
