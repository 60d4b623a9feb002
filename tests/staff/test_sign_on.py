"""Single sign-on: an identity opens the one account whose owner linked it, and only with an answer that holds."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from html import unescape
from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from django.core.exceptions import ImproperlyConfigured
from django.db import connection
from django.test import Client
from joserfc.jwk import ECKey, OctKey
from pytest_django import Settings

from hub import checkup, environment
from hub.staff import accounts, factors, identities, provider
from hub.staff.models import SignOn
from hub.staff.provider import Identity
from hub.staff.provider_wire import LARGEST_ANSWER, ProviderAway
from hub.staff.roles import Role, roles_of
from tests.partners.conftest import LedgerRefuses, Recorded
from tests.partners.conftest import ledger_refuses as _ledger_refuses
from tests.partners.conftest import recorded as _recorded
from tests.staff.authenticators import App, an_app_of
from tests.staff.oidc_provider import CLIENT, SECRET, Claims, Provider, an_rsa_key, running

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("admin_alone")]
ledger_refuses, recorded = _ledger_refuses, _recorded
PASSWORD = "a long and pleasant sentence"
OWN_PAGE = "/admin/second-factors/"


@pytest.fixture(scope="module")
def _running() -> Iterator[Provider]:
    with running() as there:
        yield there


@pytest.fixture
def there(_running: Provider, settings: Settings) -> Provider:
    """The provider, which the hub knows."""
    _running.renew()
    settings.PUBLIC_URL = "http://testserver"
    settings.OIDC_ISSUER, settings.OIDC_CLIENT_ID, settings.OIDC_CLIENT_SECRET = _running.issuer, CLIENT, SECRET
    settings.OIDC_ALGORITHM = "ES256"
    provider.forget()
    return _running


@pytest.fixture
def robin(there: Provider) -> User:
    return a_person("robin")


@pytest.fixture
def linked(robin: User, there: Provider) -> User:
    identities.link(robin, Identity(there.issuer, there.subject, frozenset()), at=now())
    return robin


def now() -> datetime:
    return datetime.now(UTC)


def a_person(name: str, *roles: Role) -> User:
    at = now() - timedelta(days=1)
    accounts.add_account(name, roles or (Role.ANALYST,), actor="system:test", at=at, password=PASSWORD)
    return User.objects.get(username=name)


def an_app(user: User) -> App:
    return an_app_of(user, at=now() - timedelta(minutes=5))[0]


def by_password(user: User) -> Client:
    client = Client()
    client.post("/admin/login/", {"username": user.username, "password": PASSWORD})
    return client


def going_out(client: Client, address: str = "/admin/sign-on/", **given: str) -> str:
    """Where the page sends the browser."""
    page = client.post(address, given)
    assert page.status_code == 200, page
    assert "no-store" in page.headers["Cache-Control"]
    [there] = re.findall(r'content="0; url=([^"]+)"', page.content.decode())
    return unescape(there)


def come_back(client: Client, there: Provider, address: str = "/admin/sign-on/", **given: str) -> Any:
    """Out to the provider and back: the hub's answer to what it says."""
    back = there.browse(going_out(client, address, **given))
    assert back.startswith("http://testserver/admin/sign-on/back/?")
    return client.get(back.removeprefix("http://testserver"))


def is_in(client: Client) -> bool:
    return client.get("/admin/").status_code == 200


def text(answer: Any) -> str:
    return unescape(answer.content.decode())


# ---------------------------------------------------------------- coming in
def test_whoever_linked_an_identity_comes_in_by_it_and_goes_where_they_were_going(
    linked: User, there: Provider, recorded: Recorded
) -> None:
    client = Client()
    assert "Sign in at 127.0.0.1" in text(client.get("/admin/login/"))
    answer = come_back(client, there, next="/admin/auth/user/")
    assert answer.headers["Location"] == "/admin/auth/user/"
    assert is_in(client)
    assert recorded()[-1]["action"] == "staff.signed-in"
    assert recorded()[-1]["facts"] == {"by": "sign-on", "second_factor": "none"}
    assert "heliograph_sign_on" not in {name for name, kept in client.cookies.items() if kept.value}
    assert there.prompts == [None]


def test_it_goes_nowhere_but_to_pages_of_this_hub(linked: User, there: Provider) -> None:
    assert come_back(Client(), there, next="https://evil.example/").headers["Location"] == "/admin/"


