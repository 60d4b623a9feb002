"""One company that speaks and one that listens, spared by every fault of their own: they tell when work goes on."""

from __future__ import annotations

import time
from collections.abc import Sequence
from types import TracebackType

from heliograph_client.hub import HubProblem

from tests.chaos.reading import Inbox, Puller
from tests.chaos.speaking import Author
from tests.chaos.stage import Findings, Stage, ask


class Pulse:
    """Measures how long it takes until a new statement is verified, pulled, delivered and in the ledger."""

    def __init__(self, stage: Stage) -> None:
        self.findings: Findings = stage.findings
        self.speaker, self.listener = stage.company("pulse-speaker"), stage.company("pulse-listener")
        self.client = stage.client(self.speaker, timeout=5)
        self.puller = Puller(stage, self.listener, seed="pulse", cuts=0, limits=(1000,))
        self.inbox = Inbox(stage, self.listener, batch_size=200)
        self.beats: list[bytes] = []

    def __enter__(self) -> Pulse:
        self.puller.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.puller.is_over.set()
        self.puller.join(10)
        self.inbox.close()

    def measure(self, *, backlog: Sequence[tuple[Author, str]], within: float) -> tuple[float, dict[str, float]]:
        """Seconds until all is well, and until each part was; more than `within` where one was not.

        `backlog`: submissions acknowledged before, which must be finished too.
        """
        began = time.monotonic()
        text = self.speaker.sign(self.speaker.signal())
        submission = self._submit(text, until=began + within)
        parts = {"acknowledged": time.monotonic() - began}
        self.beats.append(text)
        waiting = {"backlog", "verdict", "pulled", "delivered", "leaf"}
        while waiting and time.monotonic() - began <= within:
            for part in sorted(waiting):
                if self._has(part, text.decode(), submission, backlog):
                    parts[part] = time.monotonic() - began
                    waiting.discard(part)
            time.sleep(0.05)
        parts |= dict.fromkeys(waiting, float("inf"))
        return max(parts.values()), {name: round(seconds, 1) for name, seconds in parts.items()}

    def _submit(self, text: bytes, *, until: float) -> str:
        while True:
            try:
                return self.client.submit([text.decode()]).id
            except HubProblem as problem:
                if time.monotonic() > until:
                    return ""
                if problem.code not in {"unreachable", "unavailable"}:
                    self.findings.say(f"the pulse was told {problem}")
                time.sleep(0.1)

    def _is_done(self, submission: str) -> bool:
        try:
            return bool(submission) and self.client.submission(submission).is_done
        except HubProblem:
            return False

    def _has(self, part: str, text: str, submission: str, backlog: Sequence[tuple[Author, str]]) -> bool:
        if part == "pulled":
            return text in self.puller.shown
        if part == "delivered":
            return text in self.inbox.shown
        if part == "verdict":
            return self._is_done(submission)
        if part == "leaf":
            found = ask(
                "SELECT 1 FROM ledger_reading WHERE action = 'submission.received' AND subjects @> %s LIMIT 1",
                [f"submission:{submission}"],
            )
            return bool(found)
        return not any((identity in [pending for _, pending in list(author.pending)]) for author, identity in backlog)
