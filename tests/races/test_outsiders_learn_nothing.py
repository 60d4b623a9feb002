"""A partner outside an audience learns nothing: whether anything is hidden from it or not, it is told the same."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest
from django.db.models import CharField, Value
from django.db.models.functions import Cast, Concat
from django.test import Client

from partners import public
from partners.models import Partner, Programme
from signals.lifecycle.deliver import claim_due
from signals.lifecycle.endpoints import add_endpoint
from signals.lifecycle.render import render
from signals.models import Disclosure, Endpoint, Signal
from tests.builders import a_programme, verified
from tests.companies import Company, a_company, now

pytestmark = pytest.mark.django_db

_RANDOM: list[tuple[re.Pattern[str], str | Callable[[re.Match[str]], str]]] = [
    (re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"), "<uuid>"),
    (re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z"), "<time>"),
    (re.compile(r'"walk":\d+'), '"walk":<n>'),
    (re.compile(r'"iat":\d+'), '"iat":<n>'),
    (re.compile(r"eyJ[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+"), "<jws>"),
    (re.compile(r'"next":"([A-Za-z0-9_-]+)"'), lambda match: f'"next":<{len(match[1])} characters>'),
]


_INSIDE = {
    "Content-Length",
    "Heliograph-Internal-Wait",
}  # the first follows the body; hub.waiting takes the second away


class World:
    """Acme and birch say the same to everybody; acme also says things that cedar is left out of, or does not."""

    def __init__(self, hidden: int) -> None:
        programme = a_programme("csea")
        self.acme, self.birch, self.cedar, self.outsider = (
            a_company("acme-social", programme),
            a_company("birch-chat", programme),
            a_company("cedar-video", programme),
            a_company("outsider"),
        )
        self.secret: list[bytes] = []
        self.hide(hidden)
        for number in range(4):
            self.acme.say(self.acme.sign(self.acme.signal(f"https://open.example/{number}")))
            self.hide(hidden)
        self.after_all = hidden

    def hide(self, count: int) -> None:
        """Say, revise and withdraw what cedar may not see: some to birch only, some to all but cedar."""
        acme, first, then = self.acme, list[bytes](), list[bytes]()
        for number in range(count):
            said = acme.signal(f"https://hidden.example/{len(self.secret)}", audience="routed")
            jws = acme.sign(said)
            who: dict[str, list[str]] = {"only": ["birch-chat"]} if number % 2 else {"leave_out": ["cedar-video"]}
            first += [jws, acme.routing(jws, **who)]
            then.append(acme.sign(acme.signal(said["indicator"]["value"], audience="routed", supersedes=said["jti"])))
            if number % 3 == 0:
                then.append(acme.withdrawal(jws))
            self.secret.append(jws)
        if count:
            acme.say(*first)
            acme.say(*then)


def told(client: Client, path: str, **parameters: str) -> tuple[int, dict[str, str], str]:
    """What an answer says: status, headers and body, with what is random in every answer made plain."""
    answer = client.get(path, parameters)
    headers = {name: text for name, text in answer.items() if name not in _INSIDE}
    return answer.status_code, headers, plain(answer.content.decode())


def plain(text: str) -> str:
    for pattern, name in _RANDOM:
        text = pattern.sub(name, text)
    return text


def read_all(reader: Company, world: World) -> list[object]:
    """A reader's whole transcript: pages by three, the end, more after the end, every kind of mistake."""
    feed = "/api/v1/programmes/csea/feed"
    answers: list[object] = []
    after: dict[str, str] = {}
    for _ in range(3):
        page = reader.http.get(feed, {"limit": "3", **after}).json()
        answers.append(told(reader.http, feed, **after, limit="3"))
        after = {"after": page["next"]} if "next" in page else {}
    world.hide(world.after_all)
    asked: list[dict[str, Any]] = [
        after,
        {**after, "wait": "1"},
        {"after": "x"},
        {"type": "url"},
        {"issuer": "birch-chat"},
    ]
    answers += [told(reader.http, feed, **parameters) for parameters in asked]
    ndjson = Client(headers={"authorization": f"Bearer {reader.token}", "accept": "application/x-ndjson"})
    answers.append(told(ndjson, feed))
    hidden = Signal.objects.exclude(audience="programme").values_list("id", flat=True)
    paths = [f"/api/v1/signals/{hidden[0] if hidden else uuid4()}", "/api/v1/programmes", "/api/v1/programmes/csea"]
    return [*answers, *(told(reader.http, path) for path in (*paths, "/api/v1/endpoints"))]


def says_the_same(reader: Company, world: World) -> list[object]:
    """What a reader's own statements about the hidden values are answered."""
    jws = reader.sign(reader.signal("https://hidden.example/0"))
    about = world.secret[0] if world.secret else world.acme.sign(world.acme.signal("https://never.example/", jti="x"))
    withdrawn = reader.say(jws, reader.withdrawal(about))
    return json.loads(plain(json.dumps([{**verdict, "jti": ""} for verdict in withdrawn])))  # type: ignore[no-any-return]  # a list


def is_posted(reader: Company, world: World) -> list[object]:
    """The bodies an endpoint gets, before and after more that it may not see."""
    member = public.membership(reader.partner.pk, "csea", at=now())
    assert member is not None
    asked: dict[str, Any] = {"url": "http://127.0.0.1:8080/", "filter": {}, "batch_size": 3, "actor": "partner:x"}
    endpoint = verified(add_endpoint(member, **asked, at=now()).endpoint)
    bodies: list[object] = []
    for _ in range(4):
        claimed, token = claim_due(limit=1)
        for batch in render(claimed, token=token, at=now()):
            bodies.append(plain(batch.whole.decode()))
            Endpoint.objects.filter(id=endpoint.id).update(
                position=batch.to, in_flight_to=None, lease_token=None, lease_until=None
            )
        world.hide(world.after_all)
    assert Disclosure.objects.filter(walk__channel=f"endpoint:{endpoint.id}").count() == len(bodies)
    return bodies


@pytest.mark.parametrize("ask", [read_all, says_the_same, is_posted])
def test_a_member_outside_the_audience_is_told_the_same_whatever_is_hidden(
    ask: Callable[[Company, World], list[object]],
) -> None:
    answers = []
    for hidden in (0, 2):
        world = World(hidden)
        answers.append(ask(world.cedar, world))
        if hidden == 0:
            _start_again()
    assert answers[0] == answers[1]
    assert "hidden" not in json.dumps(answers).replace("https://hidden.example/0", "")


def test_who_is_no_member_is_told_the_same_as_of_a_programme_that_does_not_exist() -> None:
    world = World(1)
    for path in ("", "/feed", "/members"):
        known = told(world.outsider.http, f"/api/v1/programmes/csea{path}")
        assert known == told(world.outsider.http, f"/api/v1/programmes/none{path}")
        assert known[0] == 404
    page = world.birch.http.get("/api/v1/programmes/csea/feed").json()
    assert told(world.outsider.http, "/api/v1/programmes/csea/feed", after=page["next"])[0] == 404
    assert world.cedar.feed(after=page["next"])["code"] == "cursor-invalid"


def _start_again() -> None:
    """The same slugs for a second world."""
    for rows in (Programme.objects, Partner.objects):
        rows.update(slug=Concat(Value("before-"), Cast("pk", CharField())))
