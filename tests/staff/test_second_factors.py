"""Second factors: signing in by two steps, enrolling, recovery codes, security keys, and getting rid of them."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.db import connection
from django.test import Client
from pytest_django import Settings

from hub.staff import approvals, factors, totp, webauthn
from hub.staff.accounts import add_account
from hub.staff.changes import RESET_FACTORS
from hub.staff.factors import CannotAddFactor, Proof, WrongFactor
from hub.staff.models import Approval, Authenticator, RecoveryCode, SecurityKey
from hub.staff.roles import Role
from tests.partners.conftest import LedgerRefuses, Recorded
from tests.partners.conftest import ledger_refuses as _ledger_refuses
from tests.partners.conftest import recorded as _recorded
from tests.staff.authenticators import App, Key, an_app_of, app_on, asked_on

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("admin_alone")]
ledger_refuses, recorded = _ledger_refuses, _recorded
PASSWORD = "a long and pleasant sentence"
NOON = datetime(2026, 11, 3, 12, tzinfo=UTC)


def now() -> datetime:
    return datetime.now(UTC)


def ago(**past: float) -> datetime:
    return now() - timedelta(**past)


@pytest.fixture
def robin() -> User:
    return a_person("robin", Role.ANALYST)


def a_person(name: str, *roles: Role) -> User:
    add_account(name, roles, actor="system:test", at=ago(days=1), password=PASSWORD)
    return User.objects.get(username=name)


def password_of(user: User, client: Client | None = None, **given: str) -> tuple[Client, Any]:
    """A browser after the first step, and the answer it got."""
    client = client or Client()
    return client, client.post("/admin/login/", {"username": user.username, "password": PASSWORD, **given})


def is_in(client: Client) -> bool:
    return client.get("/admin/").status_code == 200


def actions(recorded: Recorded) -> list[str]:
    return [event["action"] for event in recorded() if not event["action"].startswith("staff.account")]


# ---------------------------------------------------------------- signing in
def test_the_password_alone_opens_nothing_once_there_is_a_second_factor(robin: User, recorded: Recorded) -> None:
    app, _ = an_app_of(robin, at=ago(minutes=5))
    client, answer = password_of(robin, next="/admin/auth/user/")
    assert answer.headers["Location"] == "/admin/second-factor/"
    assert not is_in(client)
    assert "_auth_user_id" not in client.session
    assert "staff.signed-in" not in actions(recorded)
    page = client.get("/admin/second-factor/")
    assert "no-store" in page.headers["Cache-Control"]
    wrong = client.post("/admin/second-factor/", {"second_factor_code": "000000"})
    assert "That is not right" in wrong.content.decode()
    assert not is_in(client)
    answer = client.post("/admin/second-factor/", {"second_factor_code": app.code(now())})
    assert answer.headers["Location"] == "/admin/auth/user/", "where they were going"
    assert is_in(client)
    last = recorded()[-1]
    assert (last["action"], last["facts"]) == ("staff.signed-in", {"by": "password", "second_factor": "app"})


def test_nobody_skips_the_first_step(robin: User) -> None:
    app, _ = an_app_of(robin, at=ago(minutes=5))
    client = Client()
    for page in ("/admin/second-factor/", "/admin/second-factor/enrol/"):
        assert client.get(page).headers["Location"] == "/admin/login/"
        given = {"second_factor_code": app.code(now()), "user": robin.pk}
        assert client.post(page, given).headers["Location"] == "/admin/login/"
    assert not is_in(client)


def test_the_first_step_is_forgotten_after_a_while_and_with_another_password(robin: User) -> None:
    app, _ = an_app_of(robin, at=ago(minutes=5))
    client, _ = password_of(robin)
    session = client.session
    half = session["half_signed_in"]
    session["half_signed_in"] = half | {"at": ago(minutes=11).isoformat()}
    session.save()
    assert client.get("/admin/second-factor/").headers["Location"] == "/admin/login/"
    client, _ = password_of(robin)
    robin.set_password("another long and pleasant sentence")
    robin.save()
    answer = client.post("/admin/second-factor/", {"second_factor_code": app.code(now())})
    assert answer.headers["Location"] == "/admin/login/"


def test_who_has_a_factor_enrols_no_other_by_password_alone(robin: User) -> None:
    an_app_of(robin, at=ago(minutes=5))
    client, _ = password_of(robin)
    assert client.get("/admin/second-factor/enrol/").headers["Location"] == "/admin/login/"


def test_a_code_counts_once_and_a_clock_may_be_half_a_minute_off(robin: User) -> None:
    app, _ = an_app_of(robin, at=NOON)
    with pytest.raises(WrongFactor):
        factors.prove(robin, Proof(app.code(NOON)), at=NOON)
    later = NOON + timedelta(minutes=10)
    assert factors.prove(robin, Proof(app.code(later - timedelta(seconds=30))), at=later) == "app"
    assert factors.prove(robin, Proof(" ".join(app.code(later))), at=later) == "app"
    for code in (app.code(later), app.code(later - timedelta(seconds=30)), app.code(later + timedelta(minutes=2)), ""):
        with pytest.raises(WrongFactor):
            factors.prove(robin, Proof(code), at=later)
    for digits in ("١٢٣٤٥٦", "1234567", "12345", "abcdef"):
        assert totp.matching_step(app.secret, digits, at=later) is None


def test_codes_are_those_of_the_standard() -> None:
    secret = b"12345678901234567890"  # RFC 6238, appendix B, the last six of its eight digits
    for seconds, code in ((59, "287082"), (1111111109, "081804"), (1234567890, "005924"), (20000000000, "353130")):
        assert totp.code_of(secret, at=datetime.fromtimestamp(seconds, UTC)) == code


# ---------------------------------------------------------------- recovery codes
def test_a_recovery_code_opens_once(robin: User, recorded: Recorded) -> None:
    _, codes = an_app_of(robin, at=ago(minutes=5))
    assert len(set(codes)) == 10
    client, _ = password_of(robin)
    answer = client.post("/admin/second-factor/", {"second_factor_code": codes[0].upper()}, follow=True)
    assert "9 are left" in answer.content.decode()
    assert is_in(client)
    assert actions(recorded)[-2:] == ["staff.recovery-code-used", "staff.signed-in"]
    client, _ = password_of(robin)
    client.post("/admin/second-factor/", {"second_factor_code": codes[0]})
    assert not is_in(client)
    other = a_person("sam", Role.ANALYST)
    an_app_of(other, at=ago(minutes=5))
    with pytest.raises(WrongFactor):
        factors.prove(other, Proof(codes[1]), at=now())


def test_no_secret_lies_in_the_database(robin: User) -> None:
    app, codes = an_app_of(robin, at=NOON)
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT string_agg(encode(sealed, 'hex'), ' ') FROM staff_authenticator"
            " UNION SELECT string_agg(encode(digest, 'hex'), ' ') FROM staff_recovery_code"
        )
        stored = " ".join(row[0] for row in cursor.fetchall())
    assert app.secret.hex() not in stored
    assert not [code for code in codes if code.replace("-", "").encode().hex() in stored]
    sealed = bytes(Authenticator.objects.get().sealed)
    other = a_person("sam", Role.ANALYST)
    Authenticator.objects.create(user=other, sealed=sealed, added_at=NOON, last_step=0)
    with pytest.raises(Exception, match=r"(?i)open|altered|sealed"):  # moved to another account, it opens nothing
        factors.prove(other, Proof(app.code(NOON)), at=NOON)


# ---------------------------------------------------------------- enrolling
def test_where_it_is_required_nothing_opens_before_one_is_enrolled(settings: Settings, recorded: Recorded) -> None:
    settings.SECOND_FACTOR = "required"
    once = add_account("robin", [Role.ANALYST], actor="system:test", at=now())
    assert once is not None
    client = Client()
    answer = client.post("/admin/login/", {"username": "robin", "password": once})
    assert answer.headers["Location"] == "/admin/second-factor/enrol/"
    assert not is_in(client)
    page = client.get("/admin/second-factor/enrol/").content.decode()
    assert "<svg" in page
    assert "style=" not in page.split("<svg")[1].split("</svg>")[0]
    [pending] = re.findall(r'name="pending" value="([^"]+)"', page)
    app = app_on(page)
    again = client.post("/admin/second-factor/enrol/", {"pending": pending, "code": "000000"}).content.decode()
    assert "not the code" in again
    assert app_on(again).secret == app.secret, "a typing error does not change the picture"
    shown = client.post("/admin/second-factor/enrol/", {"pending": pending, "code": app.code(now())})
    assert shown.content.decode().count("-") > 30
    assert "no-store" in shown.headers["Cache-Control"]
    assert actions(recorded)[-3:] == [
        *("staff.second-factor-added", "staff.recovery-codes-made", "staff.signed-in"),
    ]
    assert client.get("/admin/").headers["Location"] == "/admin/password_change/", "the one-time password is next"
    assert "recovery codes left" not in shown.content.decode()


def test_where_it_is_required_a_session_without_one_ends(robin: User, settings: Settings, recorded: Recorded) -> None:
    client, _ = password_of(robin)
    assert is_in(client)
    settings.SECOND_FACTOR = "required"
    assert not is_in(client)
    last = recorded()[-1]
    assert (last["action"], last["facts"]) == ("staff.signed-out", {"because": "no-second-factor"})


def test_somebody_elses_pending_secret_is_not_taken(robin: User) -> None:
    client, _ = password_of(robin)
    page = client.get("/admin/second-factors/add/").content.decode()
    [pending] = re.findall(r'name="pending" value="([^"]+)"', page)
    sam, _ = password_of(a_person("sam", Role.ANALYST))
    sam.post("/admin/second-factors/add/", {"pending": pending, "code": app_on(page).code(now())})
    assert not Authenticator.objects.exists()


def test_one_is_offered_where_none_is_required_and_ends_other_sessions(robin: User) -> None:
    client, _ = password_of(robin)
    elsewhere, _ = password_of(robin)
    assert "second factors of yours" in client.get("/admin/").content.decode()
    page = client.get("/admin/second-factors/add/").content.decode()
    [pending] = re.findall(r'name="pending" value="([^"]+)"', page)
    client.post("/admin/second-factors/add/", {"pending": pending, "code": app_on(page).code(now())})
    assert is_in(client)
    assert not is_in(elsewhere)
    assert "10 recovery codes left" in client.get("/admin/second-factors/").content.decode()
    assert "second factors of yours" not in client.get("/admin/").content.decode()


# ---------------------------------------------------------------- security keys
def with_a_key(robin: User) -> tuple[Client, Key]:
    client, _ = password_of(robin)
    key = Key()
    page = client.get("/admin/second-factors/add/").content.decode()
    shown = client.post("/admin/second-factors/add/", {"name": "Blue", "answer": key.create(asked_on(page, "create"))})
    assert "Recovery codes" in shown.content.decode()
    return client, key


def signing_in(robin: User) -> tuple[Client, dict[str, Any]]:
    client, _ = password_of(robin)
    return client, asked_on(client.get("/admin/second-factor/").content.decode(), "sign")


def test_a_security_key_signs_in(robin: User, recorded: Recorded) -> None:
    _, key = with_a_key(robin)
    client, asked = signing_in(robin)
    answer = client.post("/admin/second-factor/", {"second_factor_key": key.sign(asked)})
    assert answer.headers["Location"] == "/admin/"
    assert recorded()[-1]["facts"] == {"by": "password", "second_factor": "key"}
    assert SecurityKey.objects.get().last_used_at is not None


@pytest.mark.parametrize(
    "spoil",
    [
        lambda key, asked: Key().sign(asked),
        lambda key, asked: Key(identity=key.identity).sign(asked),
        lambda key, asked: key.sign(asked | {"challenge": "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}),
        lambda key, asked: Key(key.private, key.identity, 9, origin="https://localhost.evil.example").sign(asked),
        lambda key, asked: Key(key.private, key.identity, 9, party="evil.example").sign(asked),
        lambda key, asked: Key(key.private, key.identity, 0).sign(asked),  # its counter went back: a copy
        lambda key, asked: key.create(asked),
        lambda key, asked: "{}",
        lambda key, asked: "[1]",
        lambda key, asked: "no json",
    ],
)
def test_what_is_not_the_keys_answer_opens_nothing(robin: User, spoil: Callable[[Key, dict[str, Any]], str]) -> None:
    _, key = with_a_key(robin)
    client, asked = signing_in(robin)
    answer = client.post("/admin/second-factor/", {"second_factor_key": spoil(key, asked)})
    assert answer.status_code == 200
    assert not is_in(client)


def test_an_answer_of_a_key_counts_once(robin: User) -> None:
    _, key = with_a_key(robin)
    client, asked = signing_in(robin)
    signed = key.sign(asked)
    client.post("/admin/second-factor/", {"second_factor_key": signed})
    other, _ = signing_in(robin)
    other.post("/admin/second-factor/", {"second_factor_key": signed})
    assert not is_in(other)


def test_a_key_belongs_to_one_account_and_is_asked_for_at_the_hubs_own_name_only(
    robin: User, settings: Settings
) -> None:
    _, key = with_a_key(robin)
    sam, _ = password_of(a_person("sam", Role.ANALYST))
    asked = asked_on(sam.get("/admin/second-factors/add/").content.decode(), "create")
    answer = sam.post("/admin/second-factors/add/", {"name": "mine", "answer": key.create(asked)})
    assert "already" in answer.content.decode()
    settings.PUBLIC_URL = "http://127.0.0.1:8000"  # WebAuthn knows no addresses, but every browser knows localhost
    client, _ = password_of(robin)
    page = client.get("/admin/second-factor/").content.decode()
    assert "data-sign" not in page
    assert "http://localhost:8000 only" in page
    assert asked_on(client.get("/admin/second-factor/", HTTP_HOST="localhost:8000").content.decode(), "sign")
    settings.PUBLIC_URL = "http://10.1.2.3"
    assert webauthn.origin() is None


# ---------------------------------------------------------------- getting rid of them
def test_one_removes_ones_own_but_never_the_last_where_it_is_required(
    robin: User, settings: Settings, recorded: Recorded
) -> None:
    client, _ = with_a_key(robin)
    app = App(totp.new_secret())
    factors.add_app(robin, app.secret, app.code(now()), at=now())
    client, _ = signing_in(robin)
    client.post("/admin/second-factor/", {"second_factor_code": app.code(now() + timedelta(seconds=30))})
    key_id = SecurityKey.objects.get().pk
    settings.SECOND_FACTOR = "required"
    client.post(f"/admin/second-factors/{key_id}/remove/")
    assert not SecurityKey.objects.exists()
    assert "your last one" in client.post("/admin/second-factors/app/remove/", follow=True).content.decode()
    assert Authenticator.objects.exists()
    settings.SECOND_FACTOR = "offered"
    client.post("/admin/second-factors/app/remove/")
    assert not RecoveryCode.objects.exists()
    assert is_in(password_of(robin)[0]), "the password alone opens again"
    assert actions(recorded).count("staff.second-factor-removed") == 2


def test_nobody_removes_somebody_elses(robin: User) -> None:
    with_a_key(robin)
    sam, _ = password_of(a_person("sam", Role.ANALYST))
    sam.post(f"/admin/second-factors/{SecurityKey.objects.get().pk}/remove/")
    assert SecurityKey.objects.exists()
    assert sam.get("/admin/second-factors/app/remove/").status_code == 404


def test_new_recovery_codes_replace_the_old(robin: User) -> None:
    _, old = an_app_of(robin, at=NOON)
    new = factors.renew_codes(robin, at=NOON)
    for code in old:
        with pytest.raises(WrongFactor):
            factors.prove(robin, Proof(code), at=NOON)
    assert factors.prove(robin, Proof(new[3]), at=NOON) == "recovery-code"


def test_two_others_reset_the_factors_of_somebody_who_lost_theirs(robin: User, recorded: Recorded) -> None:
    app, _ = an_app_of(robin, at=ago(minutes=5))
    client, _ = password_of(robin)
    client.post("/admin/second-factor/", {"second_factor_code": app.code(now())})
    olga, carla = a_person("olga", Role.OPERATOR), a_person("carla", Role.COMPLIANCE)
    desk, _ = password_of(olga)
    desk.post(f"/admin/auth/user/{robin.pk}/do/reset-second-factors/", {"reason": "lost phone, seen in person"})
    assert is_in(client)
    [proposal] = Approval.objects.filter(act=RESET_FACTORS.name)
    shown = dict(approvals.description(proposal))
    assert "authenticator app of" in shown["Removed for good"]
    approvals.approve(proposal.pk, by=carla, at=now())
    assert not is_in(client)
    assert is_in(password_of(robin)[0])
    assert actions(recorded)[-4:-1] == [
        *("staff.second-factors-reset", "approval.granted", "staff.signed-out"),
    ]


def test_the_shell_breaks_the_glass(robin: User, capsys: pytest.CaptureFixture[str]) -> None:
    an_app_of(robin, at=NOON)
    call_command("reset_second_factors", "robin")
    assert not factors.has_any(User.objects.get(pk=robin.pk))
    with pytest.raises(CommandError):
        call_command("reset_second_factors", "nobody")


def test_without_the_ledger_no_factor_changes(robin: User, ledger_refuses: LedgerRefuses) -> None:
    app, codes = an_app_of(robin, at=NOON)
    later = NOON + timedelta(minutes=1)
    for step in (
        lambda: factors.add_app(robin, app.secret, app.code(later), at=later),
        lambda: factors.prove(robin, Proof(codes[0]), at=later),
        lambda: factors.remove_app(robin, at=later),
        lambda: factors.renew_codes(robin, at=later),
        lambda: factors.reset(robin, actor="system:test", at=later),
        lambda: factors.forget_codes(robin, actor="system:test", at=later),
    ):
        with ledger_refuses():
            step()
    assert RecoveryCode.objects.count() == 10
    assert factors.prove(robin, Proof(app.code(later)), at=later) == "app"
    with pytest.raises(CannotAddFactor):
        factors.add_app(robin, app.secret, "000000", at=later)
