from __future__ import annotations

import subprocess
import sys
from datetime import timedelta
from itertools import pairwise
from typing import Any

import pytest
from django.test import Client
from pytest_django import DjangoAssertNumQueries, Settings

from hub.client_address import client_address
from partners.api.authentication import caller_of
from partners.api.failures import failures
from partners.core import credentials
from partners.core.scopes import Scope
from partners.core.states import PartnerState
from partners.models import ApiKey
from tests.builders import LONG_AGO, NOON, a_partner, an_api_key
from tests.partners.conftest import Recorded

pytestmark = pytest.mark.django_db

HERE = {"REMOTE_ADDR": "203.0.113.7"}


@pytest.fixture(autouse=True)
def _as_a_new_process() -> None:
    failures.forget()


def _meta(token: str, **more: str) -> dict[str, str]:
    return {"HTTP_AUTHORIZATION": f"Bearer {token}", **HERE, **more}


def test_a_token_is_readable_and_checks_itself() -> None:
    made = credentials.make_credential()
    token = credentials.token_of(made, environment="dev")
    assert credentials.parse(token, environment="dev") == made
    assert token.startswith(f"hg_dev_{made.id}_")
    assert len(made.secret) >= 32


def test_every_single_typo_is_seen_without_a_look_up(django_assert_num_queries: DjangoAssertNumQueries) -> None:
    token = an_api_key(a_partner())
    with django_assert_num_queries(0):
        for place in range(len(token)):
            other = "x" if token[place] != "x" else "y"
            assert caller_of(_meta(token[:place] + other + token[place + 1 :]), at=NOON) is None
        assert caller_of(_meta(token[:-1]), at=NOON) is None
        assert caller_of(_meta(token + "é"), at=NOON) is None
        assert caller_of({"HTTP_AUTHORIZATION": f"Basic {token}", **HERE}, at=NOON) is None
        assert caller_of(HERE, at=NOON) is None


def test_a_test_hubs_token_is_no_token_of_the_real_one() -> None:
    made = credentials.make_credential()
    assert credentials.parse(credentials.token_of(made, environment="dev"), environment="live") is None


def test_a_good_key_is_its_partner(django_assert_num_queries: DjangoAssertNumQueries) -> None:
    partner = a_partner()
    token = an_api_key(partner, scopes=[Scope.FEED_READ])
    caller_of(_meta(token), at=NOON)
    with django_assert_num_queries(1):
        caller = caller_of(_meta(token), at=NOON + timedelta(seconds=59))
    assert caller is not None
    assert (caller.partner_id, caller.slug, caller.scopes) == (partner.pk, "acme-social", frozenset({"feed:read"}))


def test_the_last_use_is_noted_at_most_once_a_minute() -> None:
    token = an_api_key(a_partner())
    seen = []
    for seconds in (0, 30, 59, 60, 90):
        caller_of(_meta(token), at=NOON + timedelta(seconds=seconds))
        seen.append(ApiKey.objects.get().last_used_at)
    assert seen == [NOON, NOON, NOON, NOON + timedelta(seconds=60), NOON + timedelta(seconds=60)]


def _wrong_secret(token: str) -> str:
    parts = token.split("_")
    return credentials.token_of(credentials.Credential(parts[2], "A" * 43), environment="dev")


def _unusable() -> dict[str, str]:
    partner = a_partner()
    return {
        "unknown": credentials.token_of(credentials.make_credential(), environment="dev"),
        "wrong-secret": _wrong_secret(an_api_key(partner)),
        "expired": an_api_key(partner, expires_at=LONG_AGO + timedelta(days=1)),
        "revoked": an_api_key(partner, revoked_at=LONG_AGO),
        "wrong-network": an_api_key(partner, networks=["192.0.2.0/24"]),
        "partner-not-active": an_api_key(a_partner("asleep", state=PartnerState.SUSPENDED)),
    }


def test_every_unusable_key_gets_the_same_401(client: Client) -> None:
    answers = [
        client.get("/api/v1/programmes", headers={"authorization": f"Bearer {token}"})
        for token in [*_unusable().values(), "hg_dev_nonsense", ""]
    ]
    answers.append(client.get("/api/v1/programmes"))
    assert {answer.status_code for answer in answers} == {401}
    assert {answer.headers["WWW-Authenticate"] for answer in answers} == {"Bearer"}
    for one, other in pairwise(answers):
        assert one.content == other.content
        assert set(one.headers) == set(other.headers)


