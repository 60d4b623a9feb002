"""A hub with something of everything in it, made through the verifier and the verbs: what the desk's tests look at."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from django.contrib.auth.models import Group, User
from django.test import Client

from hub.staff.roles import Role
from partners import public
from signals.core.government import Asker, Wanted
from signals.lifecycle import endpoints, quarantine
from signals.lifecycle.government_requests import note_request
from signals.lifecycle.import_warning_list import import_list
from signals.models import Attempt, Endpoint, Signal, WarningList
from tests.builders import a_programme
from tests.companies import Company, a_company, another_key, now, settle

VALUE = "unmistakable.canary.name"  # a held username: must show nowhere but on its revealed page
NOTE = "the unmistakable note"
SERVICE = "chat.example"
WHO = {"actor": "staff:1"}


@dataclass
class Scene:
    """Who is in it, and one row of each kind by name."""

    acme: Company
    birch: Company
    cedar: Company
    published: Signal
    held: Signal
    quarantined: Signal
    endpoint: Endpoint
    submission: Any
    warning_list: WarningList
    more: list[Signal] = field(default_factory=list)


def a_person(name: str, *roles: Role) -> User:
    """Somebody of the hub's own people, with these roles and no password."""
    user, _ = User.objects.get_or_create(username=name, is_staff=True)
    user.groups.set([Group.objects.get_or_create(name=role.value)[0] for role in roles])
    return user


def at_the_desk(*roles: Role) -> Client:
    """A browser in which somebody with these roles has signed in."""
    client = Client()
    client.force_login(a_person("-".join(["person", *(role.value.replace(" ", "-") for role in roles)]), *roles))
    return client


def a_scene() -> Scene:
    """Three companies in one programme: published, held, quarantined; an endpoint that fails; a warning list."""
    csea = a_programme("csea")
    acme, birch = a_company("acme-social", csea), a_company("birch-chat", csea)
    cedar = a_company("cedar-video", csea, is_probationary=True)
    import_list(misp_list(["benign.example"]), at=now(), **WHO)
    note_request(Asker.POLICE, "DE", Wanted.DISCLOSURE, received_at=now(), at=now(), **WHO)
    [out, refused] = acme.say(acme.sign(acme.signal("https://bad.example/one")), b"no jws at all")
    assert refused["verdict"] == "refused"
    birch.feed()
    [held] = cedar.say(cedar.sign(a_username(cedar)))
    fallen = another_key(acme)
    [doubtful] = acme.say(acme.sign(acme.signal("https://bad.example/two"), key=fallen))
    quarantine.revoke_compromised_key(
        fallen.kid, partner_id=acme.partner.pk, compromised_at=now() - timedelta(hours=1), at=now(), **WHO
    )
    while quarantine.settle_fallen_keys(at=now()):
        pass
    return Scene(
        acme,
        birch,
        cedar,
        Signal.objects.get(id=out["signal"]),
        Signal.objects.get(id=held["signal"]),
        Signal.objects.get(id=doubtful["signal"]),
        an_endpoint(birch, failures=3),
        acme_submission(acme),
        WarningList.objects.get(),
    )


def a_username(company: Company, value: str = VALUE, **members: Any) -> dict[str, Any]:
    """A signal about a user name, with a note."""
    return company.signal(value, type="username", service=SERVICE, note=NOTE, **members)


def acme_submission(company: Company) -> Any:
    """The company's first submission."""
    from signals.models import Submission

    return Submission.objects.filter(partner_id=company.partner.pk).order_by("received_at").first()


def an_endpoint(company: Company, *, failures: int = 0, attempts: int = 3) -> Endpoint:
    """A webhook address with some attempts behind it."""
    member = public.membership(company.partner.pk, "csea", at=now())
    assert member is not None
    url = f"https://hooks.{company.slug}.example/heliograph?token=s3cret"
    added = endpoints.add_endpoint(member, url=url, filter={}, batch_size=200, actor=WHO["actor"], at=now())
    rows = Endpoint.objects.filter(id=added.endpoint.id)
    rows.update(failures=failures, verified_at=now(), last_success_at=now() - timedelta(minutes=7))
    for number in range(attempts):
        is_good = failures == 0 or number == 0
        Attempt.objects.create(
            endpoint=added.endpoint,
            at=now() - timedelta(minutes=7 - number),
            webhook_id=f"msg_{number}",
            signal_count=12,
            is_delivered=is_good,
            status=200 if is_good else 503,
            latency_ms=41 + number,
        )
    return rows.get()


def misp_list(hosts: Iterable[str], name: str = "Well-known hosts") -> bytes:
    """A warning list in the MISP format."""
    entries = list(hosts)
    return json.dumps(
        {"name": name, "version": 3, "type": "hostname", "description": "Harmless", "list": entries}
    ).encode()


def hold_many(company: Company, count: int, *, at: datetime | None = None) -> list[Signal]:
    """So many held signals of a company on probation."""
    company.say(*(company.sign(a_username(company, f"somebody.{number}")) for number in range(count)), at=at)
    settle()
    return list(Signal.objects.filter(issuer_id=company.partner.pk, state="held"))
