"""What the desk shows of a signal's standing, and an analyst's three rulings on it."""

from __future__ import annotations

import pytest
from django.urls import reverse

from hub.staff.roles import Role
from signals.models import Ruling, Signal
from tests.admin.scene import Scene, at_the_desk
from tests.companies import settle

pytestmark = pytest.mark.usefixtures("committed_db")


def test_an_analyst_disputes_refutes_and_lifts_at_the_desk_and_sees_who_said_what(scene: Scene) -> None:
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
    for verb, reason, state in (
        ("dispute", "mistaken-identity", "restricted"),
        ("refute", "mistaken-identity", "restricted"),
        ("lift-dispute", "confirmed-on-review", "published"),
    ):
        client.post(f"{page.removesuffix('change/')}do/{verb}/", {"reason": reason})
        assert Signal.objects.get(pk=signal.pk).state == state, verb
    assert [ruling.ruled for ruling in Ruling.objects.order_by("number")] == ["disputed", "refuted", "lifted"]
    refused = client.post(f"{page.removesuffix('change/')}do/lift-dispute/", {"reason": "corrected"})
    assert refused.status_code == 200
    assert Ruling.objects.count() == 3
    auditor = at_the_desk(Role.AUDITOR)
    assert auditor.post(f"{page.removesuffix('change/')}do/dispute/", {"reason": "appeal"}).status_code == 403
