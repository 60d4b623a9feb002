"""An analyst's day in a browser: come in, claim, decide by keyboard, meet a colleague, undo, and put right a wrong."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from django.contrib.auth.models import User
from playwright.sync_api import BrowserContext, Page, expect

from hub.staff.accounts import add_account
from hub.staff.roles import Role
from signals.bulk import working
from signals.cases.opening import open_disputed, open_held
from signals.core.opinions import RULING_REASONS
from signals.lifecycle import rule
from signals.models import Case, RemedyAsked, Signal
from tests.admin.scene import VALUE, Scene, hold_many
from tests.browser.conftest import SignIn
from tests.companies import now, settle
from tests.live import LiveHub
from tests.staff.authenticators import an_app_of

pytestmark = pytest.mark.browser
QUEUE = "/admin/signals/case/"
PASSWORD = "a long and pleasant sentence"


@pytest.fixture
def case(scene: Scene) -> Case:
    """A held signal's case of its own."""
    Case.objects.exclude(state="decided").update(state="decided", outcome="overtaken", decided_at=now())
    Signal.objects.filter(state="held").update(state="refused")
    [held] = hold_many(scene.cedar, 1)
    open_held(at=now())
    return Case.objects.get(signal_id=held.pk)


def page_of(case: Case) -> str:
    return f"{QUEUE}{case.pk}/change/"


def state_of(case: Case) -> str:
    assert case.signal_id is not None
    return Signal.objects.get(pk=case.signal_id).state


def at_the_keys(page: Page) -> None:
    """Once the page is whole, as a person would wait for it to be."""
    page.wait_for_load_state("load")


def press(page: Page, key: str) -> None:
    at_the_keys(page)
    page.keyboard.press(key)


def fill_in(page: Page, reason: str, *, text: str = "") -> None:
    """By keyboard alone: to the reason, its first letters, out again, to the policy, to the comment."""
    at_the_keys(page)
    page.keyboard.press("r")
    page.keyboard.type(reason, delay=5)
    page.keyboard.press("Escape")
    page.keyboard.press("p")
    page.keyboard.type("Handbook 4.2")
    page.keyboard.press("Escape")
    if text:
        page.keyboard.press("t")
        page.keyboard.type(text)
        page.keyboard.press("Escape")


def said(page: Page, sentence: str) -> None:
    expect(page.locator(".messagelist, .errornote").filter(has_text=sentence).first).to_be_visible()


def test_an_analyst_comes_in_with_an_app_takes_a_case_and_decides_it_by_keyboard_and_takes_it_back(
    context: BrowserContext, case: Case
) -> None:
    add_account("ria", [Role.ANALYST], actor="system:test", at=now(), password=PASSWORD)
    app, _ = an_app_of(User.objects.get(username="ria"), at=now() - timedelta(minutes=2))
    page = context.new_page()
    page.goto(f"/admin/login/?next={QUEUE}")
    page.get_by_label("Username").fill("ria")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Log in").click()
    page.get_by_label("Code:").fill(app.code(datetime.now(UTC)))
    page.get_by_role("button", name="Go on").click()
    expect(page).to_have_url(re.compile(f"{QUEUE}$"))

    press(page, "n")
    expect(page).to_have_url(re.compile(page_of(case)))
    fill_in(page, "harmless", text="Half the town")
    press(page, "d")
    said(page, "is decided: refused.")
    assert state_of(case) == "refused"

    page.goto(page_of(case))
    press(page, "u")
    said(page, "Undone: the case waits again.")
    assert state_of(case) == "held"
    press(page, "?")
    expect(page.get_by_role("dialog")).to_contain_text("back to the queue")


