"""Every address of the admin × every role × GET and POST, walked from the URL configuration: no door is forgotten."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import URLPattern, URLResolver, reverse
from django.urls.converters import UUIDConverter

from hub.staff import factors, sessions
from hub.staff.approvals import propose
from hub.staff.changes import SET_ROLES
from hub.staff.gate import GatedAdmin
from hub.staff.models import Approval
from hub.staff.roles import FRESH, Capability, Role, capabilities
from hub.staff.site import site
from hub.staff.step_up import PROVED_AT
from hub.staff.verbs import VerbAdmin
from partners.models import ApiKey, Membership, Partner, Programme, SigningKey
from signals.bulk.drafting import draft
from signals.core.bulk import Deed, Filter
from signals.lifecycle.leave import leave_programme
from signals.models import (
    BulkRun,
    Case,
    Departure,
    DisclosedMinute,
    Distrust,
    Endpoint,
    GovernmentRequest,
    Notice,
    PartnerAlarm,
    RecalledSignal,
    RevealMany,
    Signal,
    Submission,
    WarningList,
)
from tests.admin.scene import Scene, a_person, a_scene, at_the_desk
from tests.companies import a_company, now
from tests.staff.authenticators import an_app_of

pytestmark = pytest.mark.usefixtures("committed_db")
C = Capability

OPEN_TO_ALL_STAFF = {
    *("index", "password_change", "password_change_done", "jsi18n", "app_list", "logout"),
    *("step_up", "second_factors", "add_second_factor", "recovery_codes", "remove_second_factor"),  # of one's own
    *("link_sign_on", "unlink_sign_on"),
}
OPEN_TO_EVERYBODY = {"login", "second_factor", "enrol", *("sign_on", "sign_on_back", "sign_on_out")}  # ways in
NOWHERE = {"autocomplete", "view_on_site", ""}  # they answer 403 or 404 to whoever asks: nothing of ours uses them
OWN_PAGES: dict[str, tuple[Capability, Capability | None]] = {  # what a GET and a POST need
    "signals_signal_held": (C.SIGNALS_VIEW, C.SIGNALS_VIEW),  # its two acts are tested below, one by one
    "signals_case_next": (C.SIGNALS_TRIAGE, C.SIGNALS_TRIAGE),  # tests/admin/test_cases.py tries these three
    "signals_case_mine": (C.SIGNALS_TRIAGE, C.SIGNALS_TRIAGE),  # tests/admin/test_own.py tries these three
    "signals_case_saved": (C.SIGNALS_VIEW, C.SIGNALS_VIEW),
    "signals_signal_saved": (C.SIGNALS_VIEW, C.SIGNALS_VIEW),
    "signals_case_act": (C.SIGNALS_TRIAGE, C.SIGNALS_TRIAGE),
    "signals_case_heartbeat": (C.SIGNALS_TRIAGE, C.SIGNALS_TRIAGE),
    "signals_signal_search": (C.SIGNALS_SEARCH, C.SIGNALS_SEARCH),
    "signals_signal_reveal": (C.SIGNALS_REVEAL, C.SIGNALS_REVEAL),
    **{
        f"signals_disclosedminute_{name}": (C.COMPLIANCE_ASK, C.COMPLIANCE_ASK)  # tests/admin/test_questions.py
        for name in ("recipients", "report", "shown", "retention", "partner")
    },
    "signals_revealmany_values": (C.SIGNALS_REVEAL, C.SIGNALS_REVEAL),  # tests/admin/test_reveals.py
    "signals_partneralarm_partner": (C.SIGNALS_VIEW, C.SIGNALS_VIEW),  # tests/admin/test_quality.py
    "signals_endpoint_drawing": (C.ENDPOINTS_VIEW, C.ENDPOINTS_VIEW),
    "signals_export_download": (C.LEDGER_EXPORT, C.LEDGER_EXPORT),  # tests/admin/test_exports.py
}
FRESH_BY_THEMSELVES = {"signals_disclosedminute_report"}  # the file of recipients is an export
# A page for everybody is dear, so every day two of them try every door, and in the stage `races` the others.
PEOPLE = [
    *(pytest.param(role, marks=[] if role in {Role.ANALYST, Role.OPERATOR} else pytest.mark.races) for role in Role),
    *(None, "anonymous", "superuser"),
    pytest.param("superuser auditor", marks=pytest.mark.races),
]
STRANGERS = {None, "anonymous", "superuser"}  # sent to the form; the flag of a superuser opens nothing
DJANGOS = {"changelist", "add", "history", "delete", "change"}

TO_VIEW = {
    Signal: C.SIGNALS_VIEW,
    Case: C.SIGNALS_VIEW,
    BulkRun: C.SIGNALS_VIEW,
    RevealMany: C.SIGNALS_REVEAL,
    PartnerAlarm: C.SIGNALS_VIEW,
    RecalledSignal: C.SIGNALS_VIEW,
    Submission: C.SUBMISSIONS_VIEW,
    Departure: C.PARTNERS_VIEW,
    Endpoint: C.ENDPOINTS_VIEW,
    Notice: C.ENDPOINTS_VIEW,
    DisclosedMinute: C.COMPLIANCE_ASK,
    GovernmentRequest: C.COMPLIANCE_ASK,
    WarningList: C.SIGNALS_VIEW,
    Distrust: C.SIGNALS_VIEW,
    Partner: C.PARTNERS_VIEW,
    Programme: C.PARTNERS_VIEW,
    Membership: C.PARTNERS_VIEW,
    SigningKey: C.PARTNERS_VIEW,
    ApiKey: C.PARTNERS_VIEW,
    User: C.STAFF_VIEW,
    Approval: C.APPROVALS_VIEW,
}


@pytest.fixture(scope="module")
def scene(_committed_module: None) -> Scene:
    """One for all: whoever may not, changes nothing; whoever may, only looks."""
    scene = a_scene()
    leave_programme(a_company("dora-games", Programme.objects.get()).slug, "csea", actor="staff:1", at=now())
    first, other = a_person("first-operator", Role.OPERATOR), a_person("other-operator", Role.OPERATOR)
    facts = {"roles": ["auditor"]}
    propose(SET_ROLES, by=first, subject=f"staff:{other.pk}", facts=facts, reason="file 17", at=now())
    csea, why = Filter(programme="csea"), {"reason": "flood", "policy": "Handbook 4.2"}
    draft(Deed.REFUSE, csea, **why, actor=f"staff:{first.pk}", at=now())
    return scene


def names() -> Iterator[str]:
    """The name of every pattern under /admin/, app by app."""
    for address in addresses():
        yield address.name or ""


def addresses() -> Iterator[URLPattern]:
    def walk(patterns: list[Any]) -> Iterator[URLPattern]:
        for pattern in patterns:
            if isinstance(pattern, URLResolver):
                yield from walk(pattern.url_patterns)
            elif isinstance(pattern, URLPattern):
                yield pattern

    return walk(site.urls[0])


def pages() -> dict[str, GatedAdmin[Any]]:
    """Each registered list by the stem of its addresses' names."""
    found = {f"{m._meta.app_label}_{m._meta.model_name}": p for m, p in site._registry.items()}
    return {stem: page for stem, page in found.items() if isinstance(page, GatedAdmin)}


