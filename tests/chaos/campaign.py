"""The campaign: companies share signals while a seeded schedule of faults strikes; then everything must be right."""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.chaos import faults, invariants
from tests.chaos.pulse import Pulse
from tests.chaos.reading import Inbox, Puller
from tests.chaos.speaking import Author
from tests.chaos.stage import Stage, patience, running_hub, wait_until

SLUGS = ("acme-social", "birch-chat", "cedar-video", "delta-games")
WITHDRAWN_SECONDS = 60  # until no reader that can be reached holds what was withdrawn
QUIET_SECONDS = 120  # for everything to come to rest after the last fault
_LINES_PER_FAULT = 150


@dataclass
class Cast:
    """The companies of a campaign: who speaks, who reads, and who takes the hub's pulse."""

    authors: list[Author]
    pullers: list[Puller]
    inboxes: list[Inbox]
    pulse: Pulse

    @property
    def slugs(self) -> list[str]:
        return [author.company.slug for author in self.authors]


@dataclass
class Report:
    """What a campaign did and found."""

    seed: str
    struck: int = 0
    seconds: float = 0.0
    lines: int = 0
    recoveries: list[tuple[list[str], float]] = field(default_factory=list)
    facts: dict[str, object] = field(default_factory=dict)

    def table(self) -> Iterator[str]:
        """Recovery times by kind of fault, the worst first; a volley counts for each kind in it."""
        by_kind: dict[str, list[float]] = {}
        for volley, seconds in self.recoveries:
            for name in volley:
                by_kind.setdefault(name, []).append(seconds)
        for name, times in sorted(by_kind.items(), key=lambda pair: -max(pair[1])):
            middle = statistics.median(times)
            yield f"  {name:<22} {len(times):>4} ×   median {middle:5.1f} s   longest {max(times):5.1f} s"


def run(folder: Path, *, seed: str, count: int, minutes: float, only: str = "") -> Report:
    """Strike `count` faults, at most for `minutes`, come to rest, check; raises `Broken` with all that was found."""
    began = time.monotonic()
    chance = random.Random(f"{seed}/faults")
    report = Report(seed)
    with running_hub(folder) as stage, cast(stage, seed=seed, most=count * _LINES_PER_FAULT) as company:
        print(f"the hub is up after {time.monotonic() - began:.0f} s", flush=True)
        if stage.clocks is None:
            print("libfaketime is not installed (Debian: apt-get install faketime): no clock jumps", flush=True)
        trouble = faults.Trouble(stage, company.inboxes, company.pullers, chance)
        company.pulse.measure(backlog=[], within=60)
        strikes_from = time.monotonic()
        for volley in faults.schedule(chance, count, only=only):
            if time.monotonic() - strikes_from > minutes * 60 * patience():
                stage.findings.say(f"after {minutes:g} min only {report.struck} of {count} faults have been struck")
                break
            _strike(volley, trouble, company, report)
        come_to_rest(stage, company)
        report.facts = invariants.check(stage, company.authors, company.pullers, company.inboxes, pulse=company.pulse)
        report.lines = sum(author.count for author in company.authors)
        report.facts["slowest acknowledgement"] = f"{max(author.slowest for author in company.authors):.1f} s"
        report.facts["slowest 503"] = f"{max(author.slowest_refusal for author in company.authors):.1f} s"
        report.facts["not answered"] = _sum(author.unanswered for author in company.authors)
        report.facts["readers restarted"] = sum(puller.restarts for puller in company.pullers)
    report.seconds = time.monotonic() - began
    invariants.judge(stage.findings)
    return report


def _strike(volley: list[str], trouble: faults.Trouble, company: Cast, report: Report) -> None:
    for name in volley:
        trouble.strike(name)
        report.struck += 1
        time.sleep(trouble.chance.uniform(0.0, 0.6))
    trouble.wait_for_end()
    backlog = [(author, identity) for author in company.authors for _, identity in list(author.pending)]
    bound = faults.bound(volley) * patience()
    seconds, parts = company.pulse.measure(backlog=backlog, within=bound)
    report.recoveries.append((volley, seconds))
    print(f"{report.struck:>5}  {' + '.join(volley):<60} {seconds:5.1f} s  {parts}", flush=True)
    if seconds > bound:
        company.pulse.findings.say(f"after {' + '.join(volley)} work had not resumed within {bound:.0f} s: {parts}")


@contextmanager
def cast(stage: Stage, *, seed: str, most: int, pause: float = 0.5) -> Iterator[Cast]:
    """Enrol everybody and set them going."""
    companies = [stage.company(slug) for slug in SLUGS]
    authors = []
    for company in companies:
        others = [slug for slug in SLUGS if slug != company.slug]
        authors.append(Author(stage, company, others, seed=seed, most=most // len(SLUGS), pause=pause))
    with ExitStack() as stack:
        pulse = stack.enter_context(Pulse(stage))
        pullers = [Puller(stage, company, seed=seed) for company in companies]
        inboxes = [
            Inbox(stage, company, batch_size=size) for company, size in zip(companies, (1000, 20, 5), strict=False)
        ]
        for inbox in inboxes:
            stack.callback(inbox.close)
        threads: list[Author | Puller] = [*authors, *pullers]
        for thread in threads:
            stack.callback(thread.join, 10)
            stack.callback(thread.is_over.set)
            thread.start()
        yield Cast(authors, pullers, inboxes, pulse)


def come_to_rest(stage: Stage, company: Cast) -> None:
    """Let the authors finish, the receivers be well, and every reader catch up; says what did not."""
    for author in company.authors:
        author.is_over.set()
    for inbox in company.inboxes:
        inbox.recover()
    if (
        wait_until(lambda: not any(author.is_alive() for author in company.authors), seconds=QUIET_SECONDS * patience())
        is None
    ):
        left = sum(len(author.pending) for author in company.authors)
        stage.findings.say(f"{left} acknowledged submissions are still without verdicts after {QUIET_SECONDS} s")

    began, late = time.monotonic(), list[int]()

    def is_at_rest() -> bool:
        for inbox in company.inboxes:
            inbox.resume()
        remaining = invariants.remains(company.authors, company.pullers, company.inboxes)
        if remaining and time.monotonic() - began > WITHDRAWN_SECONDS * patience() and not late:
            late.append(remaining)
            stage.findings.say(f"{remaining} copies hold withdrawn signals after {WITHDRAWN_SECONDS} s")
        return not remaining and not invariants.differences(company.authors, company.pullers, company.inboxes)

    if wait_until(is_at_rest, seconds=QUIET_SECONDS * patience(), every=1.0) is None:
        for text in invariants.differences(company.authors, company.pullers, company.inboxes):
            stage.findings.say(text)
    if wait_until(invariants.is_ledger_complete, seconds=30) is None:
        stage.findings.say("events still wait for the sequencer 30 s after everything else has come to rest")


def _sum(counts: Iterator[dict[str, int]] | list[dict[str, int]]) -> dict[str, int]:
    total: dict[str, int] = {}
    for each in counts:
        for code, number in each.items():
            total[code] = total.get(code, 0) + number
    return total
