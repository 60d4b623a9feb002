"""The desk's pages as pictures, in both themes and at two widths: to look at, and a few of them for docs/triage.md.

    HELIOGRAPH_PICTURES=somewhere uv run --group dev pytest -n 0 -m browser tests/browser/test_pictures.py

draws all of them there; `HELIOGRAPH_PICTURES=docs/pictures` only those that the docs show.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from playwright.sync_api import Page

from hub.staff.roles import Role
from signals.cases import talking
from signals.cases.opening import open_held
from signals.models import Case
from tests.admin.scene import Scene, hold_many
from tests.browser.conftest import SignIn
from tests.browser.small_png import in_few_colours
from tests.companies import now

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs" / "pictures"
MOST_BYTES = 60_000
SHOWN = re.compile(r"\]\(pictures/([a-z0-9-]+\.png)\)")
SIZES = {"": (1366, 768), "-wide": (1920, 1080)}
THEMES = ("light", "dark")


def _queue(page: Page, case: Case) -> None:
    page.goto("/admin/signals/case/")


def _case(page: Page, case: Case) -> None:
    page.goto(f"/admin/signals/case/{case.pk}/change/")
    claim = page.get_by_role("button", name="Claim")
    if claim.count():
        claim.click()
        page.goto(f"/admin/signals/case/{case.pk}/change/")


def _home(page: Page, case: Case) -> None:
    page.goto("/admin/")


def _at(address: str) -> Callable[[Page, Case], None]:
    def go(page: Page, case: Case) -> None:
        page.goto(address)

    return go


PICTURES: dict[str, Callable[[Page, Case], None]] = {
    "home": _home,
    "queue": _queue,
    "case": _case,
    "held": _at("/admin/signals/signal/held/"),
    "signals": _at("/admin/signals/signal/"),
    "recalls": _at("/admin/signals/recalledsignal/"),
    "dry-run": _at("/admin/signals/bulkrun/do/draft/"),
    "second-person": _at("/admin/staff/approval/"),
    "leaves": _at("/admin/ledger/reading/"),
    "who-received-what": _at("/admin/signals/disclosedminute/"),
}


@pytest.mark.browser
def test_every_page_of_the_desk_has_its_picture(sign_in: SignIn, scene: Scene, tmp_path: Path) -> None:
    folder = Path(os.environ.get("HELIOGRAPH_PICTURES", tmp_path))
    only = _shown() if folder.resolve() == DOCS else None
    held = hold_many(scene.cedar, 6)
    open_held(at=now())
    for number, case in enumerate(Case.objects.order_by("id")):
        Case.objects.filter(pk=case.pk).update(due_at=now() + timedelta(hours=number * 5 - 3))
    case = Case.objects.get(signal_id=held[2].pk)
    talking.comment(case.pk, "The author was asked for its source.", actor="staff:1", at=now())
    page = sign_in(Role.SENIOR_ANALYST, Role.COMPLIANCE)
    for name, go in PICTURES.items():
        for suffix, (width, height) in SIZES.items():
            for theme in THEMES:
                file = f"{name}{suffix}{'-dark' if theme == 'dark' else ''}.png"
                if only is not None and file not in only:
                    continue
                page.set_viewport_size({"width": width, "height": height})
                page.emulate_media(color_scheme="dark" if theme == "dark" else "light")
                go(page, case)
                drawn = page.screenshot()
                assert len(drawn) > 5_000
                (folder / file).write_bytes(drawn if only is None else in_few_colours(drawn))


def test_the_docs_show_pictures_that_are_there_and_small() -> None:
    shown = _shown()
    assert len(shown) >= 2
    assert {file.name for file in DOCS.iterdir()} == shown, "drawn by the command above, and none that nobody shows"
    for name in shown:
        assert (DOCS / name).stat().st_size <= MOST_BYTES, name


def _shown() -> set[str]:
    return set(SHOWN.findall((ROOT / "docs" / "triage.md").read_text(encoding="utf-8")))