def split(name: str) -> tuple[str, str]:
    stem = next(stem for stem in pages() if name.startswith(f"{stem}_"))
    return stem, name.removeprefix(f"{stem}_")


def test_every_address_is_in_one_of_these_tables() -> None:
    for name in set(names()) - OPEN_TO_ALL_STAFF - OPEN_TO_EVERYBODY - NOWHERE - set(OWN_PAGES):
        _, kind = split(name)
        assert kind in DJANGOS | {"row_verb", "list_verb"}, name


def test_every_list_is_gated_by_the_capability_it_should_be() -> None:
    for model, page in site._registry.items():
        assert isinstance(page, GatedAdmin), model
        assert (page.to_add, page.to_change, page.to_delete) == (None, None, None), "life happens by verbs"
        if model in TO_VIEW:
            assert page.to_view == TO_VIEW[model]


def a_row(page: GatedAdmin[Any]) -> Any:
    return page.model._default_manager.order_by("pk").first()


@pytest.mark.parametrize("role", PEOPLE)
def test_each_door_opens_to_its_roles_only(scene: Scene, role: Role | str | None) -> None:
    client, held = _somebody(role)
    closed = 302 if role in STRANGERS else 403  # strangers are sent to the form
    wrong = []
    for name in sorted(set(names()) - OPEN_TO_ALL_STAFF - OPEN_TO_EVERYBODY - NOWHERE - set(OWN_PAGES)):
        stem, kind = split(name)
        page = pages()[stem]
        may_see, row = page.to_view in held, a_row(page)
        if kind in {"row_verb", "list_verb"}:
            continue  # the next test
        arguments = [] if kind in {"changelist", "add"} else [row.pk if row is not None else 1]
        address = reverse(f"admin:{name}", args=arguments)
        if row is None and arguments:
            continue  # leaves of the ledger: there are none without a sequencer
        expected = 200 if may_see and kind in {"changelist", "change", "history"} else closed
        answers = {"GET": client.get(address).status_code, "POST": client.post(address).status_code}
        may_post = {200} if expected == 200 and kind in {"changelist", "history"} else {closed, 403}
        if answers["GET"] != expected or answers["POST"] not in may_post:
            wrong.append((name, answers, expected))
    assert wrong == []


