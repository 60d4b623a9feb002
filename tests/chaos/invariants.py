"""What must be true when all is quiet, asked from outside: by the API, in the readers' copies, and in the ledger."""

from __future__ import annotations

import base64
import itertools
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from django.db import close_old_connections, connection

from hub.demo.ledger_check import Log, read_log
from signals import monitoring
from signals.compliance.minutes import is_whole
from signals.models import DisclosedMinute, Verdict
from tests.chaos.pulse import Pulse
from tests.chaos.reading import Inbox, Puller, fresh_copy
from tests.chaos.speaking import Author, Life, complaints
from tests.chaos.stage import Broken, Findings, Stage, ask, wait_until

_STUCK_SECONDS = {"sweep": 15.0}  # everything else: a row is overdue when it waits longer than this
_OVERDUE_SECONDS = 5.0


def judge(findings: Findings) -> None:
    """Raise `Broken` with everything found, unless nothing was."""
    if findings.broken:
        raise Broken("\n".join([f"{len(findings.broken)} findings:", *findings.broken]))


def differences(authors: Sequence[Author], pullers: Iterable[Puller], inboxes: Iterable[Inbox]) -> list[str]:
    """How readers' copies differ from what they may see; empty when none does."""
    found = []
    lives = [life for author in authors for life in author.lives]
    readers = [(puller.company.slug, "pull", puller.copy(), puller.shown) for puller in pullers]
    readers += [(inbox.company.slug, "webhook", inbox.copy(), inbox.shown) for inbox in inboxes]
    for slug, way, copy, shown in readers:
        mine = {jws: identity for identity, jws in copy.items() if not jws_is_a_pulse(authors, jws)}
        expected = {life.jws for life in lives if life.issuer != slug and life.is_visible_to(slug)}
        found += _difference(f"the copy of {slug} by {way}", set(mine), expected)
        forbidden = [life for life in lives if not _might_see(life, slug) and life.jws.decode() in shown]
        found += [f"{slug} was shown by {way} a signal of {life.issuer} that it may not see" for life in forbidden]
    return found


def remains(authors: Sequence[Author], pullers: Iterable[Puller], inboxes: Iterable[Inbox]) -> int:
    """In how many copies something stands that its author has withdrawn."""
    withdrawn = {life.jws for author in authors for life in author.lives if life.is_said and life.is_withdrawn}
    readers: Iterable[Puller | Inbox] = (*pullers, *inboxes)
    return sum(not withdrawn.isdisjoint(reader.copy().values()) for reader in readers)


def jws_is_a_pulse(authors: Sequence[Author], jws: bytes) -> bool:
    """Whether a statement is none of the authors'."""
    known = {author.company.key.kid for author in authors}
    return not known.intersection(_kid(jws))


def is_ledger_complete() -> bool:
    """Whether every event has its leaf."""
    return ask("SELECT waiting FROM ledger_backlog") == [(0,)]


def check(
    stage: Stage, authors: Sequence[Author], pullers: Sequence[Puller], inboxes: Sequence[Inbox], *, pulse: Pulse
) -> dict[str, object]:
    """Check everything; what is not so goes to the findings. Returns figures for the report."""
    close_old_connections()
    say = stage.findings.say
    facts: dict[str, object] = {}
    for text in itertools.chain(
        _verdicts(stage, authors, facts),
        _own_feeds(stage, authors),
        _pulse(pulse),
        _positions(),
        _stuck(),
        _ledger(facts),
    ):
        say(text)
    return facts


