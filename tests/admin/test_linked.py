"""Linked signals on the desk's pages: found by ties that are kept blind, drawn, bounded, and erased with the rest."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.urls import reverse

from hub.staff.roles import Role
from hub.vault import keyring
from partners import public
from partners.models import Programme
from signals import tied
from signals.admin import linked, masks
from signals.core.ties import Tie
from signals.lifecycle import reindex
from signals.lifecycle.expire import expire_due
from signals.lifecycle.purge import purge_due
from signals.models import Signal, Ties
from tests.admin.scene import VALUE, Scene, at_the_desk
from tests.admin.test_desk import queries
from tests.companies import Company, a_company, now

pytestmark = pytest.mark.django_db
PICTURE = "f8f8f0cee0f4a84f06370a22038f63f0b36e2ed596621e1d33e6b39c4e9c9b22"
NEARBY, FAR = f"{int(PICTURE, 16) ^ 0x15:064x}", f"{int(PICTURE, 16) ^ ((1 << 40) - 1):064x}"


def said(company: Company, value: str, **members: Any) -> Signal:
    [verdict] = company.say(company.sign(company.signal(value, **members)))
    return Signal.objects.get(pk=verdict["signal"])


def ties_of(signal: Signal) -> dict[Tie, list[Signal]]:
    opened = masks.said(signal)
    incident = opened.words.incident if opened.words is not None else None
    partners = public.partner_slugs()
    found = linked.linked(signal, programme="csea", partners=partners, reading=opened.reading, incident=incident)
    return {group.tie: [other.signal for other in group.others] for group in found.groups}


def test_each_tie_leads_to_the_others_and_none_to_itself(scene: Scene) -> None:
    acme, birch = scene.acme, scene.birch
    name = said(acme, "some.body", type="username", service="chat.example", incident="IR-7")
    again = said(birch, "some.body", type="username", service="chat.example", incident="IR-7")
    elsewhere = said(birch, "Some.Body", type="username", service="games.example")
    mail = said(birch, "some.body@mail.example", type="email")
    page = said(acme, "https://bad.example/three", incident="IR-7")
    assert ties_of(name) == {Tie.VALUE: [again], Tie.INCIDENT: [page], Tie.HANDLE: [mail, elsewhere]}
    assert ties_of(page)[Tie.HOST][-1] == scene.published
    assert ties_of(again).keys() == {Tie.VALUE, Tie.HANDLE}, "another author's incident of the same name is another"


def test_like_pictures_come_nearest_first_with_how_far_they_are(scene: Scene) -> None:
    one = said(scene.acme, PICTURE, type="pdq")
    like = said(scene.birch, NEARBY, type="pdq")
    said(scene.birch, FAR, type="pdq")
    assert ties_of(one) == {Tie.PICTURE: [like]}
    text = at_the_desk(Role.ANALYST).get(reverse("admin:signals_signal_change", args=[one.pk])).content.decode()
    assert "similar picture" in text
    assert "3 of 256 bits differ" in text
    assert NEARBY not in text


def test_who_said_the_same_hides_nobody_and_is_called_nothing_else(scene: Scene, db: None) -> None:
    csea = Programme.objects.get(slug="csea")
    first = said(scene.acme, "some.body", type="username", service="chat.example")
    for number in range(linked.SHOWN + 4):
        said(a_company(f"other-{number}", csea), "some.body", type="username", service="chat.example")
    mail = said(scene.acme, "some.body@mail.example", type="email")
    assert ties_of(first)[Tie.HANDLE] == [mail]
    assert len(ties_of(first)[Tie.VALUE]) == linked.SHOWN


def test_the_newest_of_many_are_shown_and_a_second_tie_to_them_hides_no_others(scene: Scene) -> None:
    first = said(scene.acme, "https://crowd.example/0", incident="IR-7")
    grouped = [said(scene.acme, f"https://crowd.example/{n}", incident="IR-7") for n in range(1, 9)]
    plain = [said(scene.acme, f"https://crowd.example/plain-{n}") for n in range(9)]
    assert ties_of(first) == {Tie.INCIDENT: grouped[::-1], Tie.HOST: plain[:0:-1]}


def test_the_drawing_says_in_words_what_it_shows_and_nothing_is_inline(scene: Scene) -> None:
    said(scene.birch, VALUE, type="username", service="chat.example")
    text = at_the_desk(Role.ANALYST).get(reverse("admin:signals_signal_change", args=[scene.held.pk])).content.decode()
    [drawing] = re.findall(r'<svg class="star".*?</svg>', text)
    assert 'role="img"' in drawing
    assert "<desc>same value: 1</desc>" in drawing
    assert "birch-chat, published" in drawing
    assert VALUE not in text
    assert not re.search(r"style=|\son[a-z]+=", drawing)


def test_what_stands_in_the_table_tells_nobody_a_value(scene: Scene) -> None:
    said(scene.acme, PICTURE, type="pdq", incident="IR-7")
    said(scene.acme, "https://bad.example/three", incident="IR-7")
    with connection.cursor() as cursor:
        cursor.execute("SELECT keys::text FROM signals_ties")
        kept = " ".join(row[0] for row in cursor.fetchall())
    assert re.fullmatch(r"[-0-9{}, ]+", kept)
    assert len(Ties.objects.get(signal_id=Signal.objects.get(indicator_type="pdq").pk).keys) == 17


def test_a_revision_ties_anew_and_a_purge_unties(scene: Scene) -> None:
    first = scene.acme.signal("https://else.example/", incident="IR-7")
    [verdict] = scene.acme.say(scene.acme.sign(first))
    other = said(scene.acme, "lonely.example", type="domain", incident="IR-8")
    signal = Signal.objects.get(pk=verdict["signal"])
    assert ties_of(signal) == {}
    scene.acme.say(
        scene.acme.sign(scene.acme.signal("https://else.example/", incident="IR-8", supersedes=first["jti"]))
    )
    signal.refresh_from_db()
    assert ties_of(signal) == {Tie.INCIDENT: [other]}
    later = now() + timedelta(days=366)
    expire_due(at=later)
    purge_due(at=later + timedelta(days=366))
    assert not Ties.objects.exists()
    signal.refresh_from_db()
    assert ties_of(signal) == {}


def test_ties_survive_a_rotation_of_the_index_key(scene: Scene) -> None:
    one, like = said(scene.acme, PICTURE, type="pdq"), said(scene.birch, NEARBY, type="pdq")
    Ties.objects.all().delete()  # as of signals that were said before ties were kept
    assert ties_of(one) == {}
    reindex.reindex_chunk("programme:csea", old=tuple(keyring.live_index_keys("programme:csea")))
    assert ties_of(one) == {Tie.PICTURE: [like]}


def test_a_page_asks_no_more_however_many_are_linked(scene: Scene) -> None:
    client = at_the_desk(Role.ANALYST)
    first = said(scene.acme, "https://crowd.example/0")
    said(scene.acme, "https://crowd.example/1")
    address = reverse("admin:signals_signal_change", args=[first.pk])
    before = queries(client, address)
    scene.acme.say(*(scene.acme.sign(scene.acme.signal(f"https://crowd.example/{n}")) for n in range(2, 30)))
    assert queries(client, address) == before
    text = client.get(address).content.decode()
    assert text.count("https://c•••.example") == linked.SHOWN + 1
    assert "and more</span>" in text


def test_of_a_crowd_the_page_says_that_not_all_were_looked_at(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tied, "CROWD", 12)
    first = said(scene.acme, "https://crowd.example/0")
    scene.acme.say(*(scene.acme.sign(scene.acme.signal(f"https://crowd.example/{n}")) for n in range(1, 20)))
    address = reverse("admin:signals_signal_change", args=[first.pk])
    text = at_the_desk(Role.ANALYST).get(address).content.decode()
    assert "and more; so many have it that these are the newest of 12 of them" in text