@pytest.mark.parametrize("role", [*Role, None, "anonymous", "superuser"])
def test_each_verb_is_there_for_its_roles_only(scene: Scene, role: Role | str | None) -> None:
    client, held = _somebody(role)
    closed = 302 if role in STRANGERS else 403
    wrong, asked = [], 0
    for stem, page in pages().items():
        if not isinstance(page, VerbAdmin):
            continue
        row = a_row(page)
        verbs = [
            (page.needs(verb, row), reverse(f"admin:{stem}_row_verb", args=[row.pk, verb.name]))
            for verb in page.row_verbs
        ]
        verbs += [(verb.to, reverse(f"admin:{stem}_list_verb", args=[verb.name])) for verb in page.list_verbs]
        for needed, address in verbs:
            asked += 1
            may = needed in held and page.to_view in held
            expected = {200} if may else {closed, 404}  # 404: not even the row may be seen
            if client.get(address).status_code not in expected or (
                not may and client.post(address, {"reason": "x"}).status_code not in expected
            ):
                wrong.append(address)
    assert asked > 25
    assert wrong == []


@pytest.mark.parametrize("role", [*Role, None, "anonymous", "superuser", "superuser auditor"])
def test_the_rooms_own_pages(scene: Scene, role: Role | str | None) -> None:
    client, held = _somebody(role)
    closed = 302 if role in STRANGERS else 403
    reveal = reverse("admin:signals_signal_reveal", args=[scene.held.pk])
    search = reverse("admin:signals_signal_search")
    queue = reverse("admin:signals_signal_held")
    assert client.get(queue).status_code == (200 if C.SIGNALS_VIEW in held else closed)
    assert client.get(search).status_code == (200 if C.SIGNALS_SEARCH in held else closed)
    assert client.post(search, {"type": "url"}).status_code == (200 if C.SIGNALS_SEARCH in held else closed)
    assert client.get(reveal).status_code == (405 if C.SIGNALS_REVEAL in held else closed)
    assert client.post(reveal).status_code == (200 if C.SIGNALS_REVEAL in held else closed)
    for name in ("index", "password_change", "password_change_done", "jsi18n", "second_factors", "add_second_factor"):
        assert client.get(reverse(f"admin:{name}")).status_code == (200 if held else 302)
    for name in ("second_factor", "enrol"):
        assert client.get(reverse(f"admin:{name}")).headers["Location"] == "/admin/login/"


@pytest.mark.parametrize("role", [role for role in Role if C.SIGNALS_TRIAGE not in capabilities([role])])
@pytest.mark.parametrize("act", ["approve", "refuse"])
def test_ticking_without_the_capability_decides_nothing(scene: Scene, role: Role, act: str) -> None:
    client, _ = _somebody(role)
    ticked = {"action": act, "index": "0", "_selected_action": [str(scene.held.pk)]}
    client.post(reverse("admin:signals_signal_held"), ticked)
    scene.held.refresh_from_db()
    assert scene.held.state == "held"
    assert b"_selected_action" not in client.get(reverse("admin:signals_signal_held")).content