def test_the_hubs_own_second_factor_is_asked_all_the_same(linked: User, there: Provider, recorded: Recorded) -> None:
    app, client = an_app(linked), Client()
    there.change = lambda claims: claims.update(amr=["mfa"])  # nobody said that this counts
    assert come_back(client, there, next="/admin/auth/user/").headers["Location"] == "/admin/second-factor/"
    assert not is_in(client)
    answer = client.post("/admin/second-factor/", {"second_factor_code": app.code(now())})
    assert answer.headers["Location"] == "/admin/auth/user/"
    assert is_in(client)
    assert recorded()[-1]["facts"] == {"by": "sign-on", "second_factor": "app"}


def test_whoever_needs_a_second_factor_and_has_none_enrols_one_first(
    linked: User, there: Provider, settings: Settings
) -> None:
    settings.SECOND_FACTOR, settings.OIDC_SECOND_FACTOR = "required", ["mfa"]
    there.change = lambda claims: claims.update(amr=["mfa"])  # of no help: what is dangerous asks for one of ours
    assert come_back(client := Client(), there).headers["Location"] == "/admin/second-factor/enrol/"
    assert not is_in(client)


@pytest.mark.parametrize("said", [{"amr": ["pwd", "mfa"]}, {"acr": "mfa"}])
def test_where_the_settings_take_its_word_the_second_factor_is_spared_at_sign_in_and_nowhere_else(
    linked: User, there: Provider, settings: Settings, recorded: Recorded, said: Claims
) -> None:
    settings.SECOND_FACTOR, settings.OIDC_SECOND_FACTOR = "required", ["mfa"]
    app, client = an_app(linked), Client()
    there.change = lambda claims: claims.update(said)
    assert come_back(client, there).headers["Location"] == "/admin/"
    assert is_in(client)
    assert recorded()[-1]["facts"] == {"by": "sign-on", "second_factor": "provider"}
    asked = client.post("/admin/second-factors/codes/")
    assert "Is it you?" in text(asked), "nothing is fresh by its word"
    asked = client.post("/admin/second-factors/codes/", {"second_factor_code": app.code(now())})
    assert "Recovery codes" in text(asked)


@pytest.mark.parametrize("said", [{}, {"amr": ["pwd"]}, {"acr": "0", "amr": []}])
def test_its_word_must_be_one_of_those_in_the_settings(
    linked: User, there: Provider, settings: Settings, said: Claims
) -> None:
    settings.OIDC_SECOND_FACTOR = ["mfa"]
    an_app(linked)
    there.change = lambda claims: claims.update(said)
    assert come_back(Client(), there).headers["Location"] == "/admin/second-factor/"


def test_no_account_is_made_and_no_role_is_taken_from_what_the_provider_says(linked: User, there: Provider) -> None:
    much = {"roles": ["operator"], "groups": ["operator"], "email": "robin@hub.example", "is_superuser": True}
    there.change = lambda claims: claims.update(much, preferred_username="admin", email_verified=True)
    before = (User.objects.count(), Group.objects.count())
    come_back(Client(), there)
    assert roles_of(User.objects.get(pk=linked.pk)) == {Role.ANALYST}
    there.subject = "a stranger"
    come_back(Client(), there)
    assert (User.objects.count(), Group.objects.count()) == before


def test_an_identity_that_nobody_linked_opens_nothing_and_is_told_what_to_do(
    linked: User, there: Provider, recorded: Recorded
) -> None:
    there.subject, client = "somebody else", Client()
    answer = come_back(client, there)
    assert answer.status_code == 403
    assert "No account of this hub is linked to you there" in text(answer)
    assert "somebody else" not in text(answer)
    assert not is_in(client)
    assert recorded()[-1]["action"] == "staff.sign-in-failed"
    assert recorded()[-1]["facts"] == {"account_exists": False, "count": 1}


def test_a_session_of_it_is_held_to_the_same_limits(linked: User, there: Provider, recorded: Recorded) -> None:
    come_back(client := Client(), there)
    session = client.session
    session["seen_at"] = (now() - timedelta(minutes=31)).isoformat()
    session.save()
    assert not is_in(client)
    assert recorded()[-1]["facts"] == {"because": "idle"}


# ---------------------------------------------------------------- what does not hold
def _set(**said: Any) -> Callable[[Claims], None]:
    return lambda claims: claims.update(said)