# ---------------------------------------------------------------- statements and signals
def _verdicts(stage: Stage, authors: Sequence[Author], facts: dict[str, object]) -> Iterator[str]:
    """Every acknowledged statement has one verdict per time it was sent, always the same, on one signal."""
    statements = 0
    for author in authors:
        client = stage.client(author.company)
        signals: dict[str, set[str]] = {}
        states: dict[str, str] = {}
        for batch in author.batches:
            for identity in batch.submissions:
                document = client.submission(identity)
                if not document.is_done:
                    yield f"submission {identity} of {author.company.slug} is not done"
                    continue
                yield from complaints(batch, document)
                statements += len(document.verdicts)
                for said, verdict in zip(batch.lines, document.verdicts, strict=False):
                    if said.life is not None and verdict.signal:
                        signals.setdefault(said.text.decode(), set()).add(verdict.signal)
                        states[verdict.signal] = str(verdict.state)
                    elif said.life is not None:
                        yield f"a statement of {author.company.slug} in submission {identity} never met its signal"
        yield from (
            f"one statement of {author.company.slug} made {len(ids)} signals"
            for ids in signals.values()
            if len(ids) > 1
        )
        for life in author.lives:
            if life.is_said and states.get(life.signal) != life.expected_state():
                yield f"a signal of {author.company.slug} is {states.get(life.signal)}, not {life.expected_state()}"
    facts["verdicts"] = statements
    facts["signals"] = sum(life.is_said for author in authors for life in author.lives)
    facts["withdrawn"] = sum(life.is_withdrawn for author in authors for life in author.lives)


def _own_feeds(stage: Stage, authors: Sequence[Author]) -> Iterator[str]:
    """A new walk lists exactly what its reader may see, its own signals too, each once."""
    lives = [life for author in authors for life in author.lives]
    for author in authors:
        slug = author.company.slug
        copy, doubled = fresh_copy(stage.client(author.company))
        if doubled:
            yield f"a new walk of {slug} listed {len(doubled)} signals twice"
        seen = Counter(jws for jws in copy.values() if not jws_is_a_pulse(authors, jws))
        yield from (
            f"a new walk of {slug} listed one statement as {count} signals" for count in seen.values() if count > 1
        )
        yield from _difference(
            f"a new walk of {slug}", set(seen), {life.jws for life in lives if life.is_visible_to(slug)}
        )


def _pulse(pulse: Pulse) -> Iterator[str]:
    expected = set(pulse.beats)
    for way, copy in (("pull", pulse.puller.copy()), ("webhook", pulse.inbox.copy())):
        missing = expected - set(copy.values())
        if missing:
            yield f"{len(missing)} beats of the pulse are missing from its copy by {way}"


def _positions() -> Iterator[str]:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT head.position, count(*), count(DISTINCT change.position), min(change.position),"
            " max(change.position) FROM signals_head head JOIN signals_change change USING (programme_id)"
            " GROUP BY head.position"
        )
        for head, rows, positions, first, last in cursor.fetchall():
            if not head == rows == positions == last or first != 1:
                yield f"gaps or doubles: head {head}, {rows} changes on {positions} positions {first}–{last}"
        cursor.execute(
            "SELECT count(*) FROM (SELECT at < lag(at) OVER (PARTITION BY programme_id ORDER BY position) AS is_back"
            " FROM signals_change) AS change WHERE is_back"
        )
        backwards = int(cursor.fetchone()[0])
        if backwards:
            yield f"the time of {backwards} positions is before that of the position before"


def _stuck() -> Iterator[str]:
    def late() -> dict[str, float]:
        close_old_connections()
        return {
            step: age for step, age in monitoring.overdue().items() if age > _STUCK_SECONDS.get(step, _OVERDUE_SECONDS)
        }

    if wait_until(lambda: not late(), seconds=30, every=0.5) is None:
        yield f"overdue at rest: {late()}"


# ---------------------------------------------------------------- the ledger
def _ledger(facts: dict[str, object]) -> Iterator[str]:
    """The tree stands, and everything that was committed has its leaf, once."""
    log = read_log()
    facts["leaves"] = log.size
    if not log.are_hashes_right or log.size != len(log.leaves):
        yield "leaves are missing, doubled or do not hash to what is stated"
    if log.root != log.root_of_leaves:
        yield "the root over the leaves is not the one that the sequencer states"
    yield from _verdict_leaves(log)
    yield from _counted_leaves(log)


