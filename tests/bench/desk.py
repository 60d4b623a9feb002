"""The desk with very much on it: how long each page takes through HTTP (p95), and how many queries it asks.

The hub is filled by COPY (`plenty`, `casework`): of a million signals ten thousand have an open case. Then somebody of
every role walks: each list of the admin, each choice of each of its filters and its farthest page, a number of rows of
each, signals of every state and cases of every kind; and what is asked by a form. The queries are counted in this
process, on the same rows. `floor_ms` is a page that shows nothing.
"""

from __future__ import annotations

import html
import logging
import random
import re
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.client import HTTPConnection
from itertools import cycle, islice
from urllib.parse import urlencode

from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from hub.staff.roles import Role
from hub.staff.site import site
from signals.compliance.quality import count_quality
from signals.core.cases import CaseKind
from signals.lifecycle.activity import count_ahead
from signals.models import Case, QualityCount
from tests.admin.scene import a_person
from tests.bench import rig
from tests.bench.casework import hang, lay_cases_of, record_leaves
from tests.bench.plenty import Plenty, lay

PROMISED_MS = 200
_EMPTY = "/admin/password_change/"
_HELD = "/admin/signals/signal/held/"
_QUESTIONS = "/admin/signals/disclosedminute/"
_ROWS = 20  # of a list, each for its own page
_COUNTED = 3  # addresses of a page whose queries are counted
_CSRF = "0123456789abcdef" * 2
_CHOICE = re.compile(r'href="(\?[^"]+)"')


@dataclass(frozen=True, slots=True)
class Page:
    """A kind of page: the addresses it has here, in turn; with `sent`, what is posted to them."""

    name: str
    addresses: list[str]
    sent: Mapping[str, str] = field(default_factory=dict)


def run(hub: rig.Rig, *, size: int = 10_000, rounds: int = 60) -> dict[str, object]:
    """Each page as often as there are rounds, or once for each of its addresses; in one round, only one of those."""
    now = datetime.now(UTC)
    started = time.monotonic()
    chance = random.Random(3)
    plenty = lay(size, now=now, beside=lambda rows: lay_cases_of(rows, chance=chance, now=now))
    hang(plenty, now=now)
    record_leaves(hub, plenty, now=now)
    _count_ahead(plenty, now=datetime.now(UTC))
    built = time.monotonic() - started
    rig.say(f"built in {built:.0f} s, at rest {_rest(hub):.0f} s later")
    return {"size": size, "built_s": round(built, 1), **walk(hub, plenty, rounds=rounds)}


def _count_ahead(plenty: Plenty, *, now: datetime) -> None:
    """What the sweeps would have counted, had the hub run for all those days."""
    partners = [company.partner.pk for company in plenty.companies]
    pairs = [(partner_id, programme_id) for partner_id in partners for programme_id in plenty.programmes]
    QualityCount.objects.bulk_create([count_quality(*pair, at=now) for pair in pairs])
    count_ahead(at=now)


def _rest(hub: rig.Rig) -> float:
    """Seconds until the hub has done what the rows gave it to do at once: trees, tiles, sweeps; two minutes at most."""
    started, used = time.monotonic(), sum(hub.cpu().values())
    while time.monotonic() - started < 120:
        time.sleep(5)
        before, used = used, sum(hub.cpu().values())
        if used - before < 1:  # a fifth of one processor
            break
    return time.monotonic() - started


def walk(hub: rig.Rig, plenty: Plenty, *, rounds: int) -> dict[str, object]:
    """Look at every page of a hub that has been filled."""
    desk = _Desk(hub)
    found: dict[str, dict[str, object]] = {}
    for page in [Page("an empty page", [_EMPTY]), *_pages(desk, plenty)]:
        taken = desk.visit(page, rounds)
        slowest = max(taken, key=lambda each: each[0])
        found[page.name] = {
            "p50_ms": round(rig.percentile([ms for ms, _ in taken], 0.5), 1),
            "p95_ms": round(rig.percentile([ms for ms, _ in taken], 0.95), 1),
            "queries": desk.queries(page, of=_COUNTED if rounds > 1 else 1),
            "addresses": len(page.addresses),
        }
        rig.say(f"{page.name:44} {found[page.name]}  {slowest[0]:.0f} ms: {slowest[1]}")
    floor = found.pop("an empty page")
    worst = max(found, key=lambda name: float(str(found[name]["p95_ms"])))
    return {
        "open_cases": Case.objects.exclude(state="decided").count(),
        "promised_ms": PROMISED_MS,
        "p95_ms": found[worst]["p95_ms"],
        "worst": worst,
        "over": sorted(name for name, each in found.items() if float(str(each["p95_ms"])) > PROMISED_MS),
        "floor_ms": floor["p95_ms"],
        "pages": found,
    }


