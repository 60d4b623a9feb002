"""A full walk of a feed as NDJSON through HTTP, and what a page costs as the feed grows.

The feed is built by the real path: signed, posted, verified, published. Then the same sealed rows are laid into another
programme, each signal routed to one reader only and one in a thousand to another, who is thus entitled to 0.1 %. The
ceiling is `bare.walk`: keyset reads, decryption and rendering of the same rows in one process, right after each walk.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from http.client import HTTPConnection

from django.conf import settings
from django.db import connection

from hub.embedded.postgres import Postgres
from hub.vault import keyring
from partners import public
from partners.models import Programme
from signals.lifecycle import disclose
from signals.lifecycle.walk import Place
from signals.models import Walk
from tests.bench import bare, rig
from tests.bench.statements import batches
from tests.builders import a_membership, a_programme
from tests.companies import Company

PAGE = 1000
NDJSON = "application/x-ndjson"
_FEED = "/api/v1/programmes/{}/feed?limit={}"
ROUTED_EVERY = 1000
PROBES = 15  # first pages a reader asks for, to time one; the best quarter's median is quoted


def run(hub: rig.Rig, *, size: int = 10_000, rounds: int = 5) -> dict[str, object]:
    """Walks over `size` signals."""
    with bare.pool(1) as process:
        author, reader, narrow = hub.company("acme-social"), hub.company("birch-chat"), hub.company("cedar-video")
        second = a_programme("ncii")
        for company in (author, reader, narrow):
            a_membership(company.partner, second)
        http = hub.http()
        tenth = max(1, size // 10)
        few = max(1, tenth // ROUTED_EVERY)
        readers = {
            "everything": (reader, "csea", 20),
            "all_routed": (reader, "ncii", 20),
            "0.1%": (narrow, "ncii", few),
        }
        pages: dict[str, dict[str, float]] = {}
        for said in (range(tenth), range(tenth, size)):
            start = hub.head
            _build(hub, author, said)
            _route(hub, second, start, author, reader, narrow)
            pages[str(said.stop)] = {who: _page_ms(http, *how) for who, how in readers.items()}
        hub.wait_for_ledger()
        scans = {who: _scans(company, slug) for who, (company, slug, _) in readers.items()}
        task = _ceiling(hub, reader)
        _walk(http, reader)  # warm, as the ceiling's first round is
        process.apply(bare.walk, [task])
        ours, ceilings, cpu_ratios = [], [], []
        spent: dict[str, float] = {}
        child = process._pool[0].pid  # type: ignore[attr-defined]  # the one process of the ceiling
        for number in range(rounds):
            before, started = hub.cpu(child), time.perf_counter()
            seen = _walk(http, reader)
            ours.append(seen / (time.perf_counter() - started))
            between, started = hub.cpu(child), time.perf_counter()
            counted = process.apply(bare.walk, [task])
            ceilings.append(counted / (time.perf_counter() - started))
            after = hub.cpu(child)
            spent = {
                "web": _used(before, between, "web") / seen,
                "its_postgres": _used(before, between, "postgres") / seen,
                "bare": _used(between, after, f"process {child}") / seen,
                "bares_postgres": _used(between, after, "postgres") / seen,
            }
            cpu_ratios.append((spent["bare"] + spent["bares_postgres"]) / (spent["web"] + spent["its_postgres"]))
            if seen != counted:
                raise RuntimeError(f"The walk showed {seen} signals, the ceiling read {counted}.")
            rig.say(f"round {number + 1}: hub {ours[-1]:.0f}/s, bare {ceilings[-1]:.0f}/s")
    ratios = [figure / ceiling for figure, ceiling in zip(ours, ceilings, strict=True)]
    return {
        "size": size,
        "rounds": rounds,
        "unit": "items/s",
        "figure": round(rig.median(ours)),
        "ceiling": round(rig.median(ceilings)),
        "ratio": rig.median(ratios),
        "spread": rig.spread(ratios),
        "cpu_ratio": rig.median(cpu_ratios),
        "cpu_spread": rig.spread(cpu_ratios),
        "cpu_us_per_item": {name: round(1e6 * used, 1) for name, used in spent.items()},
        "page_ms_by_size": pages,
        "sequential_scans": scans,
    }


def _build(hub: rig.Rig, author: Company, said: range) -> None:
    http = hub.http()
    goal = hub.head + len(said)
    for body in batches(author, said.start, len(said)):
        hub.submit(http, author, body)
    hub.wait_for_head(goal, seconds=60 + len(said) / 100)


def _route(hub: rig.Rig, programme: Programme, after: int, author: Company, reader: Company, narrow: Company) -> None:
    """The signals once more in another programme, each for `reader` only but for one in a thousand for `narrow`."""
    parameters = {
        "from": hub.programme.pk,
        "to": programme.pk,
        "author": author.partner.pk,
        "reader": reader.partner.pk,
        "narrow": narrow.partner.pk,
        "every": ROUTED_EVERY,
        "after": after,
        "head": hub.head,
    }
    with Postgres(settings.HOME).bootstrap_connection("heliograph") as superuser:
        for statement in _ROUTE:
            superuser.execute(statement.encode(), parameters)


_CHOSEN = "CASE WHEN position % %(every)s = 1 THEN %(narrow)s::bigint ELSE %(reader)s::bigint END"
_COLUMNS = """issuer_id, statement_id, key_id, received_at, indicator_type, violation, tlp, permitted,
 is_awaiting_routing, state, removal, held_reasons, is_cleared, revision, position, index_key_id, value_index,
 verified_at, published_at, changed_at, expires_at, has_legal_hold"""
_ROUTE = (
    f"""INSERT INTO signals_signal (id, programme_id, audience, audience_partners, {_COLUMNS})
    SELECT gen_random_uuid(), %(to)s, 'only', ARRAY[%(author)s::bigint, {_CHOSEN.replace("% %", "%% %")}], {_COLUMNS}
      FROM signals_signal WHERE programme_id = %(from)s AND position > %(after)s""",
    """INSERT INTO signals_route (signal_id, partner_id, programme_id, position)
    SELECT id, unnest(audience_partners), programme_id, position
      FROM signals_signal WHERE programme_id = %(to)s AND position > %(after)s""",
    """INSERT INTO signals_head (programme_id, position, at, purged_to) VALUES (%(to)s, %(head)s, now(), 0)
    ON CONFLICT (programme_id) DO UPDATE SET position = excluded.position""",
)


def _walk(http: HTTPConnection, company: Company) -> int:
    """Follow a new walk to its end; how many items it held."""
    seen, more, after = 0, True, ""
    while more:
        answer, text = rig.request(http, company, "GET", _FEED.format("csea", PAGE) + after, Accept=NDJSON)
        _check(answer.status, text)
        items, _, last = text.rstrip(b"\n").rpartition(b"\n")
        page: Mapping[str, object] = json.loads(last)["page"]
        seen += items.count(b"\n") + 1 if items else 0
        after, more = f"&after={page['next']}", bool(page["more"])
    return seen


def _check(status: int, text: bytes) -> None:
    if status != 200:
        raise RuntimeError(f"The hub answered {status}: {text[:300]!r}")


def _page_ms(http: HTTPConnection, company: Company, slug: str, limit: int) -> float:
    """Milliseconds of a first page of so many items: the median of the faster half, for others use this machine too."""
    taken = []
    for _ in range(PROBES):
        started = time.perf_counter()
        answer, text = rig.request(http, company, "GET", _FEED.format(slug, limit), Accept=NDJSON)
        _check(answer.status, text)
        taken.append(1000 * (time.perf_counter() - started))
    return rig.median(sorted(taken)[: PROBES // 2])


def _scans(company: Company, slug: str) -> list[str]:
    """The tables that the page's plan reads from end to end, beyond those that hold a handful of rows."""
    with connection.cursor() as cursor:
        member = public.membership(company.partner.pk, slug, at=datetime.now(UTC))
        assert member is not None
        walk = Walk.objects.filter(partner_id=member.partner_id, programme_id=member.programme_id).latest("id")
        query, parameters = disclose.page_query(
            Place(walk, 0), reader=disclose.reader_of(member), limit=PAGE, up_to=None
        )
        cursor.execute("SET enable_sort = off")
        cursor.execute("EXPLAIN " + query, parameters)
        plan = [row[0] for row in cursor.fetchall()]
    small = ("signals_head", "signals_distrust")
    return [line.strip() for line in plan if "Seq Scan" in line and not any(table in line for table in small)]


def _ceiling(hub: rig.Rig, reader: Company) -> bare.WalkTask:
    """What the bare script must know: the opened data keys and the names of the issuers."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT DISTINCT substr(sealed, 1, get_byte(sealed, 1) + 2) FROM signals_statement")
        heads = [bytes(row[0]) for row in cursor.fetchall()]
    store = keyring.keyring().store
    keys = {}
    for head in heads:
        file = store.find(f"data/{head[2:].decode()}")
        assert file is not None
        keys[head[2:]] = store.unwrap(file)
    slugs = {company.partner.pk: company.slug for company in hub.companies.values()}
    return bare.WalkTask(settings.DATABASE_URL, hub.programme.pk, reader.partner.pk, slugs, keys, PAGE)


def _used(before: Mapping[str, float], after: Mapping[str, float], *names: str) -> float:
    return max(0.01, sum(after[name] - before[name] for name in names))