def test_what_reveals_exports_or_touches_keys_asks_for_a_fresh_factor_and_nothing_else_does(scene: Scene) -> None:
    client, asks, wrong = _with_a_stale_factor(), b"Is it you?", []
    for stem, page in pages().items():
        if not isinstance(page, VerbAdmin):
            continue
        row = a_row(page)
        doors = [
            (verb.name, page.needs(verb, row), reverse(f"admin:{stem}_row_verb", args=[row.pk, verb.name]))
            for verb in page.row_verbs
        ]
        doors += [
            (verb.name, verb.to, reverse(f"admin:{stem}_list_verb", args=[verb.name])) for verb in page.list_verbs
        ]
        for name, needed, address in doors:
            answer = client.get(address)
            decides = stem == "staff_approval" and name != "withdraw"  # a second person is really there
            if (asks in answer.content) != (needed in FRESH or decides):
                wrong.append(address)
            assert not re.search(rb"<script(?![^>]*src=)|\sstyle=|\son\w+=", answer.content), f"inline on {address}"
            assert "script-src 'self'" in answer.headers["Content-Security-Policy"]
    for name, (_, needs) in OWN_PAGES.items():
        door = next(door for door in addresses() if door.name == name)
        parts = {part: scene.held.pk if isinstance(kind, UUIDConverter) else 1 for part, kind in
                 door.pattern.converters.items()}  # fmt: skip
        address = reverse(f"admin:{name}", kwargs=parts)
        asked = asks in client.get(address).content or asks in client.post(address).content
        if asked != (needs in FRESH or name in FRESH_BY_THEMSELVES):
            wrong.append(address)
    assert wrong == []


def test_no_view_needs_a_superuser(scene: Scene) -> None:
    """The tests above open every door to some role by its capability; so it is enough that roles hold them all."""
    assert capabilities(Role) == set(Capability)
    for folder in ("hub", "partners", "signals"):
        for file in (Path(__file__).parents[2] / folder).rglob("*.py"):
            assert ".is_superuser" not in file.read_text(encoding="utf-8"), f"{file} asks for the flag"


def test_no_door_knows_another_method(scene: Scene) -> None:
    client = Client()  # the method comes before the person, so nobody's session is needed
    wrong: list[tuple[str, str]] = []
    for door in addresses():
        if not door.name:  # the last one, which answers 404 to whatever is unknown
            continue
        parts: dict[str, Any] = {}
        for part, kind in door.pattern.converters.items():
            parts[part] = scene.held.pk if isinstance(kind, UUIDConverter) else 1
        if door.name == "app_list":
            parts = {"app_label": "signals"}
        address = reverse(f"admin:{door.name}", kwargs=parts)
        methods = ("PUT", "PATCH", "DELETE", "OPTIONS", "TRACE")
        wrong += [(each, door.name) for each in methods if client.generic(each, address).status_code != 405]
    assert wrong == []


@pytest.mark.parametrize("asked", ["value_index__startswith=x", "statement_id=1", "key_id__gt=0"])
def test_no_list_of_signals_compares_a_column_with_an_address(scene: Scene, asked: str) -> None:
    client, _ = _somebody(Role.ANALYST)
    assert client.get(f"/admin/signals/signal/?{asked}").status_code in {302, 400}


def _with_a_stale_factor() -> Client:
    """Somebody who may do everything, and showed a second factor a while ago."""
    user = a_person("all-roles", *Role)
    an_app_of(user, at=now() - timedelta(minutes=5))
    client = Client()
    client.force_login(user)
    session = client.session
    session[sessions.GENERATION] = factors.generation(User.objects.select_related("credentials").get(pk=user.pk))
    session[PROVED_AT] = (now() - timedelta(minutes=11)).isoformat()
    session.save()
    return client


def _somebody(role: Role | str | None) -> tuple[Client, frozenset[Capability]]:
    if role == "anonymous":
        return Client(), frozenset()
    if isinstance(role, Role):
        return at_the_desk(role), capabilities([role])
    if role is not None:
        roles = [Role.AUDITOR] if role == "superuser auditor" else []
        root = a_person(role.replace(" ", "-"), *roles)
        root.is_superuser = True
        root.save()
        client = Client()
        client.force_login(root)
        return client, capabilities(roles)
    return at_the_desk(), frozenset()
