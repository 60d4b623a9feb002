"""The sending company's part: sign, spoil three statements, submit in batches and one by one, collect the verdicts."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from heliograph_client.hub import HubClient, Submission, Verdict

from hub.demo.companies import Companies, Company, now
from hub.demo.examples import Example
from hub.demo.receiving import Receiving
from hub.demo.screen import Bars

BATCH = 250
_AT_MOST_SINGLY = 40
_PATIENCE_SECONDS = 30.0
_SINGLE_PATIENCE_SECONDS = 2.0
_SINGLES_SECONDS = 12.0
_LOOK_SECONDS = 0.05


@dataclass(slots=True)
class Said:
    """One statement on its way: what it says, and what became of it ("accepted", "held: why", "refused: why")."""

    kind: str
    jws: str
    expected: str  # "" where nobody can know
    fate: str = "pending"
    signal: str | None = None


@dataclass(slots=True)
class Sent:
    """All that was sent, with the submissions as the hub last described them and the times that were taken."""

    said: list[Said] = field(default_factory=list)
    submissions: list[Submission] = field(default_factory=list)
    seconds: float = 0.0  # from the first POST to the last webhook, of what was sent in batches
    in_batches: int = 0
    latencies: list[float] = field(default_factory=list)  # seconds from POST to webhook, of what was sent singly

    def accepted(self) -> list[Said]:
        """What the other members must have."""
        return [each for each in self.said if each.fate == "accepted"]


def prepare(companies: Companies, examples: Sequence[Example]) -> tuple[list[Said], list[Said]]:
    """Sign everything: what goes in batches, three spoiled ones in its middle, and what goes singly."""
    said = [Said(each.type, companies.acme.signal(each, at=now()), each.fate) for each in examples]
    singly = min(_AT_MOST_SINGLY, len(said) // 4)
    batched, single = said[: len(said) - singly], said[len(said) - singly :]
    middle = len(batched) // 2
    return [*batched[:middle], *_spoiled(companies), *batched[middle:]], single


def _spoiled(companies: Companies) -> list[Said]:
    """A statement changed after it was signed, one signed with a key of somebody else, and no statement at all."""
    harmless = Example("keyword", "demo: nobody may ever read this")
    one = companies.acme.signal(harmless, at=now())
    other = companies.acme.signal(harmless, at=now())
    tampered = ".".join([*one.split(".")[:2], other.split(".")[2]])
    foreign = Company(companies.acme.slug, companies.cedar.key, companies.acme.hub, companies.acme.folder)
    return [
        Said("tampered", tampered, "refused: bad-signature"),
        Said("wrongly keyed", foreign.signal(harmless, at=now()), "refused: unknown-key"),
        Said("malformed", "this.is-no.statement", "refused: malformed-jws"),
    ]


def send_in_batches(hub: HubClient, said: list[Said], receiving: Receiving, sent: Sent, bars: Bars) -> None:
    """Hand in batch after batch, then wait for every verdict and for every accepted signal to arrive both ways."""
    began = time.monotonic()
    chunks = [said[start : start + BATCH] for start in range(0, len(said), BATCH)]
    submissions = []
    for chunk in chunks:
        submissions.append(hub.submit([each.jws for each in chunk]))
        _show(bars, receiving, sent=sum(map(len, chunks[: len(submissions)])))
    verified = 0
    for place, chunk in enumerate(chunks):
        submissions[place] = _wait_for_verdicts(hub, submissions[place], bars, receiving)
        _settle(chunk, submissions[place].verdicts)
        verified += len(chunk)
        _show(bars, receiving, verified=verified)
    sent.said += said
    sent.submissions += submissions
    sent.in_batches = len(said)
    _wait_for_arrival(sent, bars, receiving)
    arrivals = [at for (channel, _), at in receiving.store.arrived.items() if channel == receiving.channels["webhook"]]
    sent.seconds = max(arrivals, default=time.monotonic()) - began


def send_singly(hub: HubClient, said: list[Said], receiving: Receiving, sent: Sent, bars: Bars) -> None:
    """Hand in one after the other, each when the one before has arrived by webhook, and take the times.

    A busy machine gets as many as it can take in a while, and the rest as a batch.
    """
    deadline = time.monotonic() + _SINGLES_SECONDS
    for number, each in enumerate(said, start=1):
        if time.monotonic() > deadline:
            _send_rest(hub, said[number - 1 :], receiving, sent, bars)
            break
        place = (receiving.channels["webhook"], each.jws)
        began = time.monotonic()
        submission = hub.submit([each.jws])
        if not receiving.has_arrived("webhook", each.jws, seconds=_SINGLE_PATIENCE_SECONDS):
            submission = hub.wait_for_verdicts(submission, timeout=_PATIENCE_SECONDS)
            if submission.verdicts and submission.verdicts[0].verdict == "accepted":
                receiving.has_arrived("webhook", each.jws, seconds=_PATIENCE_SECONDS)
        if place in receiving.store.arrived:
            sent.latencies.append(receiving.store.arrived[place] - began)
        submission = hub.wait_for_verdicts(hub.submission(submission.id), timeout=_PATIENCE_SECONDS)
        _settle([each], submission.verdicts)
        sent.said.append(each)
        sent.submissions.append(submission)
        _show(bars, receiving, sent=sent.in_batches + number, verified=sent.in_batches + number)
    _wait_for_arrival(sent, bars, receiving)


def _send_rest(hub: HubClient, said: list[Said], receiving: Receiving, sent: Sent, bars: Bars) -> None:
    submission = _wait_for_verdicts(hub, hub.submit([each.jws for each in said]), bars, receiving)
    _settle(said, submission.verdicts)
    sent.said += said
    sent.submissions.append(submission)
    _show(bars, receiving, sent=len(sent.said), verified=len(sent.said))


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that at least this share of them does not exceed; 0 of none."""
    ordered = sorted(values)
    return ordered[max(0, -int(-share * len(ordered) // 1) - 1)] if ordered else 0.0


def _wait_for_verdicts(hub: HubClient, submission: Submission, bars: Bars, receiving: Receiving) -> Submission:
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while not submission.is_done and time.monotonic() < deadline:
        time.sleep(_LOOK_SECONDS)
        _show(bars, receiving)
        submission = hub.submission(submission.id)
    return submission


def _wait_for_arrival(sent: Sent, bars: Bars, receiving: Receiving) -> None:
    wanted = len(sent.accepted())
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while min(map(receiving.arrived, receiving.channels)) < wanted and time.monotonic() < deadline:
        _show(bars, receiving)
        time.sleep(_LOOK_SECONDS)
    _show(bars, receiving)


def _settle(said: Sequence[Said], verdicts: Sequence[Verdict]) -> None:
    for verdict in verdicts:
        reasons = {"held": ", ".join(verdict.held), "refused": verdict.code or ""}.get(verdict.verdict)
        said[verdict.line - 1].fate = verdict.verdict if reasons is None else f"{verdict.verdict}: {reasons}"
        said[verdict.line - 1].signal = verdict.signal


def _show(bars: Bars, receiving: Receiving, **done: int) -> None:
    bars.show(**done, by_webhook=receiving.arrived("webhook"), by_pull=receiving.arrived("pull"))
