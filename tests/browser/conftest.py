"""A real browser in front of a live hub: whoever breaks the Content-Security-Policy, or asks another host, is told."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator

import pytest
from django.contrib.auth.models import User
from django.test import Client
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, Request, sync_playwright

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


@pytest.fixture
def context(chromium: Browser, hub: LiveHub, committed_db: None) -> Iterator[BrowserContext]:
    """A fresh profile that collects complaints; any complaint fails the story when it is over."""
    complaints: list[str] = []

    def hear(message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"}:
            complaints.append(f"console: {message.text} {message.location.get('url')}")

    def watch(request: Request) -> None:
        by_name = f"http://localhost:{hub.port}/"  # where security keys work: WebAuthn knows no addresses
        if not request.url.startswith((hub.url, by_name, "data:")):
            complaints.append("another host was asked")

    context = chromium.new_context(base_url=hub.url, viewport={"width": 1366, "height": 768}, locale="en-GB")
    context.set_default_timeout(10_000)
    context.on("console", hear)
    context.on("weberror", lambda error: complaints.append(f"script: {error.error}"))
    context.on("request", watch)
    yield context
    context.close()
    assert complaints == []


@pytest.fixture
def sign_in(context: BrowserContext, hub: LiveHub) -> SignIn:
    """`sign_in(Role.ANALYST)`: a page of somebody who has signed in, by the session's cookie."""

    def as_somebody(*roles: Role) -> Page:
        name = f"person-{User.objects.count()}"
        client = Client()
        client.force_login(a_person(name, *roles))
        session = client.cookies["sessionid"].value
        context.add_cookies([{"name": "sessionid", "value": session, "url": hub.url}])
        return context.new_page()

    return as_somebody