_WRONG: dict[str, tuple[Callable[[Claims], Any], str]] = {
    "another hub's": (_set(aud="another"), "invalid-claim-aud"),
    "for us and by another": (_set(aud=[CLIENT, "another"], azp="another"), "invalid-claim-azp"),
    "for several and by nobody": (_set(aud=[CLIENT, "another"]), "missing-claim-azp"),
    "another issuer's": (_set(iss="https://evil.example"), "invalid-claim-iss"),
    "another sign-in's": (_set(nonce="x" * 43), "invalid-claim-nonce"),
    "no sign-in's": (lambda claims: claims.pop("nonce"), "missing-claim-nonce"),
    "over": (_set(exp=1_700_000_000), "expired-token"),
    "without an end": (lambda claims: claims.pop("exp"), "missing-claim-exp"),
    "of tomorrow": (_set(iat=int(now().timestamp()) + 86400), "invalid-"),
    "about nobody": (lambda claims: claims.pop("sub"), "missing-claim-sub"),
    "about an empty name": (_set(sub=""), "no-subject"),
    "about a number": (_set(sub=7), ""),
    "about too long a name": (_set(sub="x" * 256), "no-subject"),
    "with another access token": (_set(at_hash="x" * 22), "invalid-claim-at-hash"),
    "with words that are no list": (_set(amr="mfa"), "invalid-claim-amr"),
}


@pytest.mark.parametrize("name", _WRONG)
def test_a_token_that_is_not_for_this_sign_in_opens_nothing(
    linked: User, there: Provider, name: str, recorded: Recorded
) -> None:
    there.change, reason = _WRONG[name]
    answer = come_back(client := Client(), there)
    assert answer.status_code == 403
    assert f"does not hold ({reason}" in text(answer)
    assert not is_in(client)
    assert recorded()[-1]["action"] == "staff.sign-in-failed"


def test_only_the_providers_own_key_and_the_one_algorithm_are_believed(
    linked: User, there: Provider, settings: Settings
) -> None:
    public = OctKey.import_key(SECRET)
    rsa = an_rsa_key()
    cases: list[tuple[Claims, Any, list[Claims] | None]] = [
        ({"alg": "ES256", "kid": "one"}, ECKey.generate_key("P-256"), None),  # signed by somebody else
        ({"alg": "ES256", "kid": "two"}, there.key, None),  # under a name that is not published
        ({"alg": "HS256", "kid": "one"}, public, None),  # by what we share with it
        ({"alg": "none"}, there.key, None),
        ({"alg": "RS256", "kid": "rsa"}, rsa, [rsa.as_dict(private=False)]),  # another than the one in the settings
        ({"alg": "ES256", "kid": "one"}, there.key, [there.key.as_dict(private=False) | {"use": "enc"}]),
        ({"alg": "ES256", "kid": "one"}, there.key, []),
    ]
    for header, key, keys in cases:
        there.header, there.signs_with, there.keys = header, key, keys
        answer = come_back(client := Client(REMOTE_ADDR=f"203.0.113.{len(header) + len(keys or [])}"), there)
        assert answer.status_code == 403, header
        assert not is_in(client), header
    settings.OIDC_ALGORITHM, there.described = "RS256", {"id_token_signing_alg_values_supported": ["RS256"]}
    there.header, there.signs_with, there.keys = {"alg": "RS256", "kid": "rsa"}, rsa, [rsa.as_dict(private=False)]
    come_back(client := Client(), there)
    assert is_in(client), "and with RS256 in the settings it is right"


def test_an_answer_opens_only_the_browser_that_asked_and_once(linked: User, there: Provider) -> None:
    client, other = Client(), Client()
    back = there.browse(going_out(client)).removeprefix("http://testserver")
    assert "Begin again" in text(other.get(back))
    going_out(other)
    assert "another-state" in text(other.get(back)), "a link that a stranger sends"
    assert not is_in(other)
    cookie = client.cookies["heliograph_sign_on"].value
    assert client.get(back).status_code == 302
    again = Client()
    again.cookies["heliograph_sign_on"] = cookie
    assert "invalid-grant" in text(again.get(back)), "the provider's codes count once"
    assert not is_in(again)


def test_an_answer_of_another_provider_is_none(linked: User, there: Provider) -> None:
    client = Client()
    back = there.browse(going_out(client)).removeprefix("http://testserver")
    for mixed in (re.sub(r"iss=[^&]+", "iss=https://evil.example", back), re.sub(r"&?iss=[^&]+", "", back)):
        client = Client()
        state = there.browse(going_out(client)).partition("state=")[2].partition("&")[0]
        answer = client.get(re.sub(r"state=[^&]+", f"state={state}", mixed))
        assert "another-issuer" in text(answer)
        assert not is_in(client)


