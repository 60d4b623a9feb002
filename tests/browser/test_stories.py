"""The desk as people meet it in a browser: come in, work through the queue, reveal, search; under the strict policy."""

from __future__ import annotations

import re

import pytest
from axe_playwright_python.sync_playwright import Axe
from django.contrib.auth import authenticate
from playwright.sync_api import BrowserContext, Page, expect

from hub.staff.accounts import add_account
from hub.staff.roles import Role
from hub.staff.site import site
from signals.cases.opening import open_held
from signals.models import Signal
from tests.admin.scene import NOTE, SERVICE, VALUE, Scene, hold_many
from tests.browser.conftest import SignIn
from tests.companies import now
from tests.live import LiveHub

pytestmark = pytest.mark.browser
QUEUE = "/admin/signals/signal/held/"
WCAG = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]


def test_a_new_colleague_comes_in_with_the_one_time_password_and_changes_it(
    context: BrowserContext, scene: Scene
) -> None:
    once = add_account("robin", [Role.ANALYST], actor="system:test", at=now())
    assert once is not None
    page = context.new_page()
    page.goto("/admin/signals/signal/")
    page.get_by_label("Username").fill("robin")
    page.get_by_label("Password").fill(once)
    page.get_by_role("button", name="Log in").click()
    expect(page).to_have_url(re.compile("/admin/password_change/$"))
    page.goto("/admin/")
    expect(page).to_have_url(re.compile("/admin/password_change/$"))  # there is no way around it

    chosen = "a long and pleasant sentence"
    page.get_by_label("Old password:").fill(once)
    page.get_by_label("New password:").fill(chosen)
    page.get_by_label("New password confirmation:").fill(chosen)
    page.get_by_role("button", name="Change my password").click()
    expect(page.get_by_text("Your password was changed")).to_be_visible()
    page.goto("/admin/")
    expect(page.get_by_role("heading", name="Signals", exact=True)).to_be_visible()
    page.get_by_role("button", name="Log out").click()
    assert authenticate(username="robin", password=chosen) is not None


def test_an_analyst_works_through_the_queue(sign_in: SignIn, scene: Scene) -> None:
    held = hold_many(scene.cedar, 3)
    page = sign_in(Role.ANALYST)
    page.goto("/admin/")
    page.get_by_role("link", name=re.compile("held for a person")).click()
    expect(page).to_have_url(re.compile("/held/$"))

    page.get_by_role("link", name=str(held[0].pk)[:8]).click()
    expect(page.get_by_text("the partner is new or under review")).to_be_visible()
    page.get_by_role("link", name="Approve").click()
    expect(page.get_by_text("Its checks run again")).to_be_visible()
    page.get_by_label("Policy").fill("Handbook 4.2")
    page.get_by_role("button", name="Approve").click()
    expect(page.get_by_text("is approved and goes on to be published")).to_be_visible()
    assert Signal.objects.get(pk=held[0].pk).state == "verified"

    for signal in held[1:3]:
        page.locator(f"input.action-select[value='{signal.pk}']").check()
    expect(page.locator(".action-counter")).to_have_text(re.compile("^2 of"))
    page.get_by_label("Reason").select_option("flood")
    page.get_by_label("Policy").fill("Handbook 4.2")
    page.get_by_role("button", name="Refuse the ticked").click()
    expect(page.get_by_text("2 signals refused for good.")).to_be_visible()
    assert {Signal.objects.get(pk=signal.pk).state for signal in held[1:3]} == {"refused"}


def test_a_value_is_masked_until_it_is_revealed_and_leaves_no_trace_in_address_or_log(
    sign_in: SignIn, scene: Scene, hub: LiveHub
) -> None:
    page = sign_in(Role.ANALYST)
    page.goto(f"/admin/signals/signal/{scene.held.pk}/change/")
    assert VALUE not in page.content()
    page.get_by_role("button", name="Reveal").click()
    expect(page.get_by_text(VALUE)).to_be_visible()
    expect(page.get_by_text(NOTE)).to_be_visible()
    assert VALUE not in page.url
    page.get_by_role("link", name="Hide it again").click()
    assert VALUE not in page.content()
    assert not [line for line in hub.said() if VALUE in line]


def test_a_value_is_found_without_being_named_again(sign_in: SignIn, scene: Scene, hub: LiveHub) -> None:
    page = sign_in(Role.ANALYST)
    page.goto("/admin/signals/signal/")
    page.get_by_role("link", name="Search for a value").click()
    page.get_by_label("Type").select_option("username")
    page.get_by_label("Value").fill(VALUE)
    page.get_by_label("Service").fill(SERVICE)
    page.get_by_role("button", name="Search").click()
    expect(page.get_by_role("heading", name="1 signal of this username")).to_be_visible()
    assert VALUE not in page.content()
    assert VALUE not in page.url
    assert not [line for line in hub.said() if VALUE in line]
    page.get_by_role("link", name=str(scene.held.pk)[:8]).click()
    expect(page.get_by_text("u••• at chat.example")).to_be_visible()


def test_no_page_breaks_the_policy_or_the_screen(sign_in: SignIn, scene: Scene) -> None:
    page = sign_in(*Role)
    addresses = _addresses(page)
    assert len(addresses) > 40
    for address in addresses:
        answer = page.goto(address)
        assert answer is not None
        assert answer.status == 200, address
        for width in (1366, 1920):
            page.set_viewport_size({"width": width, "height": 768})
            wide = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
            assert wide <= 0, f"{address} is {wide} px wider than {width}"


def test_no_page_shuts_anybody_out(looked_at: SignIn, scene: Scene) -> None:
    """axe-core, WCAG 2.2 A and AA; the contrast of both themes (not of the forms behind buttons, which are alike)."""
    open_held(at=now())
    page = looked_at(*Role)
    found = []
    for address in _addresses(page):
        page.emulate_media(color_scheme="light")
        page.goto(address)
        found += [f"{address}: {each}" for each in _shut_out(page, {"type": "tag", "values": WCAG})]
        if "/do/" in address:
            continue
        page.emulate_media(color_scheme="dark")
        page.evaluate("() => new Promise(drawn => requestAnimationFrame(() => requestAnimationFrame(drawn)))")
        dark = _shut_out(page, {"type": "rule", "values": ["color-contrast", "link-in-text-block"]})
        found += [f"{address}, dark: {each}" for each in dark]
    assert found == []


def _shut_out(page: Page, rules: dict[str, object]) -> list[str]:
    """What axe finds, each with where and why."""
    answer = Axe().run(page, options={"runOnly": rules, "resultTypes": ["violations"], "preload": False}).response
    return [
        f"{violation['id']} at {node['target']}: {node['failureSummary']}"
        for violation in answer["violations"]
        for node in violation["nodes"]
    ]


def _addresses(page: Page) -> list[str]:
    """Every list, the first row of each, and every form behind a button there."""
    found = ["/admin/", "/admin/signals/", QUEUE, "/admin/signals/signal/search/", "/admin/password_change/"]
    for model in site._registry:
        listed = f"/admin/{model._meta.app_label}/{model._meta.model_name}/"
        page.goto(listed)
        found += [listed, *_links(page, ".object-tools a")]
        for first in _links(page, "#result_list tbody th a, #result_list tbody td.field-identity a")[:1]:
            page.goto(first)
            found += [first, *_links(page, ".object-tools a")]
    return list(dict.fromkeys(found))


def _links(page: Page, selector: str) -> list[str]:
    links: list[str] = page.eval_on_selector_all(selector, "links => links.map(link => link.pathname)")
    return links
