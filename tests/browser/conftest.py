"""A real browser in front of a live hub: whoever breaks the Content-Security-Policy, or asks another host, is told."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.conf import global_settings
from django.contrib.auth.models import User
from django.test import Client
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, Request, sync_playwright
from pytest_django import Settings

from hub.staff.roles import Role
from tests.admin.scene import Scene, a_person, a_scene
from tests.live import LiveHub, live_hub

FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update"),
)
SignIn = Callable[..., Page]


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    """Debian's Chromium; where there is none the stories are skipped, on CI they fail."""
    path = shutil.which("chromium")
    if path is None:
        if os.environ.get("CI") == "true":
            pytest.fail("There is no Chromium here; .ci/browser installs it.")
        pytest.skip("There is no Chromium here (Debian: apt-get install chromium).")
    # Playwright drives the browser from an event loop in this thread, where Django refuses the test's own queries.
    os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "true"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=list(FLAGS))
        yield browser
        browser.close()
    del os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"]


@pytest.fixture(scope="module")
def hub(_committed_module: None, chromium: Browser) -> Iterator[LiveHub]:
    """The web server on a database of this module's own."""
    with live_hub() as running:
        yield running


@pytest.fixture(scope="module")
def scene(hub: LiveHub) -> Scene:
    return a_scene()


@pytest.fixture(autouse=True)
def _hashed_as_the_hub_does(settings: Settings) -> None:
    """The live hub is another process, which does not know the quick hasher that other tests have."""
    settings.PASSWORD_HASHERS = global_settings.PASSWORD_HASHERS


@pytest.fixture
def profiles(chromium: Browser, hub: LiveHub, committed_db: None) -> Iterator[Callable[..., BrowserContext]]:
    """Fresh profiles that collect complaints; any complaint fails the story when it is over."""
    complaints: list[str] = []
    opened: list[BrowserContext] = []

    def hear(message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"}:
            complaints.append(f"console: {message.text} {message.location.get('url')}")

    def watch(request: Request) -> None:
        by_name = f"http://localhost:{hub.port}/"  # where security keys work: WebAuthn knows no addresses
        if not request.url.startswith((hub.url, by_name, "data:")):
            complaints.append("another host was asked")

    def another(**how: Any) -> BrowserContext:
        asked = {"base_url": hub.url, "viewport": {"width": 1366, "height": 768}, "locale": "en-GB"} | how
        context = chromium.new_context(**asked)
        context.set_default_timeout(10_000)
        context.on("console", hear)
        context.on("weberror", lambda error: complaints.append(f"script: {error.error}"))
        context.on("request", watch)
        opened.append(context)
        return context

    yield another
    for context in opened:
        context.close()
    assert complaints == []


@pytest.fixture
def context(profiles: Callable[..., BrowserContext]) -> BrowserContext:
    """One such profile."""
    return profiles()


@pytest.fixture
def colleague(profiles: Callable[..., BrowserContext], hub: LiveHub) -> SignIn:
    """`colleague(Role.ANALYST)`: a page of somebody else, at another machine."""
    return lambda *roles: _signed_in(profiles(), hub, *roles)


@pytest.fixture
def looked_at(profiles: Callable[..., BrowserContext], hub: LiveHub) -> SignIn:
    """`looked_at(*Role)`: a page that something else than the hub's scripts works in, which its policy would hinder."""
    return lambda *roles: _signed_in(profiles(bypass_csp=True), hub, *roles)


@pytest.fixture
def sign_in(context: BrowserContext, hub: LiveHub) -> SignIn:
    """`sign_in(Role.ANALYST)`: a page of somebody who has signed in, by the session's cookie."""
    return lambda *roles: _signed_in(context, hub, *roles)


def _signed_in(context: BrowserContext, hub: LiveHub, *roles: Role) -> Page:
    client = Client()
    client.force_login(a_person(f"person-{User.objects.count()}", *roles))
    session = client.cookies["sessionid"].value
    context.add_cookies([{"name": "sessionid", "value": session, "url": hub.url}])
    return context.new_page()