def test_whoever_waits_too_long_begins_again(linked: User, there: Provider, monkeypatch: pytest.MonkeyPatch) -> None:
    client = Client()
    back = there.browse(going_out(client)).removeprefix("http://testserver")
    monkeypatch.setattr("hub.staff.sign_on_pages._LASTS", timedelta(seconds=-1))
    assert "too long ago" in text(client.get(back))
    assert not is_in(client)


def test_no_means_no_and_is_nobodys_failure(linked: User, there: Provider, settings: Settings) -> None:
    settings.SIGN_IN_FAILURES = 1
    client, there.error = Client(), "access_denied"
    for _ in range(5):
        assert "said no (access-denied)" in text(come_back(client, there))
    there.error = "<script>alert(1)</script>"
    assert "said no (unknown)" in text(come_back(client, there))
    assert not is_in(client)


def test_failures_lock_the_address_out_and_a_known_browser_counts_for_itself(
    linked: User, there: Provider, settings: Settings
) -> None:
    known = Client()
    come_back(known, there)
    settings.SIGN_IN_FAILURES = 2
    there.subject = "a stranger"
    answers = [come_back(Client(), there).status_code for _ in range(7)]
    assert answers == [403] * 6 + [429]
    there.subject = "248289761001"
    answer = come_back(Client(), there)
    assert answer.status_code == 429
    assert "Too many failures" in text(answer)
    assert come_back(known, there).status_code == 302


# ---------------------------------------------------------------- a provider with a bad day
def test_a_provider_that_is_away_locks_nobody_out_and_passwords_go_on(
    linked: User, there: Provider, settings: Settings
) -> None:
    settings.SIGN_IN_FAILURES = 1
    client = Client()
    back = [there.browse(going_out(Client())) for _ in range(3)]
    assert back
    for raw in (
        (500, b""),
        (200, b"<html>"),
        (200, b"[" * 5000),
        (200, b"[]"),
        (302, b""),
        (200, b" " * LARGEST_ANSWER),
    ):
        there.raw = raw[0], raw[1] + (b" " if raw[1].startswith(b" ") else b"")
        provider.forget()
        answer = client.post("/admin/sign-on/")
        assert answer.status_code == 503, raw[:20]
        assert "does not answer at the moment" in text(answer)
        asked = len(there.asked)
        assert client.post("/admin/sign-on/").status_code == 503
        assert len(there.asked) == asked, "it is left alone for a while"
    assert is_in(by_password(linked))


def test_one_that_goes_away_in_the_middle_says_so(linked: User, there: Provider, settings: Settings) -> None:
    settings.SIGN_IN_FAILURES = 1
    for _ in range(5):
        client = Client()
        there.raw = None
        back = there.browse(going_out(client)).removeprefix("http://testserver")
        there.raw = (503, b"")
        assert client.get(back).status_code == 503
    there.raw = None
    assert come_back(Client(), there).status_code == 302


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ({"issuer": "https://evil.example"}, "calls-itself-otherwise"),
        ({"token_endpoint": "file:///etc/passwd"}, "endpoints-missing"),
        ({"jwks_uri": None}, "endpoints-missing"),
        ({"authorization_endpoint": "https://["}, "endpoints-missing"),
        ({"code_challenge_methods_supported": ["plain"]}, "no-pkce"),
        ({"token_endpoint_auth_methods_supported": ["private_key_jwt"]}, "no-client-secret"),
    ],
)
def test_a_provider_that_cannot_do_what_we_ask_is_not_asked(there: Provider, said: Claims, reason: str) -> None:
    there.described = said
    with pytest.raises(ProviderAway) as caught:
        provider.described()
    assert caught.value.reason == reason


def test_plain_http_is_for_development_only(there: Provider, settings: Settings, monkeypatch: Any) -> None:
    for value in ("http://login.example", "login.example", "https://", "https://login.example/?a", "https://["):
        monkeypatch.setenv("HELIOGRAPH_OIDC_ISSUER", value)
        with pytest.raises(ImproperlyConfigured, match="HELIOGRAPH_OIDC_ISSUER must be an https address"):
            environment.issuer("HELIOGRAPH_OIDC_ISSUER", may_be_plain=False)
    assert environment.issuer("HELIOGRAPH_NO_SUCH", may_be_plain=False) == ""
    with pytest.raises(ImproperlyConfigured, match="HELIOGRAPH_OIDC_CLIENT_ID must be set"):
        environment.needed("HELIOGRAPH_OIDC_CLIENT_ID", by="HELIOGRAPH_OIDC_ISSUER")
    monkeypatch.setattr(provider, "document_at", lambda url: there.configuration() | {"issuer": "https://safe.example"})
    settings.OIDC_ISSUER = "https://safe.example"
    with pytest.raises(ProviderAway) as caught:
        provider.described()
    assert caught.value.reason == "endpoints-missing", "a provider by https names no door by http"


