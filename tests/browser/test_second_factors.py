"""Second factors in a real browser: an app and a security key are enrolled, sign in, and are asked for again."""

from __future__ import annotations

import os
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from django.contrib.auth.models import User
from django.contrib.sessions.backends.db import SessionStore
from django.contrib.sessions.models import Session
from playwright.sync_api import BrowserContext, Page, expect

from hub.staff.accounts import add_account
from hub.staff.models import SecurityKey
from hub.staff.roles import Role, roles_of
from tests.admin.scene import VALUE, Scene, a_person
from tests.browser.conftest import SignIn
from tests.companies import now
from tests.live import LiveHub
from tests.staff.authenticators import app_on

pytestmark = pytest.mark.browser
PASSWORD = "a long and pleasant sentence"


def give_password(page: Page, name: str) -> None:
    page.get_by_label("Username").fill(name)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Log in").click()


def picture(page: Page, name: str) -> None:
    """Kept only where somebody wants to look at it."""
    folder = os.environ.get("HELIOGRAPH_PICTURES")
    if folder:
        page.screenshot(path=Path(folder) / f"{name}.png")


def let_the_factor_grow_stale() -> None:
    for row in Session.objects.all():
        session = SessionStore(row.session_key)
        if "proved_at" in session:
            session["proved_at"] = (now() - timedelta(minutes=11)).isoformat()
            session.save()


def test_an_app_signs_in_and_is_asked_for_again_before_a_reveal(sign_in: SignIn, scene: Scene, hub: LiveHub) -> None:
    add_account("tess", [Role.ANALYST], actor="system:test", at=now(), password=PASSWORD)
    page = sign_in(Role.AUDITOR)
    page.context.clear_cookies()
    page.goto("/admin/login/?next=/admin/second-factors/add/")
    give_password(page, "tess")
    expect(page).to_have_url(re.compile("/second-factors/add/$"))
    picture(page, "enrol")
    app, at = app_on(page.content()), datetime.now(UTC)
    page.get_by_label("The six digits it shows now:").fill(app.code(at - timedelta(seconds=30)))
    page.get_by_role("button", name="Add the app").click()
    expect(page.locator(".shown-once")).to_have_text(re.compile("(([a-z0-9]{4}-){3}[a-z0-9]{4}\\s*){10}"))
    picture(page, "codes")
    page.goto("/admin/second-factors/")
    expect(page.get_by_text("10 recovery codes left")).to_be_visible()
    picture(page, "own")
    page.get_by_role("button", name="Log out").click()

    held = f"/admin/signals/signal/{scene.held.pk}/change/"
    page.goto(held)
    give_password(page, "tess")
    expect(page.get_by_text("The first step is done.")).to_be_visible()
    page.get_by_label("Code:").fill(app.code(datetime.now(UTC)))
    page.get_by_role("button", name="Go on").click()
    expect(page).to_have_url(re.compile(f"{held}$"))

    let_the_factor_grow_stale()
    page.get_by_role("button", name="Reveal").click()
    expect(page.get_by_text("nothing is lost")).to_be_visible()
    assert VALUE not in page.content()
    picture(page, "step-up")
    page.get_by_label("Code:").fill("000000")
    page.get_by_role("button", name="Go on").click()
    expect(page.get_by_role("alert")).to_contain_text("That is not right")
    page.get_by_label("Code:").fill(app.code(datetime.now(UTC) + timedelta(seconds=30)))
    page.get_by_role("button", name="Go on").click()
    expect(page.get_by_text(VALUE)).to_be_visible()
    assert not [line for line in hub.said() if VALUE in line]


def test_two_people_change_somebodys_roles(sign_in: SignIn) -> None:
    robin = a_person("newcomer", Role.ANALYST)
    page = sign_in(Role.OPERATOR)
    page.goto(f"/admin/auth/user/{robin.pk}/change/")
    page.get_by_role("link", name="Propose other roles").click()
    page.get_by_label("auditor").check()
    page.get_by_label("Reason").fill("file 17")
    page.get_by_role("button", name="Propose other roles").click()
    expect(page.get_by_text("once somebody else has approved it")).to_be_visible()
    page.goto("/admin/staff/approval/")
    page.get_by_role("link", name="Change somebody's roles").click()
    expect(page.get_by_role("link", name="Withdraw")).to_be_visible()
    expect(page.get_by_role("link", name="Approve")).to_have_count(0)

    page = sign_in(Role.COMPLIANCE)
    User.objects.update(date_joined=now() - timedelta(days=1))  # an account younger than the proposal decides nothing
    page.goto("/admin/")
    picture(page, "front")
    page.get_by_role("link", name=re.compile("wait for you as the second person")).click()
    picture(page, "waiting")
    page.get_by_role("link", name="Change somebody's roles").click()
    expect(page.get_by_text("analyst, auditor")).to_be_visible()
    picture(page, "proposal")
    page.get_by_role("link", name="Approve").click()
    picture(page, "approve")
    page.get_by_role("button", name="Approve").click()
    expect(page.locator(".messagelist .success")).to_contain_text("ewcomer has the roles analyst, auditor.")
    assert roles_of(User.objects.get(pk=robin.pk)) == {Role.ANALYST, Role.AUDITOR}


def test_a_security_key_is_added_and_signs_in(context: BrowserContext, hub: LiveHub) -> None:
    add_account("kim", [Role.ANALYST], actor="system:test", at=now(), password=PASSWORD)
    page, base = context.new_page(), f"http://localhost:{hub.port}"
    keys = context.new_cdp_session(page)
    keys.send("WebAuthn.enable")
    options = {"protocol": "ctap2", "transport": "usb", "automaticPresenceSimulation": True, "isUserVerified": True}
    keys.send("WebAuthn.addVirtualAuthenticator", {"options": {**options, "hasUserVerification": True}})
    page.goto(f"{base}/admin/login/?next=/admin/second-factors/add/")
    give_password(page, "kim")
    page.get_by_label("What you call it:").fill("The blue one")
    page.get_by_role("button", name="Add the security key").click()
    expect(page.locator(".shown-once")).to_be_visible()
    page.get_by_role("link", name="I have put it where it belongs").click()
    expect(page.get_by_text("The blue one")).to_be_visible()
    page.get_by_role("button", name="Log out").click()

    page.goto(f"{base}/admin/")
    give_password(page, "kim")
    page.get_by_role("button", name="Use a security key").click()
    expect(page.get_by_role("heading", name="Signals", exact=True)).to_be_visible()
    assert SecurityKey.objects.get().last_used_at is not None