def test_of_two_analysts_on_one_case_only_who_holds_it_decides_and_nothing_typed_is_lost(
    sign_in: SignIn, colleague: SignIn, case: Case
) -> None:
    mine, other = sign_in(Role.ANALYST), colleague(Role.SENIOR_ANALYST)
    for page in (mine, other):
        page.goto(page_of(case))
    press(mine, "c")
    said(mine, "The case is yours.")
    press(other, "c")
    expect(other.get_by_role("alert")).to_contain_text("is at this case")

    other.goto(page_of(case))
    other.get_by_label("Comment").fill("I know this one")
    other.get_by_role("button", name="Comment only").click()
    said(other, "Noted.")
    fill_in(mine, "harmless", text="Half the town")
    press(mine, "d")
    expect(mine.get_by_role("alert")).to_contain_text("Something happened to this case since the page was drawn")
    expect(mine.get_by_label("Comment")).to_have_value("Half the town")
    expect(mine.get_by_text("I know this one")).to_be_visible()

    Case.objects.filter(pk=case.pk).update(lease_until=now() - timedelta(seconds=1))
    press(mine, "d")
    expect(mine.get_by_role("alert")).to_contain_text("Your claim has run out")
    other.goto(page_of(case))
    press(other, "c")
    said(other, "The case is yours.")
    fill_in(other, "flood")
    press(other, "d")
    said(other, "is decided: refused.")
    assert Case.objects.get(pk=case.pk).reason == "flood"


def test_what_others_bear_out_is_found_wrong_by_two_people(sign_in: SignIn, colleague: SignIn, scene: Scene) -> None:
    jws = scene.acme.sign(scene.acme.signal("https://bad.example/borne-out"))
    [out] = scene.acme.say(jws)
    scene.birch.say(scene.birch.opinion(jws, "confirm"))
    rule.dispute(UUID(out["signal"]), reason=RULING_REASONS[0], actor="staff:1", at=now())
    settle()
    open_disputed(at=now())
    case = Case.objects.get(signal_id=out["signal"], kind="dispute")

    mine, other = sign_in(Role.ANALYST), colleague(Role.SENIOR_ANALYST)
    mine.goto(page_of(case))
    press(mine, "c")
    said(mine, "The case is yours.")
    fill_in(mine, "mistaken")
    press(mine, "d")
    said(mine, "your decision is proposed, and somebody else approves it")
    User.objects.update(date_joined=now() - timedelta(days=1))  # an account younger than the proposal decides nothing
    other.goto("/admin/")
    other.get_by_role("link", name=re.compile("wait for you as the second person")).click()
    other.locator("#result_list tbody th a, #result_list tbody td.field-what a").first.click()
    expect(other.get_by_text("mistaken-identity").first).to_be_visible()
    other.get_by_role("link", name="Approve").click()
    other.get_by_role("button", name="Approve").click()
    said(other, "The case is decided: upheld.")
    case.refresh_from_db()
    assert (case.outcome, case.state) == ("upheld", "decided")


def test_an_appeal_is_upheld_and_its_page_shows_who_has_put_it_right(sign_in: SignIn, scene: Scene) -> None:
    [out] = scene.acme.say(scene.acme.sign(scene.acme.signal("https://bad.example/appealed")))
    scene.birch.feed()
    asked = {"programme": "csea", "signal": out["signal"], "reason": "other", "evidence": "own-logs"}
    answer = scene.birch.http.post("/api/v1/appeals", asked, content_type="application/json")
    assert answer.status_code < 300, answer.content
    case = Case.objects.get(signal_id=out["signal"], kind="appeal")

    page = sign_in(Role.ANALYST)
    page.goto(QUEUE)
    page.get_by_label("Kind").select_option("appeal")
    press(page, "Escape")
    page.get_by_role("button", name="Take the next case").click()
    expect(page.get_by_text("birch-chat: other, own-logs")).to_be_visible()
    fill_in(page, "mistaken")
    press(page, "d")
    said(page, "is decided: upheld.")
    page.goto(page_of(case))
    put_right = page.locator("section", has_text="What was put right")
    expect(put_right.locator("tr", has_text="birch-chat")).to_contain_text("waiting")
    remedy = RemedyAsked.objects.get(case=case, partner_id=scene.birch.partner.pk)
    done = scene.birch.http.post(
        f"/api/v1/remedies/{remedy.pk}", {"did": "access-restored"}, content_type="application/json"
    )
    assert done.status_code < 300, done.content
    page.reload()
    expect(put_right.locator("tr", has_text="birch-chat")).to_contain_text("access-restored")