# ---------------------------------------------------------------- linking
def test_people_link_their_own_identity_after_proving_who_they_are(
    robin: User, there: Provider, recorded: Recorded
) -> None:
    app, client, elsewhere = an_app(robin), Client(), Client()
    for browser in (client, elsewhere):
        browser.force_login(User.objects.select_related("credentials").get(pk=robin.pk))
        session = browser.session
        session["generation"] = factors.generation(User.objects.select_related("credentials").get(pk=robin.pk))
        session.save()
    assert is_in(elsewhere)
    assert "Is it you?" in text(client.post("/admin/sign-on/link/"))
    answer = come_back(client, there, "/admin/sign-on/link/", second_factor_code=app.code(now()))
    assert answer.headers["Location"] == OWN_PAGE
    assert "Linked: 127.0.0.1 opens your account" in text(client.get(OWN_PAGE))
    assert there.prompts == ["login"], "it asks anew who sits there"
    assert recorded()[-1]["action"] == "staff.sign-on-linked"
    assert not is_in(elsewhere)
    come_back(again := Client(), there)
    again.post("/admin/second-factor/", {"second_factor_code": app.code(now() + timedelta(seconds=30))})
    assert is_in(again)


def test_what_came_back_for_somebody_elses_session_links_nothing(robin: User, there: Provider) -> None:
    client = by_password(robin)
    back = there.browse(going_out(client, "/admin/sign-on/link/")).removeprefix("http://testserver")
    cookie = client.cookies["heliograph_sign_on"].value
    for other in (Client(), by_password(a_person("sam"))):
        other.cookies["heliograph_sign_on"] = cookie
        assert "Begin again" in text(other.get(back))
    assert not SignOn.objects.exists()


def test_an_identity_opens_one_account_and_an_account_one_identity(linked: User, there: Provider) -> None:
    sam = a_person("sam")
    client = by_password(sam)
    come_back(client, there, "/admin/sign-on/link/")
    assert "opens another account of this hub" in text(client.get(OWN_PAGE))
    assert not identities.is_linked(sam)
    identities.link(linked, Identity(there.issuer, "another", frozenset()), at=now())
    assert come_back(Client(), there).status_code == 403, "the earlier one opens nothing now"


def test_of_an_identity_only_a_digest_is_kept(linked: User, there: Provider) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT staff_sign_on::text, encode(identity, 'escape') FROM staff_sign_on")
        assert there.subject not in str(cursor.fetchall())


def test_what_is_unlinked_opens_nothing_and_its_sessions_end(linked: User, there: Provider, recorded: Recorded) -> None:
    come_back(client := Client(), there)
    come_back(other := Client(), there)
    assert client.post("/admin/sign-on/unlink/").headers["Location"] == OWN_PAGE
    assert "Unlinked." in text(client.get(OWN_PAGE))
    assert recorded()[-1]["action"] == "staff.sign-on-unlinked"
    assert not is_in(other)
    assert come_back(Client(), there).status_code == 403
    identities.unlink(linked, actor="system:test", at=now())
    assert [event["action"] for event in recorded()].count("staff.sign-on-unlinked") == 1


def test_an_operator_unlinks_and_links_nobody(linked: User, there: Provider) -> None:
    desk = by_password(a_person("olive", Role.OPERATOR))
    page = f"/admin/auth/user/{linked.pk}/"
    assert "Unlink single sign-on" in text(desk.get(f"{page}change/"))
    desk.post(f"{page}do/unlink-sign-on/", {})
    assert come_back(Client(), there).status_code == 403
    assert "Unlink" not in text(desk.get(f"{page}change/"))


def test_an_account_that_is_switched_off_is_opened_by_nothing_until_it_is_linked_anew(
    linked: User, there: Provider
) -> None:
    accounts.switch_off(linked, actor="system:test", at=now())
    assert come_back(Client(), there).status_code == 403
    accounts.switch_on(User.objects.get(pk=linked.pk), actor="system:test", at=now())
    assert come_back(Client(), there).status_code == 403