def _verdict_leaves(log: Log) -> Iterator[str]:
    """A line has the leaf of its verdict; lines that say the same statement have one between them."""
    said = _lines_that_say_the_same()

    def key(place: tuple[str, int], verdict: str, code: str) -> tuple[object, ...]:
        return ("statement", said[place]) if place in said else (*place, verdict, code)

    logged: Counter[tuple[object, ...]] = Counter()
    for verdict in ("accepted", "held", "refused"):
        for leaf in log.of(f"statement.{verdict}"):
            place = (str(leaf.facts["submission"]), int(str(leaf.facts["line"])))
            logged[key(place, verdict, str(leaf.facts.get("code", "")))] += 1
    rows = Verdict.objects.all().iterator()
    stored = Counter({key((str(row.submission_id), row.line), row.verdict, row.code) for row in rows})
    for text, left in (("without its leaf", stored - logged), ("logged and not stored, or twice", logged - stored)):
        if left:
            yield f"{left.total()} verdicts {text}, such as {next(iter(left))}"


def _lines_that_say_the_same() -> dict[tuple[str, int], str]:
    """The statement of each line that is not the only one to say it; which was first, no jumping clock can tell."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT submission_id::text, line, statement_id::text FROM (SELECT submission_id, line, statement_id,"
            " count(*) OVER (PARTITION BY statement_id) AS times FROM signals_verdict WHERE statement_id IS NOT NULL)"
            " AS said WHERE times > 1"
        )
        return {(str(submission), int(line)): str(statement) for submission, line, statement in cursor.fetchall()}


def _counted_leaves(log: Log) -> Iterator[str]:
    published = sum(int(str(leaf.facts["count"])) for leaf in log.of("signal.published"))
    leaves = [leaf for what in ("feed", "delivery", "notices") for leaf in log.of(f"{what}.disclosed")]
    disclosed = sum(int(str(leaf.facts["disclosures"])) for leaf in leaves)
    whole = DisclosedMinute.objects.in_bulk()
    named = [mention.id.partition(":")[2] for leaf in leaves for mention in leaf.subjects]
    if sorted(name for name in named if name in {str(each) for each in whole}) != sorted(map(str, whole)):
        yield "a minute of disclosures has no leaf, or two"
    if not all(map(is_whole, whole.values())):
        yield "a minute's disclosures have another root than its leaf states"
    pairs = {
        "published signals": (published, "SELECT count(*) FROM signals_signal WHERE published_at IS NOT NULL"),
        "submissions": (len(log.of("submission.received")), "SELECT count(*) FROM signals_submission"),
        "withdrawn signals": (
            len(log.of("signal.withdrawn")),
            "SELECT count(*) FROM signals_signal WHERE state = 'withdrawn'",
        ),
        "disclosures": (disclosed, "SELECT count(*) FROM signals_disclosure"),
    }
    with connection.cursor() as cursor:
        for name, (logged, query) in pairs.items():
            cursor.execute(query)
            stored = int(cursor.fetchone()[0])
            if stored != logged:
                yield f"{stored} {name} have {logged} leaves"


def _difference(what: str, found: set[bytes], expected: set[bytes]) -> list[str]:
    missing, extra = len(expected - found), len(found - expected)
    return [f"{what} lacks {missing} and has {extra} too many of {len(expected)}"] if missing or extra else []


def _might_see(life: Life, slug: str) -> bool:
    """Whether it may see the signal, or might have before it was withdrawn."""
    return not life.is_said or not life.is_routed or (life.allowed is not None and slug in {life.issuer, *life.allowed})


def _kid(jws: bytes) -> set[str]:
    head = jws.split(b".", 1)[0]
    return {str(json.loads(base64.urlsafe_b64decode(head + b"=" * (-len(head) % 4)))["kid"])}