def test_many_are_decided_after_a_dry_run_that_changed_nothing_and_taken_back(
    sign_in: SignIn, scene: Scene, case: Case
) -> None:
    hold_many(scene.cedar, 4)
    open_held(at=now())
    page = sign_in(Role.ANALYST)
    page.goto("/admin/signals/bulkrun/")
    page.get_by_role("link", name="Make a dry run").click()
    page.get_by_label("Decision").select_option("refuse:harmless-value")
    page.get_by_label("Policy").fill("Handbook 4.2")
    page.get_by_label("Held because").select_option("probation")
    page.get_by_role("button", name="Make a dry run").click()
    expect(page.get_by_text("A dry run: nothing has happened. 5 signals would change")).to_be_visible()
    samples = page.locator("section", has_text="Samples of what would change")
    expect(samples.locator("tbody tr", has_text=" at chat.example")).to_have_count(5)
    assert Signal.objects.filter(state="held").count() == 5

    press(page, "d")
    expect(page).to_have_url(re.compile("/do/apply/$"))
    page.get_by_role("button", name="Apply it").click()
    said(page, "5 signals are being decided.")
    work()
    expect(page.locator("h1 .state")).to_have_text("done")
    assert not Signal.objects.filter(state="held").exists()

    page.get_by_role("link", name="Undo the whole run").click()
    page.get_by_role("button", name="Undo the whole run").click()
    work()
    expect(page.locator("h1 .state")).to_have_text("undone")
    assert Signal.objects.filter(state="held").count() == 5


def test_many_values_are_seen_once_when_somebody_else_has_agreed(
    sign_in: SignIn, colleague: SignIn, scene: Scene, hub: LiveHub
) -> None:
    mine, other = sign_in(Role.ANALYST), colleague(Role.SENIOR_ANALYST)
    User.objects.update(date_joined=now() - timedelta(days=1))  # an account younger than the proposal decides nothing
    mine.goto("/admin/signals/signal/")
    for signal in (scene.held, scene.published):
        mine.locator(f"input.action-select[value='{signal.pk}']").check()
    mine.locator("select[name=action]").select_option("ask_to_reveal")
    mine.get_by_role("button", name="Go").click()
    mine.get_by_label("Why").fill("One ring")
    mine.get_by_role("button", name="Ask to see them").click()
    said(mine, "It waits for a second person; nothing is shown before.")
    asked = mine.url
    assert mine.get_by_role("button", name="See the values, once").count() == 0

    other.goto("/admin/")
    other.get_by_role("link", name=re.compile("wait for you as the second person")).click()
    other.get_by_role("link", name="See many values in full").click()
    expect(other.get_by_text("1 acme-social, 1 cedar-video")).to_be_visible()
    assert VALUE not in other.content()
    other.get_by_role("link", name="Approve").click()
    other.get_by_role("button", name="Approve").click()
    said(other, "may see 2 values, once, within a day")
    other.goto(asked)
    assert other.get_by_role("button", name="See the values, once").count() == 0

    mine.reload()
    mine.get_by_role("button", name="See the values, once").click()
    expect(mine.get_by_text(VALUE)).to_be_visible()
    expect(mine.get_by_text("You have revealed 2 values in the past hour.")).to_be_visible()
    mine.get_by_role("link", name="Hide them").click()
    expect(mine.locator("#result_list .state")).to_have_text("shown")
    mine.goto(asked)
    assert mine.get_by_role("button", name="See the values, once").count() == 0
    assert not [line for line in hub.said() if VALUE in line]


def work() -> None:
    """What the background does, without waiting for it."""
    while working.work_next(clock=now):
        pass
