"""What the desk shows of a signal's standing, and that nothing on its page decides what a case decides."""

from __future__ import annotations

import pytest
from django.urls import reverse

from hub.staff.roles import Role
from signals.models import Ruling, Signal
from tests.admin.scene import Scene, at_the_desk
from tests.companies import settle

pytestmark = pytest.mark.django_db


def test_an_analyst_disputes_at_the_desk_and_sees_who_said_what(scene: Scene) -> None:
    signal = scene.published
    page = reverse("admin:signals_signal_change", args=[signal.pk])
    [item] = [each for each in scene.birch.feed()["items"] if each["id"] == str(signal.pk)]
    jws = item["jws"].encode()
    scene.birch.say(scene.birch.opinion(jws, "false-positive"), scene.birch.outcome(jws, "no-action"))
    settle()
    client = at_the_desk(Role.ANALYST)
    text = client.get(page).content.decode()
    assert "birch-chat: false-positive" in text
    assert "birch-chat: no-action" in text
    assert "0% of 1 judged" in text
    client.post(f"{page.removesuffix('change/')}do/dispute/", {"reason": "mistaken-identity"})
    assert Signal.objects.get(pk=signal.pk).state == "restricted"
    auditor = at_the_desk(Role.AUDITOR)
    assert auditor.post(f"{page.removesuffix('change/')}do/dispute/", {"reason": "appeal"}).status_code == 403


def test_on_its_page_a_signal_is_neither_refuted_nor_its_dispute_lifted(scene: Scene) -> None:
    page = reverse("admin:signals_signal_change", args=[scene.published.pk])
    client = at_the_desk(Role.ANALYST)
    client.post(f"{page.removesuffix('change/')}do/dispute/", {"reason": "mistaken-identity"})
    for verb, reason in (("refute", "mistaken-identity"), ("lift-dispute", "confirmed-on-review")):
        assert client.post(f"{page.removesuffix('change/')}do/{verb}/", {"reason": reason}).status_code == 404, verb
        assert f"do/{verb}/" not in client.get(page).content.decode()
    assert [ruling.ruled for ruling in Ruling.objects.all()] == ["disputed"]
