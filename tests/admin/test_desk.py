"""What people do at the desk: look through the queue, decide, reveal, search, hold; and what each leaves behind."""

from __future__ import annotations

import io
import logging
import re
import shutil
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from pytest_django import Settings

from hub.staff.models import Approval
from hub.staff.roles import Role
from hub.vault import keyring
from partners.models import SigningKey
from signals.lifecycle import legal_hold
from signals.lifecycle.expire import expire_due
from signals.lifecycle.purge import purge_due
from signals.models import Endpoint, Signal, Statement, WarningList
from tests.admin.scene import (
    NOTE,
    SERVICE,
    VALUE,
    WHO,
    Scene,
    a_username,
    an_endpoint,
    at_the_desk,
    hold_many,
    misp_list,
)
from tests.builders import a_signing_key
from tests.companies import now, settle
from tests.partners.conftest import LedgerRefuses, Recorded

pytestmark = pytest.mark.django_db

QUEUE = "/admin/signals/signal/held/"
DECISION = {"reason": "sound", "policy": "Handbook 4.2"}
SEARCH = "/admin/signals/signal/search/"
LISTS = [
    *("/admin/", "/admin/signals/", "/admin/signals/signal/", QUEUE, "/admin/signals/submission/"),
    *("/admin/signals/endpoint/", "/admin/signals/warninglist/", "/admin/signals/distrust/"),
    *("/admin/signals/recalledsignal/", "/admin/signals/partneralarm/"),
]


def page_of(row: Any, *more: str) -> str:
    stem = f"/admin/signals/{row._meta.model_name}/{row.pk}/"
    return stem + ("/".join((*more, "")) if more else "change/")


def test_the_value_and_the_note_stand_on_no_page_until_revealed(scene: Scene) -> None:
    client = at_the_desk(*Role)
    pages = [*LISTS, page_of(scene.held), page_of(scene.submission), page_of(scene.held, "do", "approve")]
    for address in pages:
        text = client.get(address).content.decode()
        assert VALUE not in text, address
        assert NOTE not in text, address
    assert "u••• at chat.example" in client.get(QUEUE).content.decode()
    assert "u••• at chat.example" in client.get(page_of(scene.held)).content.decode()


def test_a_reveal_shows_the_value_once_it_is_written_down(scene: Scene, recorded: Recorded) -> None:
    client = at_the_desk(Role.ANALYST)
    assert client.get(page_of(scene.held, "reveal")).status_code == 405
    assert not [event for event in recorded() if event["action"] == "value.revealed"]

    answer = client.post(page_of(scene.held, "reveal"))

    text = answer.content.decode()
    assert VALUE in text
    assert NOTE in text
    assert SERVICE in text
    assert "no-store" in answer.headers["Cache-Control"]
    assert "1 value in the past hour" in text
    [event] = [event for event in recorded() if event["action"] == "value.revealed"]
    assert event["actor"] == f"staff:{User.objects.get().pk}"
    assert event["subjects"] == [f"signal:{scene.held.pk}"]
    assert VALUE not in str(event)
    assert event["commitments"] == {}
    assert "2 values in the past hour" in client.post(page_of(scene.held, "reveal")).content.decode()


def test_without_the_ledger_nothing_is_revealed(scene: Scene, ledger_refuses: LedgerRefuses) -> None:
    client = at_the_desk(Role.ANALYST)
    with ledger_refuses():
        client.post(page_of(scene.held, "reveal"))


def test_an_erased_value_cannot_be_revealed(scene: Scene) -> None:
    Statement.objects.filter(signal_id=scene.held.pk).update(sealed=None)
    answer = at_the_desk(Role.ANALYST).post(page_of(scene.held, "reveal"))
    assert "erased" in answer.content.decode()
    assert VALUE not in answer.content.decode()
    assert "erased" in at_the_desk(Role.AUDITOR).get(page_of(scene.held)).content.decode()


