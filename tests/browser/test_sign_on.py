"""Single sign-on in a real browser, between two sites: our policy lets it go, and our cookies come back."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from django.contrib.auth.models import User
from playwright.sync_api import Browser, ConsoleMessage, Page, expect

from hub.staff import identities
from hub.staff.accounts import add_account
from hub.staff.roles import Role
from tests.browser.test_second_factors import PASSWORD, give_password, picture
from tests.companies import now
from tests.live import LiveHub, live_hub
from tests.staff.oidc_provider import CLIENT, SECRET, Provider, running

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def there() -> Iterator[Provider]:
    """By another name than the hub's: to a browser, addresses that differ in the port alone are one site."""
    with running(host="localhost") as provider:
        yield provider


@pytest.fixture(scope="module")
def hub(_committed_module: None, chromium: Browser, there: Provider) -> Iterator[LiveHub]:
    """A hub that knows the provider."""
    with live_hub(
        HELIOGRAPH_OIDC_ISSUER=there.issuer,
        HELIOGRAPH_OIDC_CLIENT_ID=CLIENT,
        HELIOGRAPH_OIDC_CLIENT_SECRET=SECRET,
        HELIOGRAPH_OIDC_ALGORITHM="ES256",
    ) as hub:
        yield hub


@pytest.fixture
def page(chromium: Browser, hub: LiveHub, committed_db: None) -> Iterator[Page]:
    complaints: list[str] = []

    def hear(message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"}:
            complaints.append(message.text)

    context = chromium.new_context(base_url=hub.url, viewport={"width": 1366, "height": 768}, locale="en-GB")
    context.set_default_timeout(10_000)
    context.on("console", hear)
    yield context.new_page()
    context.close()
    assert complaints == []


def test_somebody_links_their_identity_and_comes_in_by_it_from_then_on(page: Page, there: Provider) -> None:
    add_account("tess", [Role.ANALYST], actor="system:test", at=now(), password=PASSWORD)
    page.goto("/admin/login/?next=/admin/second-factors/")
    picture(page, "sign-on-form")
    give_password(page, "tess")
    page.get_by_role("button", name="Link").click()
    expect(page.get_by_text("Linked: localhost opens your account")).to_be_visible()
    picture(page, "sign-on-linked")
    assert identities.is_linked(User.objects.get(username="tess"))

    page.get_by_role("button", name="Log out").click()
    expect(page.get_by_text("You are signed out of this hub.")).to_be_visible()
    page.get_by_role("link", name="Sign in again").click()
    page.get_by_role("button", name="Sign in at localhost").click()
    expect(page).to_have_url(re.compile("/admin/$"))
    expect(page.get_by_text("tess")).to_be_visible()
    page.get_by_role("button", name="Log out").click()
    expect(page.get_by_role("link", name="sign out there as well")).to_be_visible()
    picture(page, "sign-on-out")