# ---------------------------------------------------------------- passwords beside it
def test_where_it_is_the_only_way_a_linked_accounts_password_is_as_good_as_a_wrong_one(
    linked: User, there: Provider, settings: Settings
) -> None:
    assert is_in(by_password(linked))
    settings.OIDC_ONLY = True
    said = [
        text(Client().post("/admin/login/", {"username": "robin", "password": password}))
        for password in (PASSWORD, "a wrong one")
    ]
    assert "Whoever has linked it signs in there only" in said[0]
    assert "Please enter the correct username and password" in said[0]
    [right, wrong] = [re.sub(r'value="[^"]{64}"', "", page) for page in said]
    assert right == wrong
    assert not is_in(by_password(linked))
    assert is_in(by_password(a_person("sam"))), "whoever is not linked yet, and break-glass accounts"
    settings.OIDC_ISSUER = ""
    assert is_in(by_password(linked)), "without single sign-on there must be a way"


def test_a_one_time_password_does_not_stand_in_the_way_of_who_came_by_single_sign_on(
    linked: User, there: Provider
) -> None:
    accounts.renew_password(linked, actor="system:test", at=now())
    come_back(client := Client(), there)
    assert is_in(client)


# ---------------------------------------------------------------- going, and being off
def test_whoever_signs_out_here_is_offered_to_sign_out_there(linked: User, there: Provider) -> None:
    come_back(client := Client(), there)
    assert "sign out there as well" in text(client.post("/admin/logout/"))
    assert not is_in(client)
    out = client.get("/admin/sign-on/out/").headers["Location"]
    assert out.startswith(f"{there.issuer}/out?client_id={CLIENT}&post_logout_redirect_uri=http%3A%2F%2Ftestserver%2F")
    assert "sign out there as well" not in text(by_password(linked).post("/admin/logout/"))
    there.described = {"end_session_endpoint": None}
    provider.forget()
    assert "has no page to sign out by" in text(client.get("/admin/sign-on/out/"))


def test_without_an_issuer_there_is_no_such_thing(settings: Settings) -> None:
    settings.OIDC_ISSUER = ""
    client = by_password(a_person("robin"))
    assert "sign-on" not in text(Client().get("/admin/login/"))
    assert "Single sign-on" not in text(client.get(OWN_PAGE))
    for page in ("", "back/", "out/"):
        assert client.get(f"/admin/sign-on/{page}").status_code == 404
    for page in ("", "link/"):
        assert client.post(f"/admin/sign-on/{page}").status_code == 404


def test_nothing_begins_by_a_link(linked: User, there: Provider) -> None:
    assert Client().get("/admin/sign-on/").headers["Location"] == "/admin/login/"
    client = by_password(linked)
    for page in ("link", "unlink"):
        assert client.get(f"/admin/sign-on/{page}/").status_code == 404
    assert there.asked == []
    strict = Client(enforce_csrf_checks=True)
    assert strict.post("/admin/sign-on/").status_code == 403


def test_if_the_ledger_cannot_be_written_nobody_is_linked_and_nobody_comes_in(
    linked: User, there: Provider, ledger_refuses: LedgerRefuses
) -> None:
    client = Client()
    back = there.browse(going_out(client)).removeprefix("http://testserver")
    sam = a_person("sam")
    with ledger_refuses():
        client.get(back)
    with ledger_refuses():
        identities.link(sam, Identity(there.issuer, "sam", frozenset()), at=now())
    with ledger_refuses():
        identities.unlink(linked, actor="system:test", at=now())
    assert not is_in(client)
    assert identities.is_linked(linked)
    assert not identities.is_linked(sam)


def test_the_doctor_says_whether_the_provider_can_be_used(linked: User, there: Provider, settings: Settings) -> None:
    def found() -> list[tuple[str, str]]:
        provider.forget()
        return [(finding.verdict, finding.sentence) for finding in checkup.sign_on()]

    assert found() == [("ok", f"{there.issuer} answers.")]
    settings.OIDC_ONLY = True
    assert found() == [("warning", "While the provider is away no operator can come in.")]
    a_person("olive", Role.OPERATOR)
    assert found() == [("ok", f"{there.issuer} answers.")]
    settings.OIDC_ALGORITHM = "PS256"
    assert found() == [("failure", "The provider signs nothing with PS256.")]
    there.raw = (404, b"")
    assert found() == [("failure", f"{there.issuer} cannot be used: answered-404.")]
    settings.OIDC_ISSUER = ""
    assert found() == []
