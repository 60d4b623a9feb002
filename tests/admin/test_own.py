"""What belongs to one person at the desk: their counts, their breaks, what they do not work on, their saved filters."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.urls import reverse
from pytest_django import Settings

from hub.staff.roles import Role
from partners import public
from signals.cases import claiming, own
from signals.cases.opening import open_held
from signals.cases.refusals import InvalidDecision
from signals.models import Case, Exposure, OptOut, SavedFilter, Signal
from tests.admin.scene import Scene, a_person, a_username, at_the_desk
from tests.companies import now
from tests.partners.conftest import Recorded

pytestmark = pytest.mark.django_db
MINE, QUEUE, SIGNALS = "/admin/signals/case/mine/", "/admin/signals/case/", "/admin/signals/signal/"


def reveal(scene: Scene) -> str:
    return reverse("admin:signals_signal_reveal", args=[scene.held.pk])


def test_what_somebody_is_shown_is_counted_for_their_own_eyes(scene: Scene, recorded: Recorded) -> None:
    client, other = at_the_desk(Role.ANALYST), at_the_desk(Role.SENIOR_ANALYST)
    client.get(reverse("admin:signals_signal_change", args=[scene.held.pk]))
    before = len(recorded())
    client.post(reveal(scene))
    client.post(reveal(scene))
    assert "today 2 revealed, 1 seen" in client.get("/admin/").content.decode()
    assert "2 values revealed, 1 signal looked at" in client.get(MINE).content.decode()
    assert "today 0 revealed, 0 seen" in other.get("/admin/").content.decode()
    assert "0 values revealed" in other.get(MINE).content.decode()
    assert len(recorded()) == before + 2, "a leaf for each reveal, as ever, and none for the counter"
    for role in (Role.COMPLIANCE, Role.AUDITOR, Role.OPERATOR):
        assert at_the_desk(role).get(MINE).status_code == 403
        assert "revealed," not in at_the_desk(role).get("/admin/").content.decode()


def test_only_what_is_sensitive_counts_and_for_a_month(scene: Scene, settings: Settings) -> None:
    settings.SENSITIVE_VIOLATIONS = ["sextortion"]
    client = at_the_desk(Role.ANALYST)
    client.get(reverse("admin:signals_signal_change", args=[scene.held.pk]))
    assert not Exposure.objects.exists()
    own.note_shown(7, looked_at=1, at=now() - timedelta(days=31))
    own.note_shown(8, revealed=1, at=now())
    assert [row.person_id for row in Exposure.objects.all()] == [8]


def test_after_so_many_values_every_page_asks_to_look_away(scene: Scene, settings: Settings) -> None:
    settings.BREAK_AFTER_REVEALS = 2
    client = at_the_desk(Role.ANALYST)
    for _ in range(2):
        assert "Look away" not in client.get(QUEUE).content.decode()
        client.post(reveal(scene))
    assert "Look away for 5 minutes" in client.get(QUEUE).content.decode()
    client.post(MINE, {"do": "later"})
    assert "Look away" not in client.get("/admin/").content.decode()
    client.post(MINE, {"do": "had-a-break"})
    client.post(reveal(scene))
    assert "Look away" not in client.get("/admin/").content.decode()


def test_nobody_is_given_what_they_do_not_work_on(scene: Scene) -> None:
    scene.cedar.say(scene.cedar.sign(a_username(scene.cedar, "somebody.else", violation="sextortion")))
    open_held(at=now())
    grooming, sextortion = (
        Case.objects.get(signal_id=Signal.objects.get(state="held", violation=word).pk)
        for word in ("grooming", "sextortion")
    )
    client = at_the_desk(Role.ANALYST)
    person = User.objects.get(username="person-analyst")
    client.post(MINE, {"do": "opt-out", "violation": ["grooming"]})
    assert own.opted_out(person.pk) == {"grooming"}
    text = client.get(QUEUE).content.decode()
    assert str(sextortion.pk) in text
    assert str(grooming.pk) not in text
    assert str(grooming.pk) in client.get(f"{QUEUE}?standing=left%20out").content.decode()
    assert str(grooming.pk) in at_the_desk(Role.SENIOR_ANALYST).get(QUEUE).content.decode()
    address = reverse("admin:signals_case_change", args=[grooming.pk])
    assert "You asked not to be given cases about grooming." in client.get(address).content.decode()

    taken = claiming.claim_next(actor=f"staff:{person.pk}", at=now())
    assert taken == sextortion
    assert claiming.claim_next(actor=f"staff:{person.pk}", at=now()) is None
    claiming.claim(grooming.pk, actor=f"staff:{person.pk}", at=now())  # by hand, after the warning

    client.post(MINE, {"do": "opt-out"})
    assert not OptOut.objects.exists()


def test_an_empty_queue_says_that_something_is_left_out_of_it(scene: Scene) -> None:
    open_held(at=now())
    Case.objects.update(due_at=now() - timedelta(hours=1))
    client = at_the_desk(Role.ANALYST)
    client.post(MINE, {"do": "opt-out", "violation": ["grooming"]})
    besides = ', besides <a href="?standing=left+out">what you left out</a>.'
    assert f"Nothing is overdue{besides}" in client.get(f"{QUEUE}?standing=overdue").content.decode()
    assert f"Nothing waits for a person here{besides}" in client.get(QUEUE).content.decode()
    assert besides not in client.get(f"{QUEUE}?standing=decided").content.decode()
    assert str(Case.objects.get().pk) in client.get(f"{QUEUE}?standing=left+out").content.decode()


def test_one_cannot_opt_out_of_everything_or_of_nothing_known(scene: Scene) -> None:
    every = public.violations()
    with pytest.raises(InvalidDecision, match="one kind"):
        own.opt_out(7, every)
    with pytest.raises(InvalidDecision, match="No programme"):
        own.opt_out(7, ["no-such-word"])
    assert (
        "Leave yourself one kind"
        in at_the_desk(Role.ANALYST)
        .post(MINE, {"do": "opt-out", "violation": sorted(every)}, follow=True)
        .content.decode()
    )


@pytest.mark.parametrize("listed", [QUEUE, SIGNALS])
def test_a_filter_is_saved_by_name_and_holds_closed_words_only(scene: Scene, listed: str) -> None:
    client, other = at_the_desk(Role.ANALYST), at_the_desk(Role.SENIOR_ANALYST)
    known = {"standing": "overdue"} if listed == QUEUE else {"state": "held", "type": "username"}
    text = client.get(listed, known).content.decode()
    assert "Save this filter as" in text
    sent = {**known, "called": "Mine, late", "q": "a value", "issuer": "999999", "value_index": "x"}
    assert "Saved as" in client.post(f"{listed}saved/", sent, follow=True).content.decode()
    kept = SavedFilter.objects.get()
    assert kept.asked == known, "nothing but the words of the list's own filters"
    assert "Mine, late" in client.get(listed).content.decode()
    assert "Mine, late" not in other.get(listed).content.decode()

    other.post(f"{listed}saved/", {"forget": kept.pk})
    assert SavedFilter.objects.exists(), "nobody deletes another's"
    client.post(f"{listed}saved/", {"forget": kept.pk})
    assert not SavedFilter.objects.exists()
    assert client.get(f"{listed}saved/").status_code == 405


@pytest.mark.parametrize("name", ["", "somebody@mail.example", "https://bad.example", "x" * 41])
def test_a_filters_name_is_no_place_for_a_value(db: None, name: str) -> None:
    sent = {"state": "held", "called": name}
    answer = at_the_desk(Role.ANALYST).post(f"{SIGNALS}saved/", sent, follow=True).content.decode()
    assert "it is no place for a value" in answer
    assert not SavedFilter.objects.exists()


def test_so_many_filters_are_kept_and_no_more(db: None) -> None:
    person = a_person("robin", Role.ANALYST).pk
    for number in range(own.MOST_FILTERS):
        own.save_filter(person, "cases", f"filter {number}", {"standing": "overdue"})
    own.save_filter(person, "cases", "filter 1", {"standing": "mine"})
    with pytest.raises(InvalidDecision, match="20 filters"):
        own.save_filter(person, "cases", "one more", {"standing": "mine"})
    with pytest.raises(InvalidDecision, match="Choose a filter"):
        own.save_filter(person, "cases", "nothing", {})
