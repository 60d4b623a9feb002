"""The recall board at the desk: counts in the list, names on the page, and no more queries for more of either."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from django.test import override_settings
from django.urls import reverse

from hub.staff.roles import Role
from partners.models import Programme
from signals.admin.recall_bar import bar
from signals.core.recall import Standing
from signals.lifecycle import activity
from signals.models import Change, Disclosure, Signal, Walk
from tests.admin.scene import VALUE, Scene, at_the_desk
from tests.admin.test_desk import queries
from tests.companies import a_company, now

pytestmark = pytest.mark.django_db
BOARD = "/admin/signals/recalledsignal/"


def withdrawn(scene: Scene, value: str = "https://bad.example/taken-back", *, readers: bool = True) -> Signal:
    jws = scene.acme.sign(scene.acme.signal(value))
    [said] = scene.acme.say(jws)
    if readers:
        scene.birch.feed()
    scene.acme.say(scene.acme.withdrawal(jws))
    return Signal.objects.get(id=said["signal"])


def text_of(address: str, *roles: Role) -> str:
    response = at_the_desk(*(roles or (Role.ANALYST,))).get(address)
    assert response.status_code == 200
    return response.content.decode()


def test_the_board_counts_and_the_page_names(scene: Scene) -> None:
    signal = withdrawn(scene)
    text = text_of(BOARD)
    assert "1 waiting" in text
    assert str(signal.id) in text
    assert str(scene.published.id) not in text, "it stands"
    page = text_of(reverse("admin:signals_recalledsignal_change", args=[signal.pk]))
    assert "birch-chat" in page
    assert "cedar-video" not in page
    assert "bad.example/taken-back" not in page, "values are masked"
    assert "state-waiting" in page


def test_the_overdue_are_found_by_the_filter_and_counted_on_the_front_page(scene: Scene) -> None:
    late, never_had = withdrawn(scene), withdrawn(scene, "https://bad.example/unseen", readers=False)
    assert "Nobody is overdue." in text_of(f"{BOARD}?acknowledgement=overdue")
    with override_settings(RECALL_OVERDUE_HOURS=0):
        text = text_of(f"{BOARD}?acknowledgement=overdue")
        assert str(late.id) in text
        assert str(never_had.id) not in text
        assert "1 overdue" in text
        front = text_of("/admin/", Role.COMPLIANCE)
        assert "recalls not acknowledged in time" in front


def test_where_more_may_be_overdue_than_was_looked_at_the_front_page_says_so(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    late = withdrawn(scene)
    withdrawn(scene, "https://bad.example/unseen", readers=False)  # the latest, which nobody had: it hides the other

    def figure() -> str:
        found = re.search(r"<strong>([^<]*)</strong> <span>recalls not acknowledged in time", text_of("/admin/"))
        assert found is not None
        return found[1]

    with override_settings(RECALL_OVERDUE_HOURS=0):
        assert figure() == "1"
        monkeypatch.setattr(activity, "MOST_LATE", 1)
        assert figure() == "0 or more"
        assert "the latest were looked at" in text_of(f"{BOARD}?acknowledgement=overdue")
        monkeypatch.setattr(activity, "MOST_LATE", 2)
        assert figure() == "1 or more"
        assert str(late.id) in text_of(f"{BOARD}?acknowledgement=overdue")


def test_a_recall_has_its_own_time_whatever_was_said_of_the_signal_later(scene: Scene) -> None:
    signal = withdrawn(scene)
    [recalled_at] = Change.objects.filter(signal_id=signal.id, kind="withdrawn").values_list("at", flat=True)
    Signal.objects.filter(pk=signal.pk).update(changed_at=recalled_at + timedelta(days=3, minutes=1))
    page = text_of(reverse("admin:signals_recalledsignal_change", args=[signal.pk]))
    assert f"<dt>Recalled</dt><dd>{recalled_at.day} {recalled_at:%b %Y %H:%M}</dd>" in page


def test_kinds_are_filtered_and_an_unknown_signal_has_no_page(scene: Scene) -> None:
    withdrawn(scene)
    assert "withdrawn" in text_of(f"{BOARD}?recall=withdrawn")
    assert "No recall matches" in text_of(f"{BOARD}?recall=restricted")
    assert str(scene.quarantined.id) in text_of(f"{BOARD}?recall=quarantined")
    standing = reverse("admin:signals_recalledsignal_change", args=[scene.published.pk])
    assert at_the_desk(Role.ANALYST).get(standing).status_code == 302


def test_endpoints_are_linked_only_for_those_who_may_look_at_them(scene: Scene) -> None:
    signal = withdrawn(scene)
    change = Change.objects.get(signal_id=signal.id, kind="published")
    channel = f"endpoint:{scene.endpoint.pk}"
    walk = Walk.objects.create(
        partner_id=scene.birch.partner.pk,
        programme_id=signal.programme_id,
        channel=channel,
        epoch=1,
        generation=1,
        floor=0,
        started_at=now(),
    )
    Disclosure.objects.create(
        walk=walk, from_position=-1, to_position=change.position, head=change.position, count=1, root=b"", at=now()
    )
    address = reverse("admin:signals_recalledsignal_change", args=[signal.pk])
    link = reverse("admin:signals_endpoint_change", args=[scene.endpoint.pk])
    assert link in text_of(address, Role.COMPLIANCE)
    assert link not in text_of(address, Role.ANALYST)
    assert f"endpoint {str(scene.endpoint.pk)[:8]}" in text_of(address, Role.ANALYST)


def test_the_board_asks_no_more_for_more_rows_readers_or_history(scene: Scene) -> None:
    client = at_the_desk(*Role)
    signal = withdrawn(scene)
    page = reverse("admin:signals_recalledsignal_change", args=[signal.pk])
    before = [queries(client, address) for address in (BOARD, page)]
    for number in range(4):
        withdrawn(scene, f"https://bad.example/more-{number}")
        reader = a_company(f"reader-{number}", Programme.objects.get())
        said = scene.acme.sign(scene.acme.signal(f"https://bad.example/again-{number}"))
        scene.acme.say(said)
        reader.feed()
        scene.acme.say(scene.acme.withdrawal(said))
    assert [queries(client, address) for address in (BOARD, page)] == before
    assert max(before) <= 22, before


def test_the_oldest_of_the_board_are_still_there_when_purged(scene: Scene) -> None:
    from signals.lifecycle.purge import forget_tombstones, purge_due

    signal = withdrawn(scene)
    while purge_due(at=now() + timedelta(days=400)) + forget_tombstones(at=now() + timedelta(days=400)):
        pass
    assert Change.objects.filter(signal_id=signal.id).exists()
    text = text_of(reverse("admin:signals_recalledsignal_change", args=[signal.pk]))
    assert "birch-chat" in text
    assert VALUE not in text


def test_the_bar_shows_the_smallest_part_and_says_itself_in_words() -> None:
    tally = dict.fromkeys(Standing, 0) | {Standing.TOLD: 499, Standing.OVERDUE: 1}
    drawn = bar(tally, width=100)
    assert 'aria-label="499 told, 1 overdue"' in drawn
    assert '<rect class="bar-told" x="0" y="0" width="97"' in drawn
    assert '<rect class="bar-overdue" x="97" y="0" width="3"' in drawn
    assert "style=" not in drawn, "the policy of the pages forbids it"
    assert "no copies" in bar(dict.fromkeys(Standing, 0))
