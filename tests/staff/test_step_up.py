"""A fresh second factor before something dangerous, limits of sessions, and what happens to whoever fails too often."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.test import Client, override_settings
from django.urls import path
from pytest_django import Settings

from hub.staff import approvals, factors
from hub.staff.accounts import add_account
from hub.staff.changes import SET_ROLES
from hub.staff.models import Approval, Failure
from hub.staff.roles import FRESH, Capability, Role, StepUpNeeded, require
from hub.staff.site import site
from tests.partners.conftest import Recorded
from tests.partners.conftest import recorded as _recorded
from tests.staff.authenticators import App, Key, an_app_of, asked_on

pytestmark = pytest.mark.django_db
recorded = _recorded
PASSWORD = "a long and pleasant sentence"
ANSWERS: list[dict[str, Any]] = []


def dangerous(request: HttpRequest) -> HttpResponse:
    """Reveals something, and says what it was sent."""
    user = require(request.user, Capability.SIGNALS_REVEAL)
    ANSWERS.append({name: request.POST.getlist(name) for name in request.POST})
    return HttpResponse(f"revealed to {user.username}")


urlpatterns = [
    path("admin/dangerous/", site.admin_view(dangerous)),
    path("elsewhere/dangerous/", dangerous),  # no page of the admin's, and held to the same
    path("admin/", site.urls),
]


@pytest.fixture(scope="module", autouse=True)
def _addresses() -> Iterator[None]:
    with override_settings(ROOT_URLCONF=__name__):
        yield


@pytest.fixture(autouse=True)
def _answers() -> None:
    ANSWERS.clear()


def now() -> datetime:
    return datetime.now(UTC)


def a_person(name: str, *roles: Role) -> User:
    at = now() - timedelta(days=1)
    add_account(name, roles, actor="system:test", at=at, password=PASSWORD)
    return User.objects.get(username=name)


@pytest.fixture
def robin() -> User:
    return a_person("robin", Role.ANALYST)


@pytest.fixture
def app(robin: User) -> App:
    return an_app_of(robin, at=now() - timedelta(minutes=10))[0]


def signed_in(user: User, app: App | None = None, **headers: str) -> Client:
    client = Client(**headers)  # type: ignore[arg-type]  # headers of every request
    client.post("/admin/login/", {"username": user.username, "password": PASSWORD})
    if app is not None:
        code = app.code(now() - timedelta(seconds=30))
        assert client.post("/admin/second-factor/", {"second_factor_code": code}).status_code == 302
    return client


def back_in_time(client: Client, **moments: timedelta) -> None:
    session = client.session
    for name, past in moments.items():
        session[name] = (now() - past).isoformat()
    session.save()


def step_up_gone(client: Client) -> None:
    back_in_time(client, proved_at=timedelta(minutes=11))


# ---------------------------------------------------------------- step-up
def test_a_fresh_factor_opens_and_a_stale_one_is_asked_for_with_nothing_lost(
    robin: User, app: App, recorded: Recorded
) -> None:
    client = signed_in(robin, app)
    assert client.post("/admin/dangerous/").content == b"revealed to robin"
    step_up_gone(client)
    sent = {"value": 'a "quoted" <word>', "many": ["1", "2"], "csrfmiddlewaretoken": "x"}
    asked = client.post("/admin/dangerous/?page=2", sent)
    text = asked.content.decode()
    assert len(ANSWERS) == 1, "nothing was done yet"
    assert 'action="/admin/dangerous/?page=2"' in text
    assert 'name="value" value="a &quot;quoted&quot; &lt;word&gt;"' in text
    assert text.count('name="many"') == 2
    assert "no-store" in asked.headers["Cache-Control"]
    wrong = client.post("/admin/dangerous/?page=2", {**sent, "second_factor_code": "000000"}).content.decode()
    assert "That is not right" in wrong
    assert 'name="value" value="a &quot;quoted&quot; &lt;word&gt;"' in wrong
    assert len(ANSWERS) == 1
    answer = client.post("/admin/dangerous/?page=2", {**sent, "second_factor_code": app.code(now())})
    assert answer.content == b"revealed to robin"
    assert ANSWERS[-1]["value"] == ['a "quoted" <word>']
    assert ANSWERS[-1]["many"] == ["1", "2"]
    assert client.post("/admin/dangerous/").content == b"revealed to robin", "fresh again"
    events = [event for event in recorded() if event["action"] in {"staff.stepped-up", "staff.second-factor-failed"}]
    assert [event["action"] for event in events] == ["staff.second-factor-failed", "staff.stepped-up"]


def test_a_page_that_was_asked_for_comes_after_the_factor(robin: User, app: App) -> None:
    client = signed_in(robin, app)
    step_up_gone(client)
    text = client.get("/admin/dangerous/?page=2").content.decode()
    assert 'name="next" value="/admin/dangerous/?page=2"' in text
    given = {"next": "/admin/dangerous/?page=2", "second_factor_code": app.code(now())}
    assert client.post("/admin/step-up/", given).headers["Location"] == "/admin/dangerous/?page=2"
    assert client.get("/admin/dangerous/").content == b"revealed to robin"
    for elsewhere in ("https://evil.example/", "//evil.example", "javascript:alert(1)", ""):
        assert client.post("/admin/step-up/", {"next": elsewhere}).headers["Location"] == "/admin/"


def test_a_door_outside_the_admin_is_held_to_the_same(robin: User, app: App) -> None:
    client = signed_in(robin, app)
    assert client.get("/elsewhere/dangerous/").content == b"revealed to robin"
    step_up_gone(client)
    assert b"revealed to robin" not in client.get("/elsewhere/dangerous/").content
    assert ANSWERS == [{}]


def test_a_security_key_steps_up(robin: User) -> None:
    client, key = signed_in(robin), Key()
    page = client.get("/admin/second-factors/add/").content.decode()
    client.post("/admin/second-factors/add/", {"answer": key.create(asked_on(page, "create"))})
    step_up_gone(client)
    asked = asked_on(client.post("/admin/dangerous/", {"a": "b"}).content.decode(), "sign")
    answer = client.post("/admin/dangerous/", {"a": "b", "second_factor_key": key.sign(asked)})
    assert answer.content == b"revealed to robin"


def test_somebody_elses_code_is_no_proof(robin: User, app: App) -> None:
    sam = a_person("sam", Role.ANALYST)
    other, _ = an_app_of(sam, at=now() - timedelta(minutes=10))
    client = signed_in(robin, app)
    step_up_gone(client)
    client.post("/admin/dangerous/", {"second_factor_code": other.code(now())})
    assert ANSWERS == []


def test_without_a_factor_nothing_can_be_asked_for_and_the_right_role_is_needed_all_the_same(robin: User) -> None:
    assert signed_in(robin).post("/admin/dangerous/").content == b"revealed to robin"
    audrey = a_person("audrey", Role.AUDITOR)
    app, _ = an_app_of(audrey, at=now() - timedelta(minutes=10))
    client = signed_in(audrey, app)
    step_up_gone(client)
    assert client.post("/admin/dangerous/").status_code == 403


def test_what_is_dangerous_stands_in_one_table(robin: User) -> None:
    assert {capability.value for capability in FRESH} == {
        *("signals.reveal", "ledger.export", "keys.manage", "partners.manage", "endpoints.manage"),
        *("staff.manage", "staff.approve", "partners.approve"),
    }
    carla = a_person("carla", *Role)
    carla.is_to_step_up = True  # type: ignore[attr-defined]  # as the middleware says it
    for capability in Capability:
        if capability in FRESH:
            with pytest.raises(StepUpNeeded):
                require(carla, capability)
        else:
            assert require(carla, capability) == carla
    assert issubclass(StepUpNeeded, PermissionDenied), "whoever does not know it, refuses"


def test_approving_asks_for_a_fresh_factor_whatever_the_act_needs(robin: User) -> None:
    olga, pat = a_person("olga", Role.OPERATOR), a_person("pat", Role.OPERATOR)
    app, _ = an_app_of(pat, at=now() - timedelta(minutes=10))
    given: dict[str, Any] = {"subject": f"staff:{robin.pk}", "facts": {"roles": ["auditor"]}, "reason": "file 17"}
    proposal = approvals.propose(SET_ROLES, by=olga, at=now() - timedelta(seconds=1), **given)
    client = signed_in(pat, app)
    step_up_gone(client)
    address = f"/admin/staff/approval/{proposal.pk}/do/approve/"
    assert "Is it you?" in client.get(address).content.decode()
    assert "Is it you?" in client.post(address).content.decode()
    assert Approval.objects.get().state == "waiting"
    assert client.post(address, {"second_factor_code": app.code(now())}).status_code == 302
    assert Approval.objects.get().state == "granted"


def test_changing_ones_own_factors_asks_for_one(robin: User, app: App) -> None:
    client = signed_in(robin, app)
    step_up_gone(client)
    for address in ("/admin/second-factors/add/", "/admin/second-factors/app/remove/", "/admin/second-factors/codes/"):
        assert "Is it you?" in client.post(address).content.decode(), address
    assert factors.of(robin).codes_left == 10
    assert factors.of(robin).app is not None


# ---------------------------------------------------------------- sessions
@pytest.mark.parametrize(
    ("moment", "past", "because"),
    [("seen_at", timedelta(minutes=31), "idle"), ("began_at", timedelta(hours=10, minutes=1), "too-long")],
)
def test_a_session_ends_when_it_is_idle_or_old(
    robin: User, recorded: Recorded, moment: str, past: timedelta, because: str
) -> None:
    client = signed_in(robin)
    back_in_time(client, **{moment: past - timedelta(minutes=2)})
    assert client.get("/admin/").status_code == 200
    back_in_time(client, **{moment: past})
    answer = client.get("/admin/auth/user/")
    assert answer.headers["Location"] == "/admin/login/?next=/admin/auth/user/", "and they come back to where they were"
    last = recorded()[-1]
    assert (last["action"], last["facts"]) == ("staff.signed-out", {"because": because})


def test_using_a_session_keeps_it_alive(robin: User) -> None:
    client = signed_in(robin)
    for _ in range(3):
        back_in_time(client, seen_at=timedelta(minutes=20))
        assert client.get("/admin/").status_code == 200
        assert now() - datetime.fromisoformat(client.session["seen_at"]) < timedelta(minutes=1)


def test_what_a_page_asks_by_itself_keeps_no_session_alive(robin: User) -> None:
    client = signed_in(robin)
    back_in_time(client, seen_at=timedelta(minutes=29))
    before = client.session["seen_at"]
    assert client.get("/admin/", headers={"X-By-Itself": "yes"}).status_code == 200
    assert client.get("/admin/?by-itself").status_code == 200
    assert client.session["seen_at"] == before


def test_another_password_ends_every_other_session(robin: User) -> None:
    here, elsewhere = signed_in(robin), signed_in(robin)
    new = "another long and pleasant sentence"
    here.post("/admin/password_change/", {"old_password": PASSWORD, "new_password1": new, "new_password2": new})
    assert here.get("/admin/").status_code == 200
    assert elsewhere.get("/admin/").status_code == 302


# ---------------------------------------------------------------- failing too often
def fail(username: str, times: int, client: Client | None = None, **headers: str) -> list[int]:
    client = client or Client()
    given = {"username": username, "password": "wrong"}
    return [client.post("/admin/login/", given, **headers).status_code for _ in range(times)]  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["robin", "nobody at all"])
def test_after_ten_failures_nobody_is_listened_to_for_a_while_whether_or_not_there_is_such_an_account(
    robin: User, name: str
) -> None:
    assert fail(name, 12) == 10 * [200] + 2 * [429]
    answer = Client().post("/admin/login/", {"username": name, "password": PASSWORD})
    assert answer.status_code == 429, "the right password too"
    assert "Too many failures to sign in. Try again in 15 minutes." in answer.content.decode()
    assert answer.headers["Retry-After"] == "900"
    assert name not in str(list(Failure.objects.values_list("key", flat=True)))
    Failure.objects.update(minute=now() - timedelta(minutes=16))
    answer = Client().post("/admin/login/", {"username": name, "password": PASSWORD})
    assert answer.status_code == (302 if name == "robin" else 200)


def test_a_stranger_does_not_lock_out_a_browser_that_has_signed_in_before(robin: User) -> None:
    own = signed_in(robin)
    own.post("/admin/logout/")
    fail("robin", 11)
    assert own.post("/admin/login/", {"username": "robin", "password": PASSWORD}).status_code == 302
    own.post("/admin/logout/")
    assert fail("robin", 11, own)[-1] == 429, "it has a count of its own"
    stranger = a_person("sam", Role.ANALYST)
    fail("robin", 1, Client())
    assert fail(stranger.username, 1, own) == [200], "and knows one account only"


def test_one_address_may_fail_thirty_times_whatever_names_it_tries(robin: User) -> None:
    own, client = signed_in(robin), Client()
    own.post("/admin/logout/")
    codes = [fail(f"name-{number}", 1, client)[0] for number in range(31)]
    assert codes == 30 * [200] + [429]
    assert fail("robin", 1, REMOTE_ADDR="192.0.2.7") == [200]
    assert own.post("/admin/login/", {"username": "robin", "password": PASSWORD}).status_code == 302, "it is known"
    assert "127.0.0.1" not in str(list(Failure.objects.values_list("key", flat=True)))


def test_a_forged_cookie_makes_no_known_browser(robin: User) -> None:
    forged = Client()
    forged.cookies["heliograph_known"] = f"[{robin.pk}, 1]"
    assert fail("robin", 11, forged)[-1] == 429
    assert fail("robin", 1) == [429]


def test_a_second_factor_may_be_wrong_five_times(robin: User, app: App, recorded: Recorded) -> None:
    client = signed_in(robin)
    for _ in range(5):
        client.post("/admin/second-factor/", {"second_factor_code": "000000"})
    answer = client.post("/admin/second-factor/", {"second_factor_code": app.code(now())})
    assert "Too many failures" in answer.content.decode()
    assert client.get("/admin/").status_code == 302
    failed = [event for event in recorded() if event["action"] == "staff.second-factor-failed"]
    assert [event["facts"]["count"] for event in failed] == [1]
    Failure.objects.update(minute=now() - timedelta(minutes=16))
    assert client.post("/admin/second-factor/", {"second_factor_code": app.code(now())}).status_code == 302


def test_what_was_right_counts_for_nothing(robin: User, settings: Settings) -> None:
    settings.SIGN_IN_FAILURES = 3
    for _ in range(5):
        assert signed_in(robin).get("/admin/").status_code == 200
    assert set(Failure.objects.values_list("count", flat=True)) <= {0}
