from __future__ import annotations

import json
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.utils import timezone

from hub.jose import thumbprint
from partners.api.authentication import caller_of
from partners.core.keys import fingerprint
from partners.models import ApiKey, Membership, Partner, Programme, SigningKey
from tests.builders import a_membership, a_partner, a_programme, a_signing_key, an_ed25519_key, public_jwk

pytestmark = pytest.mark.django_db


def _run(*words: str) -> str:
    out = StringIO()
    call_command(*words, stdout=out)
    return out.getvalue()


def test_a_company_is_enrolled_from_the_console(tmp_path: Path) -> None:
    jwk = public_jwk(an_ed25519_key())
    (tmp_path / "key.jwk").write_text(json.dumps(jwk))
    assert "on probation" in _run("add_partner", "acme-social", "Acme Social")
    assert "Founded csea" in _run("add_programme", "csea", "--preset", "csea")
    assert "generation 1" in _run("add_member", "acme-social", "csea", "--training-valid-until", "2027-01-31")
    told = _run("activate_key", "acme-social", str(tmp_path / "key.jwk"))
    assert fingerprint(thumbprint(jwk)) in told
    token = _run("issue_api_key", "acme-social", "--quiet").strip()
    caller = caller_of({"HTTP_AUTHORIZATION": f"Bearer {token}"}, at=timezone.now())
    assert caller is not None
    assert (caller.slug, "signals:backfill" in caller.scopes) == ("acme-social", False)
    assert SigningKey.objects.get().state == "active"
    assert SigningKey.objects.get().approved_by == "system:console"


def test_presets_are_programmes_that_make_sense() -> None:
    for preset in ("csea", "ncii"):
        _run("add_programme", preset, "--preset", preset)
    assert set(Programme.objects.values_list("slug", flat=True)) == {"csea", "ncii"}


def test_terms_and_uses_are_said_in_options() -> None:
    a_partner()
    a_programme()
    _run("add_member", "acme-social", "csea", "--may-not-submit", "--agreement-version", "3")
    membership = Membership.objects.get()
    assert (membership.may_submit, membership.may_receive, membership.agreement_version) == (False, True, 3)
    told = _run("issue_api_key", "acme-social", "--scope", "feed:read", "--network", "192.0.2.0/24", "--days", "90")
    key = ApiKey.objects.get()
    assert (key.scopes, key.networks) == (["feed:read"], ["192.0.2.0/24"])
    assert "shown once" in told


def test_partners_are_listed_on_a_line_each() -> None:
    acme = a_partner()
    a_membership(acme, a_programme())
    a_signing_key(acme)
    heading, line = _run("list_partners").splitlines()
    assert heading.split()[:2] == ["PARTNER", "STATE"]
    assert line.split()[:5] == ["acme-social", "active", "csea", "1", "0"]


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("add_partner", "Acme", "Acme"), "A slug is"),
        (("add_member", "nobody", "csea"), "There is no such partner."),
        (("issue_api_key", "nobody"), "There is no such partner."),
        (("activate_key", "nobody", "/no/such/file"), "Cannot read /no/such/file: No such file or directory."),
        (("activate_key", "nobody", "/dev/null"), "/dev/null is not JSON"),
        (("add_member", "a", "b", "--training-valid-until", "soon"), "invalid day"),
    ],
)
def test_what_cannot_be_done_is_one_sentence(words: tuple[str, ...], sentence: str) -> None:
    with pytest.raises(CommandError) as refused:
        _run(*words)
    assert sentence in str(refused.value)
    assert "\n" not in str(refused.value)
    assert not Partner.objects.exists()


def test_a_private_key_is_refused_and_not_repeated(tmp_path: Path) -> None:
    a_partner()
    (tmp_path / "key.jwk").write_text(json.dumps({**public_jwk(an_ed25519_key()), "d": "c2VjcmV0"}))
    with pytest.raises(CommandError) as refused:
        _run("activate_key", "acme-social", str(tmp_path / "key.jwk"))
    assert "make a new key" in str(refused.value)
    assert "c2VjcmV0" not in str(refused.value)
