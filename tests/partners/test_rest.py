from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from django.test import Client
from pytest_django import DjangoAssertNumQueries

from hub.ledger import serving
from partners.core.scopes import Scope
from partners.core.states import KeyState, MembershipState
from partners.models import ApiKey, Partner, SigningKey
from tests.builders import (
    NOON,
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

pytestmark = pytest.mark.django_db


class Api:
    """A partner's side of the REST interface."""

    def __init__(self, partner: Partner, *scopes: Scope) -> None:
        self.headers = {"authorization": f"Bearer {an_api_key(partner, scopes=scopes or tuple(Scope))}"}
        self.client = Client()

    def get(self, path: str, **headers: str) -> Any:
        return self.client.get(f"/api/v1/{path}", headers={**self.headers, **headers})

    def post(self, path: str, body: object = None, *, content_type: str = "application/json") -> Any:
        sent = body if isinstance(body, bytes) else json.dumps(body)
        return self.client.post(f"/api/v1/{path}", sent, content_type=content_type, headers=self.headers)


@pytest.fixture
def acme() -> Partner:
    return a_partner()


@pytest.fixture
def api(acme: Partner) -> Api:
    return Api(acme)


def test_a_partner_rotates_its_signing_key(acme: Partner, api: Api) -> None:
    old, private = a_signing_key(acme), an_ed25519_key()
    proposed = api.post("keys", {"jwk": public_jwk(private)})
    assert (proposed.status_code, proposed.json()["state"]) == (201, "proposed")
    kid = proposed.json()["kid"]
    now = int(datetime.now(UTC).timestamp())
    new = old._replace(row=SigningKey.objects.get(kid=kid), private=private)
    line = an_endorsement(new, by=old, claims={"iat": now})
    endorsed = api.post(f"keys/{kid}/endorse", line, content_type="application/jose")
    assert (endorsed.status_code, endorsed.json()["state"], endorsed.json()["endorsed_by"]) == (200, "active", old.kid)
    retired = api.post(f"keys/{old.kid}/retire")
    assert (retired.status_code, retired.json()["state"]) == (200, "retired")
    assert {key["kid"]: key["state"] for key in api.get("keys").json()["keys"]} == {kid: "active", old.kid: "retired"}


def test_an_api_key_alone_only_proposes(acme: Partner, api: Api) -> None:
    new = a_signing_key(acme, state=KeyState.PROPOSED)
    line = an_endorsement(new, by=new, claims={"iat": int(datetime.now(UTC).timestamp())})
    answer = api.post(f"keys/{new.kid}/endorse", line, content_type="application/jose")
    assert (answer.status_code, answer.json()["reason"]) == (422, "key-not-active")
    assert SigningKey.objects.get().state == "proposed"


@pytest.mark.parametrize("body", [b"", b"nonsense", b"\xff" * 100, b"a.b.c", b"x" * 70_000])
def test_an_endorsement_that_is_none_is_a_problem(acme: Partner, api: Api, body: bytes) -> None:
    new = a_signing_key(acme, state=KeyState.PROPOSED)
    answer = api.post(f"keys/{new.kid}/endorse", body, content_type="application/jose")
    assert (answer.status_code, answer.json()["code"]) == (422, "endorsement-refused")


def test_an_endorsement_in_another_content_type_is_refused(acme: Partner, api: Api) -> None:
    new = a_signing_key(acme, state=KeyState.PROPOSED)
    assert api.post(f"keys/{new.kid}/endorse", {"jws": "a.b.c"}).status_code == 415


@pytest.mark.parametrize(
    ("jwk", "code"),
    [
        ({}, "invalid-key"),
        ({"kty": "RSA", "n": "AQAB", "e": "AQAB"}, "invalid-key"),
        ({"kty": "OKP", "crv": "Ed25519", "x": "AA"}, "invalid-key"),
        ({"kty": "OKP", "crv": "Ed25519", "x": "A" * 43}, "invalid-key"),
        ({"kty": "OKP", "crv": "Ed25519", "x": 7}, "invalid-key"),
        ({"kty": ["OKP"], "crv": {}, "x": None}, "invalid-key"),
        ({"kty": "OKP", "crv": "Ed25519", "x": "A" * 43, "d": "A" * 43}, "private-key-sent"),
        ("a string", "invalid-request"),
        (None, "invalid-request"),
    ],
)
def test_a_bad_key_is_a_problem_with_a_code(api: Api, jwk: object, code: str) -> None:
    answer = api.post("keys", {"jwk": jwk})
    assert (answer.status_code, answer.json()["code"]) == (422, code)
    assert not SigningKey.objects.exists()


def test_another_partners_key_is_nobodys(acme: Partner, api: Api) -> None:
    theirs = a_signing_key(a_partner("pixel-chat"))
    unknown, forbidden = api.post("keys/unknown/retire"), api.post(f"keys/{theirs.kid}/retire")
    assert (unknown.status_code, unknown.content) == (404, forbidden.content)
    assert api.get("keys").json() == {"keys": []}


def test_a_retired_proposal_was_never_a_key(acme: Partner, api: Api) -> None:
    proposal = a_signing_key(acme, state=KeyState.PROPOSED)
    assert api.post(f"keys/{proposal.kid}/retire").json()["state"] == "retired"
    assert api.get("partners/acme-social/jwks.json").json() == {"keys": []}


def test_ones_programmes_and_fellow_members(acme: Partner, api: Api) -> None:
    csea, ncii = a_programme(), a_programme("ncii", agreement_version=2)
    a_membership(acme, csea)
    a_membership(acme, ncii, agreement_version=1)
    a_membership(a_partner("pixel-chat"), csea, state=MembershipState.SUSPENDED)
    a_membership(a_partner("gone-away"), csea, state=MembershipState.ENDED)
    first, second = api.get("programmes").json()["programmes"]
    assert (first["slug"], first["membership"]["may_submit"]) == ("csea", True)
    assert (second["slug"], second["membership"]["may_submit"]) == ("ncii", False)
    assert "gates" not in first
    assert api.get("programmes/csea").json() == first
    assert [(m["slug"], m["state"]) for m in api.get("programmes/csea/members").json()["members"]] == [
        ("acme-social", "active"),
        ("pixel-chat", "suspended"),
    ]


def test_a_programme_one_is_not_in_looks_like_none(api: Api) -> None:
    a_programme()
    for path in ("programmes/{}", "programmes/{}/members"):
        forbidden, unknown = api.get(path.format("csea")), api.get(path.format("nowhere"))
        assert (forbidden.status_code, forbidden.content) == (404, unknown.content)
    assert api.get("programmes").json() == {"hub": "hub.test", "partner": "acme-social", "programmes": []}


@pytest.mark.parametrize("state", [MembershipState.SUSPENDED, MembershipState.ENDED])
def test_who_is_out_sees_no_members(acme: Partner, api: Api, state: MembershipState) -> None:
    csea = a_programme()
    a_membership(acme, csea, state=state)
    a_membership(a_partner("pixel-chat"), csea)
    assert api.get("programmes/csea/members").status_code == 404
    assert api.get("partners/pixel-chat/jwks.json").status_code == 404
    assert api.get("programmes/csea").json()["membership"]["state"] == state


def test_lists_cost_the_same_for_one_and_for_many(
    acme: Partner,
    api: Api,
    django_assert_num_queries: DjangoAssertNumQueries,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    csea = a_programme()
    a_membership(acme, csea)
    root = a_signing_key(acme)
    monkeypatch.setattr(
        serving, "REMEMBERED_SECONDS", 3600
    )  # the process's own look at the mirror is no part of a list
    api.get("programmes")  # notes the API key's use
    for round_of in range(2):
        for number in range(3):
            a_membership(a_partner(f"member-{round_of}-{number}"), csea)
            a_signing_key(acme, endorsed_by=root.row)
            a_membership(acme, a_programme(f"programme-{round_of}-{number}"))
        for path, queries in (("programmes", 2), ("programmes/csea/members", 3), ("keys", 2), ("api-keys", 2)):
            with django_assert_num_queries(queries):
                assert api.get(path).status_code == 200
        with django_assert_num_queries(4):
            assert api.get("partners/acme-social/jwks.json").status_code == 200


def test_fellow_members_read_each_others_keys_with_their_validity(acme: Partner, api: Api) -> None:
    csea, pixel = a_programme(), a_partner("pixel-chat")
    a_membership(acme, csea)
    a_membership(pixel, csea)
    active, retired = a_signing_key(pixel), a_signing_key(pixel, state=KeyState.RETIRED)
    revoked = a_signing_key(pixel, state=KeyState.REVOKED)
    a_signing_key(pixel, state=KeyState.PROPOSED)
    keys = {key["kid"]: key for key in api.get("partners/pixel-chat/jwks.json").json()["keys"]}
    assert set(keys) == {active.kid, retired.kid, revoked.kid}
    assert keys[active.kid] == {
        **active.row.jwk,
        "kid": active.kid,
        "use": "sig",
        "state": "active",
        "valid_from": "2025-01-02T08:00:00Z",
        "valid_until": None,
        "compromised_at": None,
    }
    assert keys[retired.kid]["valid_until"] == "2025-06-02T12:00:00Z"
    assert keys[revoked.kid]["valid_until"] == keys[revoked.kid]["valid_from"]


def test_a_rotated_key_is_published_with_its_owners_endorsement(acme: Partner, api: Api) -> None:
    root, fresh = a_signing_key(acme), a_signing_key(acme, state=KeyState.PROPOSED)
    line = an_endorsement(fresh, by=root)
    endorse(fresh, line, actor="partner:acme-social", at=NOON)
    keys = {key["kid"]: key for key in api.get("partners/acme-social/jwks.json").json()["keys"]}
    assert keys[fresh.kid]["endorsement"] == line.decode()
    assert "endorsement" not in keys[root.kid]


def test_what_a_member_that_left_once_signed_is_still_verifiable(acme: Partner, api: Api) -> None:
    csea, pixel = a_programme(), a_partner("pixel-chat")
    a_membership(acme, csea)
    a_membership(pixel, csea, state=MembershipState.ENDED)
    key = a_signing_key(pixel)
    assert [jwk["kid"] for jwk in api.get("partners/pixel-chat/jwks.json").json()["keys"]] == [key.kid]


def test_a_strangers_keys_look_like_nobodys(acme: Partner, api: Api) -> None:
    a_membership(acme, a_programme())
    a_membership(a_partner("pixel-chat"), a_programme("ncii"))
    forbidden, unknown = api.get("partners/pixel-chat/jwks.json"), api.get("partners/nobody/jwks.json")
    assert (forbidden.status_code, forbidden.content) == (404, unknown.content)
    assert "ETag" not in forbidden.headers


def test_a_jwks_is_asked_about_again_by_its_etag(acme: Partner, api: Api) -> None:
    a_signing_key(acme)
    first = api.get("partners/acme-social/jwks.json")
    assert "private" in first.headers["Cache-Control"]
    again = api.get("partners/acme-social/jwks.json", **{"if-none-match": first.headers["ETag"]})
    assert (again.status_code, again.content, again.headers["ETag"]) == (304, b"", first.headers["ETag"])
    a_signing_key(acme)
    changed = api.get("partners/acme-social/jwks.json", **{"if-none-match": first.headers["ETag"]})
    assert changed.status_code == 200


def test_the_hubs_own_keys_are_open_to_the_world(client: Client) -> None:
    answer = client.get("/.well-known/jwks.json")
    assert answer.status_code == 200
    assert "public" in answer.headers["Cache-Control"]
    (key,) = answer.json()["keys"]
    assert set(key) == {"kty", "crv", "x", "kid", "use"}
    again = client.get("/.well-known/jwks.json", headers={"if-none-match": answer.headers["ETag"]})
    assert again.status_code == 304


def test_a_partner_rolls_its_own_api_key(acme: Partner, api: Api) -> None:
    old = ApiKey.objects.get()
    rolled = api.post(f"api-keys/{old.pk}/roll", {"old_expires_in": 3600})
    assert rolled.status_code == 201
    assert rolled.headers["Cache-Control"] == "no-store"
    token = rolled.json()["token"]
    newer = {"authorization": f"Bearer {token}"}
    listed = Client().get("/api/v1/api-keys", headers=newer).json()["api_keys"]
    assert {key["id"] for key in listed} == {old.pk, rolled.json()["id"]}
    assert token.split("_")[3] not in json.dumps(listed)
    assert api.get("programmes").status_code == 200
    for key in (old.pk, rolled.json()["id"]):
        refused = api.post(f"api-keys/{key}/roll", {"old_expires_in": 0})
        assert (refused.status_code, refused.json()["scope"]) == (403, "keys:manage")


def test_without_an_overlap_the_old_api_key_ends_at_once(acme: Partner, api: Api) -> None:
    old = ApiKey.objects.get()
    assert api.post(f"api-keys/{old.pk}/roll", {"old_expires_in": 0}).status_code == 201
    assert api.get("api-keys").status_code == 401


@pytest.mark.parametrize("body", [{}, {"old_expires_in": -1}, {"old_expires_in": 10**9}, {"old_expires_in": "x"}, []])
def test_a_roll_says_how_long_the_old_one_lives(acme: Partner, api: Api, body: object) -> None:
    answer = api.post(f"api-keys/{ApiKey.objects.get().pk}/roll", body)
    assert answer.status_code == 422
    assert ApiKey.objects.count() == 1


def test_a_lesser_api_key_does_not_make_a_greater_one(acme: Partner) -> None:
    greater = an_api_key(acme).split("_")[2]
    lesser = Api(acme, Scope.KEYS_MANAGE)
    answer = lesser.post(f"api-keys/{greater}/roll", {"old_expires_in": 0})
    assert (answer.status_code, answer.json()["code"]) == (403, "missing-scope")


def test_another_partners_api_key_looks_like_none(acme: Partner, api: Api) -> None:
    theirs = an_api_key(a_partner("pixel-chat")).split("_")[2]
    forbidden = api.post(f"api-keys/{theirs}/roll", {"old_expires_in": 0})
    unknown = api.post("api-keys/0000000000/roll", {"old_expires_in": 0})
    assert (forbidden.status_code, forbidden.content) == (404, unknown.content)


@pytest.mark.parametrize(
    ("method", "path", "scope"),
    [
        ("get", "keys", "keys:read"),
        ("post", "keys", "keys:manage"),
        ("post", "keys/x/endorse", "keys:manage"),
        ("post", "keys/x/retire", "keys:manage"),
        ("get", "api-keys", "keys:read"),
        ("post", "api-keys/x/roll", "keys:manage"),
    ],
)
def test_every_door_about_keys_asks_for_its_scope(acme: Partner, method: str, path: str, scope: str) -> None:
    others = [each for each in Scope if each != scope]
    answer = getattr(Api(acme, *others), method)(path)
    assert (answer.status_code, answer.json()["scope"]) == (403, scope)