def test_a_search_finds_by_the_blind_index_and_says_so_without_the_value(
    scene: Scene, recorded: Recorded, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    client = at_the_desk(Role.COMPLIANCE)
    answer = client.post(SEARCH, {"type": "username", "value": f"  {VALUE}\u200b ", "service": SERVICE})
    text = answer.content.decode()
    assert answer.status_code == 200
    assert page_of(scene.held) in text
    assert page_of(scene.published) not in text
    assert VALUE not in text.lower()
    assert "no-store" in answer.headers["Cache-Control"]
    [event] = [event for event in recorded() if event["action"] == "value.searched"]
    assert event["facts"] == {"found": 1, "type": "username"}
    assert event["subjects"] == []
    assert VALUE not in caplog.text.lower()


def test_a_search_for_what_cannot_be_a_value_says_why_and_never_repeats_it(scene: Scene, recorded: Recorded) -> None:
    answer = at_the_desk(Role.ANALYST).post(SEARCH, {"type": "email", "value": "no-address-at-all", "service": ""})
    assert "An e-mail address has an @." in answer.content.decode()
    assert "no-address-at-all" not in answer.content.decode()
    assert not [event for event in recorded() if event["action"] == "value.searched"]


def test_no_page_searches_for_a_value_that_stands_in_its_address(scene: Scene, recorded: Recorded) -> None:
    client, asked = at_the_desk(Role.COMPLIANCE), {"type": "username", "value": VALUE, "service": SERVICE}
    before = len(recorded())
    text = client.get(SEARCH, asked).content.decode()
    assert (VALUE in text, page_of(scene.held) in text) == (False, False)
    assert page_of(scene.published) in client.get("/admin/signals/signal/", {"q": VALUE}).content.decode(), (
        "all of them"
    )
    assert len(recorded()) == before


def test_without_the_ledger_nothing_is_found(scene: Scene, ledger_refuses: LedgerRefuses) -> None:
    client = at_the_desk(Role.ANALYST)
    with ledger_refuses():
        client.post(SEARCH, {"type": "username", "value": VALUE, "service": SERVICE})


def test_a_held_signal_is_approved_and_published(scene: Scene, recorded: Recorded) -> None:
    client = at_the_desk(Role.ANALYST)
    answer = client.post(page_of(scene.held, "do", "approve"), DECISION)
    assert answer.headers["Location"] == QUEUE
    settle()
    scene.held.refresh_from_db()
    assert scene.held.state == "published"
    assert "hold.approved" in [event["action"] for event in recorded()]


def test_a_refusal_of_the_verb_is_a_sentence(scene: Scene) -> None:
    Signal.objects.filter(pk=scene.held.pk).update(expires_at=now())
    answer = at_the_desk(Role.ANALYST).post(page_of(scene.held, "do", "approve"), DECISION)
    assert "expired while it was held" in answer.content.decode()
    scene.held.refresh_from_db()
    assert scene.held.state == "held"


def test_the_ticked_are_decided_each_by_its_own_and_the_rest_is_told(scene: Scene) -> None:
    more = hold_many(scene.cedar, 4)
    late = more[-1]
    Signal.objects.filter(pk=late.pk).update(expires_at=now())
    ticked = {"action": "approve", "index": "0", "_selected_action": [str(signal.pk) for signal in more]}
    client = at_the_desk(Role.SENIOR_ANALYST)
    assert "Choose an outcome together" in client.post(QUEUE, ticked, follow=True).content.decode()
    answer = client.post(QUEUE, {**ticked, **DECISION}, follow=True)
    text = answer.content.decode()
    assert f"{len(more) - 1} signals approved." in text
    assert f"Signal {str(late.pk)[:8]}: The signal has expired" in text
    assert list(Signal.objects.filter(state="held").values_list("pk", flat=True)) == [late.pk]


def test_more_than_a_hundred_are_not_decided_at_once(scene: Scene) -> None:
    hold_many(scene.cedar, 101)
    one = Signal.objects.filter(state="held").first()
    assert one is not None
    ticked = {"action": "refuse", "index": "0", "select_across": "1", "_selected_action": [str(one.pk)]}
    answer = at_the_desk(Role.ANALYST).post(QUEUE, ticked, follow=True)
    assert "At most 100" in answer.content.decode()
    assert Signal.objects.filter(state="held").count() == 102


def test_the_queue_is_empty_in_words(scene: Scene) -> None:
    Signal.objects.filter(state="held").update(state="verified")
    assert "Nothing waits for a person here." in at_the_desk(Role.ANALYST).get(QUEUE).content.decode()


def test_a_quarantined_signal_is_cleared_by_a_senior(scene: Scene) -> None:
    assert at_the_desk(Role.ANALYST).post(page_of(scene.quarantined, "do", "clear")).status_code == 403
    at_the_desk(Role.SENIOR_ANALYST).post(page_of(scene.quarantined, "do", "clear"))
    scene.quarantined.refresh_from_db()
    assert scene.quarantined.state == "published"
    assert scene.quarantined.is_cleared


def test_a_key_falls_by_the_form_its_page_leads_to(scene: Scene, recorded: Recorded) -> None:
    client = at_the_desk(Role.OPERATOR)
    key = SigningKey.objects.get(pk=scene.acme.key.row.pk)
    link = f"/admin/signals/distrust/do/revoke/?kid={key.kid}"
    assert link in client.get(f"/admin/partners/signingkey/{key.pk}/change/").content.decode()
    assert f'value="{key.kid}"' in client.get(link).content.decode()
    client.post(link, {"kid": key.kid, "compromised_at": ""})
    assert SigningKey.objects.get(pk=key.pk).state == "active", "without a reason nothing happens"
    endorsed = a_signing_key(scene.acme.partner, endorsed_by=scene.acme.key.row)
    client.post(link, {"kid": key.kid, "compromised_at": "", "is_retired_now": "on", "reason": "file 3"})
    assert SigningKey.objects.get(kid=endorsed.kid).state == "retired", "whoever holds the one has endorsed the other"
    assert SigningKey.objects.get(pk=key.pk).state == "retired", "what cannot wait is done by one"
    shown = len(scene.birch.feed()["items"])
    assert shown, "what was received under it stands until two people say otherwise"
    proposal = Approval.objects.get()
    page = reverse("admin:staff_approval_row_verb", args=[proposal.pk, "approve"])
    second = at_the_desk(Role.SENIOR_ANALYST)
    User.objects.update(date_joined=now() - timedelta(days=1))
    assert key.kid in second.get(page).content.decode()
    second.post(page)
    assert SigningKey.objects.get(pk=key.pk).state == "revoked"
    assert scene.birch.feed()["items"] == []
    told = [event["action"] for event in recorded()]
    assert told.index("key.retired") < told.index("approval.proposed") < told.index("approval.granted")
    wrong = client.post(link, {"kid": "x", "reason": "file 3"}).content.decode().lower()
    assert "no key with this kid" in wrong
    future = {"kid": key.kid, "compromised_at": "2999-01-01T00:00", "reason": "file 3"}
    assert b"future" in client.post(link, future).content


def test_a_key_falls_at_the_console_by_one_person_and_the_ledger_says_so(scene: Scene, recorded: Recorded) -> None:
    kid = scene.acme.key.kid
    assert "1 fallen" in call_command("revoke_key", kid, "--since", "2020-01-01T00:00")
    assert ("key.revoked", "system:console") in [(event["action"], event["actor"]) for event in recorded()]
    with pytest.raises(CommandError, match="No key"):
        call_command("revoke_key", "x")


def test_endpoints_are_paused_disabled_and_resumed_and_keep_their_secret(scene: Scene) -> None:
    client = at_the_desk(Role.OPERATOR)
    for verb, state in (("pause", "paused"), ("resume", "active"), ("disable", "disabled"), ("resume", "active")):
        client.post(page_of(scene.endpoint, "do", verb))
        assert Endpoint.objects.get().state == state
    Endpoint.objects.update(failures=3)
    text = client.get(page_of(scene.endpoint)).content.decode()
    assert "whsec" not in text
    assert "failing" in text
    assert "503" in text
    listed = client.get("/admin/signals/endpoint/").content.decode()
    assert "hooks.birch-chat.example" in listed
    assert "s3cret" not in listed


def test_a_warning_list_is_imported_replaced_and_removed(scene: Scene) -> None:
    client = at_the_desk(Role.SENIOR_ANALYST)
    address = "/admin/signals/warninglist/do/import/"
    upload = SimpleUploadedFile("list.json", misp_list(["one.example", "two.example"]))
    assert "in force with" in client.post(address, {"file": upload}, follow=True).content.decode()
    assert WarningList.objects.count() == 1, "of the same name: replaced"
    bad = client.post(address, {"file": SimpleUploadedFile("list.json", b"{}")})
    assert "not a warning list" in bad.content.decode()
    large = client.post(address, {"file": SimpleUploadedFile("list.json", b" " * (4 * 1024 * 1024 + 1))})
    assert "larger than 4 MiB" in large.content.decode()
    row = WarningList.objects.get()
    assert client.post(page_of(row, "do", "remove"), follow=True).status_code == 200
    assert not WarningList.objects.exists()


def test_a_legal_hold_keeps_the_content_beyond_its_time_and_its_month(
    scene: Scene, recorded: Recorded, settings: Settings, tmp_path: Path
) -> None:
    settings.KEYS_DIR = shutil.copytree(settings.KEYS_DIR, tmp_path / "keys")  # a month of the others' is destroyed
    client = at_the_desk(Role.COMPLIANCE)
    client.post(page_of(scene.published, "do", "place-legal-hold"), {"reason": "AZ 12/26"})
    later = now() + timedelta(days=366)
    assert expire_due(at=later)
    purge_due(at=later + timedelta(days=366))
    keyring.destroy_period("programme:csea", keyring.month_of(scene.published.expires_at))

    text = client.post(page_of(scene.published, "reveal"), {"reason": "the court's file"}).content.decode()
    assert "https://bad.example/one" in text
    [placed] = [event for event in recorded() if event["action"] == "legal-hold.placed"]
    assert "AZ 12/26" not in str(placed)
    assert list(placed["commitments"]) == ["reason"]

    client.post(page_of(scene.published, "do", "lift-legal-hold"), {"reason": "AZ 12/26 closed"})
    assert not [period for period in keyring.list_periods("programme:csea") if period.startswith("hold")]
    assert (
        "https://bad.example/one"
        not in client.post(page_of(scene.published, "reveal"), {"reason": "the court's file"}).content.decode()
    )


def test_a_hold_lifted_in_time_leaves_the_signal_as_it_was(scene: Scene) -> None:
    legal_hold.place(scene.published.pk, reason="file 7", at=now(), **WHO)
    assert [period for period in keyring.list_periods("programme:csea") if period.startswith("hold-")]
    legal_hold.lift(scene.published.pk, reason="file 7", at=now(), **WHO)
    [item] = [item for item in scene.birch.feed()["items"] if item["id"] == str(scene.published.pk)]
    assert item["indicator"]["value"] == "https://bad.example/one"


def test_without_the_ledger_there_is_no_hold(scene: Scene, ledger_refuses: LedgerRefuses) -> None:
    with ledger_refuses():
        legal_hold.place(scene.published.pk, reason="file 7", at=now(), **WHO)


def test_the_page_of_a_signal_tells_whom_it_was_handed_to(scene: Scene) -> None:
    text = at_the_desk(Role.AUDITOR).get(page_of(scene.published)).content.decode()
    handed = text[text.index("Handed to") :]
    assert "birch-chat" in handed
    assert "cedar-video" not in handed[: handed.index("Statements")]


def queries(client: Client, address: str) -> int:
    """How many a page takes; the least of three, for now and then a process looks whether it may serve at all."""
    counts = []
    for _ in range(3):
        with CaptureQueriesContext(connection) as seen:
            assert client.get(address).status_code == 200
        counts.append(len(seen))
    return min(counts)


def test_no_list_asks_more_for_more_rows(scene: Scene) -> None:
    client = at_the_desk(*Role)
    before = {address: queries(client, address) for address in LISTS}
    hold_many(scene.cedar, 45)
    for number in range(8):
        scene.acme.say(scene.acme.sign(scene.acme.signal(f"https://more.example/{number}")))
    for company in (scene.acme, scene.cedar):
        an_endpoint(company)
    after = {address: queries(client, address) for address in LISTS}
    assert after == before
    assert max(before.values()) <= 33, before  # the front page asks every room for its figures


def test_the_page_of_a_signal_asks_no_more_for_more_history(scene: Scene) -> None:
    client = at_the_desk(*Role)
    first = scene.acme.signal("https://bad.example/often")
    [said] = scene.acme.say(scene.acme.sign(first))
    address = reverse("admin:signals_signal_change", args=[said["signal"]])
    before = queries(client, address)
    jti = first["jti"]
    for confidence in range(5):
        again = scene.acme.signal("https://bad.example/often", confidence=confidence, supersedes=jti)
        scene.acme.say(scene.acme.sign(again))
        scene.birch.feed()
        jti = again["jti"]
    assert queries(client, address) == before


def test_a_submission_with_many_lines_is_paged(scene: Scene) -> None:
    scene.acme.say(*(scene.acme.sign(scene.acme.signal()) for _ in range(130)))
    row = type(scene.submission).objects.order_by("-received_at").first()
    client = at_the_desk(Role.ANALYST)
    assert "page 1 of 2" in client.get(page_of(row)).content.decode()
    assert client.get(page_of(row) + "?page=2").content.decode().count("state-accepted") == 30


def test_the_front_page_counts_what_waits(scene: Scene) -> None:
    text = at_the_desk(*Role).get("/admin/").content.decode()
    for words in ("held for a person, the oldest for", "quarantined", "failing endpoints", "largest lag"):
        assert words in text
    assert "Recent actions" not in text
    auditor = at_the_desk(Role.ANALYST).get("/admin/").content.decode()
    assert "failing endpoints" not in auditor, "an analyst has no endpoints"


def test_a_signal_whose_key_is_unreadable_does_not_break_the_list(scene: Scene) -> None:
    Statement.objects.filter(signal_id=scene.held.pk).update(sealed=io.BytesIO(b"\x01" + b"0" * 80).getvalue())
    client = at_the_desk(Role.ANALYST)
    assert "cannot be opened" in client.get(QUEUE).content.decode()
    assert client.get(page_of(scene.held)).status_code == 200


def test_the_same_value_said_again_is_named_on_the_page(scene: Scene) -> None:
    [again] = scene.acme.say(scene.acme.sign(a_username(scene.acme)))
    text = at_the_desk(Role.ANALYST).get(page_of(scene.held)).content.decode()
    assert reverse("admin:signals_signal_change", args=[again["signal"]]) in text


def test_whatever_a_key_presses_says_which_key(settings: Settings) -> None:
    """What has no letter would stand in the map of keys as an empty line."""
    templates = [
        path for room in ("hub", "signals", "partners") for path in (Path(settings.BASE_DIR) / room).rglob("*.html")
    ]
    assert len(templates) > 30
    named = re.compile(r'data-key(?!=")|data-key=""')
    assert [path.name for path in templates if named.search(path.read_text(encoding="utf-8"))] == []