class _Desk:
    """Somebody of every role, signed in twice: through HTTP for the time, in this process for the queries."""

    def __init__(self, hub: rig.Rig) -> None:
        logging.getLogger("hub.access").setLevel(logging.WARNING)  # what is asked in this process
        self.http: HTTPConnection = hub.http()
        self.client = Client(SERVER_NAME=hub.hub.host)
        self.client.force_login(a_person("desk", *Role))
        session = self.client.cookies["sessionid"].value
        self.cookie = f"sessionid={session}; csrftoken={_CSRF}"

    def ask(self, address: str, sent: Mapping[str, str] | None = None) -> str:
        """The page; RuntimeError where the hub answers with anything else."""
        if sent:
            body = urlencode({**sent, "csrfmiddlewaretoken": _CSRF})
            headers = {"Cookie": self.cookie, "Content-Type": "application/x-www-form-urlencoded"}
            self.http.request("POST", address, body, headers)
        else:
            self.http.request("GET", address, headers={"Cookie": self.cookie})
        answer = self.http.getresponse()
        text = answer.read().decode()
        if answer.status != (302 if sent and address.endswith("/next/") else 200):
            raise RuntimeError(f"{address} answered {answer.status}: {text[:300]}")
        return text

    def visit(self, page: Page, rounds: int) -> list[tuple[float, str]]:
        """Milliseconds of each visit and its address, after one that does not count."""
        self.ask(page.addresses[0], page.sent)
        taken = []
        visits = max(rounds, len(page.addresses)) if rounds > 1 else 1
        for address in islice(cycle(page.addresses), visits):
            started = time.perf_counter()
            self.ask(address, page.sent)
            taken.append((1000 * (time.perf_counter() - started), address))
        return taken

    def queries(self, page: Page, *, of: int) -> int:
        """The most that one of its first addresses asked."""
        counts = []
        for address in page.addresses[:of]:
            with CaptureQueriesContext(connection) as seen:
                answer = self.client.post(address, page.sent) if page.sent else self.client.get(address)
            assert answer.status_code in {200, 302}, address
            counts.append(len(seen))
        return max(counts)


def _pages(desk: _Desk, plenty: Plenty) -> list[Page]:
    """Every page that there is to look at."""
    pages = [Page("home", ["/admin/"])]
    for model in site._registry:
        listed = f"/admin/{model._meta.app_label}/{model._meta.model_name}/"
        pages += _of_list(desk, f"{model._meta.verbose_name}", listed)
    pages += _of_list(desk, "held queue", _HELD)
    for state, few in sorted(plenty.by_state.items()):
        pages.append(Page(f"signal: {state}", [f"/admin/signals/signal/{each}/change/" for each in few[:_ROWS]]))
    for kind in CaseKind:
        ids = Case.objects.filter(kind=kind.value).exclude(state="decided").values_list("id", flat=True)[:_ROWS]
        pages.append(Page(f"case: {kind.value}", [f"/admin/signals/case/{each}/change/" for each in ids]))
    recalled = plenty.by_state.get("withdrawn", [])[:_ROWS]
    pages.append(Page("one recall", [f"/admin/signals/recalledsignal/{each}/change/" for each in recalled]))
    served = plenty.by_state["published"][:_ROWS]
    slugs = [company.slug for company in plenty.companies]
    pages += [
        Page("who received one signal", [f"{_QUESTIONS}recipients/?signals={each}" for each in served]),
        Page("who received all of a partner", [f"{_QUESTIONS}recipients/?signals=&issuer={each}" for each in slugs]),
        Page("everything about a partner", [f"{_QUESTIONS}partner/?slug={each}" for each in slugs]),
        Page("what people were shown", [f"{_QUESTIONS}shown/", f"{_QUESTIONS}shown/?staff=1"]),
        Page("retention", [f"{_QUESTIONS}retention/"]),
        Page("leaves of a subject", [f"/admin/ledger/reading/?q={each}" for each in _subjects(plenty)]),
        Page(
            "search for a value",
            ["/admin/signals/signal/search/"],
            {"type": "domain", "value": "nobody.example", "service": ""},
        ),
        Page("take the next case", ["/admin/signals/case/next/"], {"kind": ""}),
    ]
    return [page for page in pages if page.addresses]


def _of_list(desk: _Desk, name: str, listed: str) -> list[Page]:
    """The list, each choice of its filters with its farthest page, and its rows."""
    text = desk.ask(listed)
    choices = [f"{listed}{html.unescape(choice)}" for choice in dict.fromkeys(_CHOICE.findall(text))]
    stem = re.escape(listed.removesuffix("held/"))
    rows = list(dict.fromkeys(re.findall(f'href="({stem}[^"?/]+/change/)', text)))[:_ROWS]
    return [Page(f"{name}: list", [listed]), Page(f"{name}: filters", choices), Page(f"{name}: row", rows)]


def _subjects(plenty: Plenty) -> Iterable[str]:
    yield f"signal:{plenty.by_state['published'][0]}"
    yield f"partner:{plenty.companies[0].slug}"
    yield "programme:desk-one"
