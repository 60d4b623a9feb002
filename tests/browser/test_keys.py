"""The desk by keyboard alone: through the queue, into a case, to its fields, and what ? says there is."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect

from hub.staff.roles import Role
from signals.cases.opening import open_held
from signals.models import Case
from tests.admin.scene import Scene, hold_many
from tests.browser.conftest import SignIn
from tests.companies import now

pytestmark = pytest.mark.browser


def test_an_analyst_goes_from_the_queue_to_a_decision_without_a_mouse(sign_in: SignIn, scene: Scene) -> None:
    hold_many(scene.cedar, 3)
    open_held(at=now())
    page = sign_in(Role.ANALYST)
    page.goto("/admin/signals/case/")
    for key in "jjk":
        page.keyboard.press(key)
    first = page.locator("#result_list tbody tr.at th a")
    expect(first).to_be_focused()
    address = first.get_attribute("href")
    assert address is not None
    page.keyboard.press("o")
    page.wait_for_url(re.compile(re.escape(address)))  # until its script has run
    page.keyboard.press("c")
    expect(page.get_by_text("The case is yours.")).to_be_visible()

    page.keyboard.press("r")
    expect(page.get_by_label("Outcome and reason")).to_be_focused()
    page.keyboard.press("Escape")
    assert _keys(page) >= {"r", "p", "t", "d", "s", "g", "m", "w", "h", "v", "o", "q", "?", "H"}
    page.keyboard.press("t")
    page.keyboard.type("d?jq is text in a field, not keys")
    expect(page.get_by_label("Comment")).to_have_value("d?jq is text in a field, not keys")
    page.keyboard.press("Escape")
    page.keyboard.press("m")
    expect(page.get_by_text("d?jq is text in a field, not keys")).to_be_visible()
    assert Case.objects.exclude(holder="").count() == 1

    page.keyboard.press("q")
    page.wait_for_url(re.compile("/admin/signals/case/$"))
    assert _keys(page) >= {"n", "f", "j", "k", "o"}


def test_a_key_held_down_presses_once_and_only_moves_through_rows_on(sign_in: SignIn, scene: Scene) -> None:
    hold_many(scene.cedar, 3)
    open_held(at=now())
    page = sign_in(Role.ANALYST)
    page.goto("/admin/signals/case/")
    for _ in range(2):
        page.keyboard.down("j")
    page.keyboard.up("j")
    rows = page.locator("#result_list tbody tr")
    expect(rows.nth(1).locator("th a")).to_be_focused()

    taken = Case.objects.exclude(holder="").count()
    page.keyboard.down("n")
    page.wait_for_url(re.compile("/change/$"))
    page.goto("/admin/signals/case/")
    page.keyboard.down("n")
    page.keyboard.down("j")
    expect(page.locator("#result_list tbody tr.at")).to_have_count(1)
    assert Case.objects.exclude(holder="").count() == taken + 1
    page.keyboard.up("n")
    page.keyboard.press("n")
    page.wait_for_url(re.compile("/change/$"))
    assert Case.objects.exclude(holder="").count() == taken + 2


def _keys(page: Page) -> set[str]:
    """What the map of keys says that there is."""
    page.keyboard.press("?")
    dialog = page.get_by_role("dialog", name="Keys of this page")
    expect(dialog).to_be_visible()
    shown = set(dialog.locator("kbd").all_inner_texts())
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    return shown