def test_the_same_work_is_done_whatever_exists(django_assert_num_queries: DjangoAssertNumQueries) -> None:
    tokens = _unusable().values()
    for token in tokens:
        failures.forget()
        caller_of(_meta(token), at=NOON)
        with django_assert_num_queries(1):
            assert caller_of(_meta(token), at=NOON) is None


def test_failures_are_counted_in_the_ledger_once_a_minute(recorded: Recorded) -> None:
    token = _wrong_secret(an_api_key(a_partner()))
    key_id = token.split("_")[2]
    for seconds in (0, 1, 59, 60):
        caller_of(_meta(token), at=NOON + timedelta(seconds=seconds))
    first, second = recorded()
    assert first["action"] == second["action"] == "api-key.failed"
    assert first["facts"] == {"api_keys": [key_id], "first_letter": key_id[0], "reasons": {"wrong-secret": 1}}
    assert second["facts"]["reasons"] == {"wrong-secret": 3}
    assert first["subjects"] == ["partner:acme-social"]


def test_a_flood_of_invented_ids_cannot_flood_the_ledger(recorded: Recorded) -> None:
    for _ in range(500):
        token = credentials.token_of(credentials.make_credential(), environment="dev")
        assert caller_of(_meta(token), at=NOON) is None
    assert len(recorded()) <= len(credentials.ID_ALPHABET)


def test_several_keys_live_side_by_side() -> None:
    partner = a_partner()
    tokens = [an_api_key(partner), an_api_key(partner)]
    assert all(caller_of(_meta(token), at=NOON) for token in tokens)


def test_a_key_bound_to_a_network_works_from_there(settings: Settings) -> None:
    token = an_api_key(a_partner(), networks=["203.0.113.0/24", "2001:db8::/32"])
    assert caller_of(_meta(token), at=NOON)
    assert caller_of(_meta(token, REMOTE_ADDR="2001:db8::1"), at=NOON)
    assert caller_of(_meta(token, REMOTE_ADDR="::ffff:203.0.113.9"), at=NOON)
    assert caller_of(_meta(token, REMOTE_ADDR="198.51.100.1"), at=NOON) is None
    assert caller_of(_meta(token, REMOTE_ADDR=""), at=NOON) is None
    assert caller_of(_meta(token, REMOTE_ADDR="198.51.100.1", HTTP_X_FORWARDED_FOR="203.0.113.7"), at=NOON) is None
    settings.TRUSTED_PROXIES = ["198.51.100.0/24"]
    assert caller_of(_meta(token, REMOTE_ADDR="198.51.100.1", HTTP_X_FORWARDED_FOR="203.0.113.7"), at=NOON)


@pytest.mark.parametrize(
    ("peer", "forwarded_for", "seen"),
    [
        ("192.0.2.1", "", "192.0.2.1"),
        ("192.0.2.1", "203.0.113.7", "192.0.2.1"),  # nobody we trust says so
        ("10.0.0.1", "203.0.113.7", "203.0.113.7"),
        ("10.0.0.1", "1.2.3.4, 203.0.113.7, 10.0.0.2", "203.0.113.7"),  # what the client itself wrote is ignored
        ("10.0.0.1", "203.0.113.7, nonsense", "10.0.0.1"),
        ("10.0.0.1", "", "10.0.0.1"),
        ("::ffff:10.0.0.1", "2001:db8::5", "2001:db8::5"),
    ],
)
def test_the_right_most_address_that_is_not_ours_counts(peer: str, forwarded_for: str, seen: str) -> None:
    assert str(client_address(peer, forwarded_for, trusted=["10.0.0.0/8"])) == seen


def test_a_good_key_without_the_scope_is_told_which(client: Client) -> None:
    token = an_api_key(a_partner(), scopes=[Scope.FEED_READ])
    answer = client.get("/api/v1/keys", headers={"authorization": f"Bearer {token}"})
    problem: dict[str, Any] = answer.json()
    assert (answer.status_code, problem["code"], problem["scope"]) == (403, "missing-scope", "keys:read")


def test_the_authentication_module_does_not_load_the_views_it_is_named_in() -> None:
    script = (
        "import os, sys, django; os.environ['DJANGO_SETTINGS_MODULE'] = 'hub.settings'; django.setup();"
        "before = set(sys.modules); import partners.api.authentication, partners.api.permissions;"
        "print('rest_framework.views' in set(sys.modules) - before)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
