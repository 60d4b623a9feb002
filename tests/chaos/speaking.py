"""Authors that submit signed statements without pause, and know what each of them must come to."""

from __future__ import annotations

import hashlib
import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from heliograph_client.hub import HubProblem, Submission, Verdict

from tests.chaos.stage import Findings, Stage
from tests.companies import Company

EMPTY_FILE = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"  # on the hub's list: always held
_KINDS = ("url", "sha256", "username")
_UNANSWERED = {"unreachable", "unavailable"}  # what a hub in trouble may say; anything else is a finding
_OUTSTANDING = 6  # submissions an author has in the air at once


@dataclass
class Life:
    """One signal as its author means it. Only what the hub has accepted counts."""

    issuer: str
    kind: str
    value: str
    jws: bytes = b""  # the latest accepted
    jti: str = ""
    first_jti: str = ""
    is_said: bool = False
    is_held: bool = False
    is_withdrawn: bool = False
    is_routed: bool = False
    allowed: frozenset[str] | None = None  # of a routed signal: who may see it; None until its routing is accepted
    busy: int = 0  # statements about it whose verdicts are not in
    signal: str = ""  # the hub's id

    def is_visible_to(self, slug: str) -> bool:
        """The reference model of what a reader may see."""
        if not self.is_said or self.is_held or self.is_withdrawn:
            return False
        if not self.is_routed:
            return True
        return self.allowed is not None and (slug == self.issuer or slug in self.allowed)

    def expected_state(self) -> str:
        """What the hub must call it in the end."""
        if self.is_withdrawn:
            return "withdrawn"
        if self.is_held:
            return "held"
        return "verified" if self.is_routed and self.allowed is None else "published"


@dataclass
class Said:
    """One line of a batch and what must come of it."""

    text: bytes
    life: Life | None = None
    jti: str = ""
    effect: Callable[[], None] = field(default=lambda: None)  # on the model, when it is accepted
    code: str = ""  # of the refusal that it must meet; empty: it must be accepted
    is_settled: bool = False


@dataclass
class Batch:
    """Lines sent together, and every submission of them that the hub acknowledged."""

    lines: list[Said]
    submissions: list[str] = field(default_factory=list)
    acknowledged_at: float = 0.0


class Author(threading.Thread):
    """Speaks for one company until told to stop or `most` lines are said; then waits for its verdicts."""

    def __init__(
        self, stage: Stage, company: Company, others: list[str], *, seed: str, most: int, pause: float
    ) -> None:
        super().__init__(name=f"author-{company.slug}", daemon=True)
        self.stage, self.company, self.others, self.most, self.pause = stage, company, others, most, pause
        self.findings: Findings = stage.findings
        self.chance = random.Random(f"{seed}/{company.slug}")
        self.client = stage.client(company)
        self.lives: list[Life] = []
        self.batches: list[Batch] = []
        self.pending: list[tuple[Batch, str]] = []  # a batch and a submission of it without verdicts
        self.later: list[Said] = []
        self.slowest = 0.0  # seconds that the hub took to acknowledge, at worst
        self.slowest_refusal = 0.0  # and to say that it cannot now
        self.unanswered: dict[str, int] = {}
        self.count = 0
        self.is_over = threading.Event()

    def run(self) -> None:
        try:
            while not self.is_over.is_set() and self.count < self.most:
                self._turn()
                self.is_over.wait(self.pause * self.chance.uniform(0.3, 1.7))
            if self.later:
                self._send(Batch(self._take_later()))
            while self.pending:
                self._poll()
                time.sleep(0.2)
        except Exception as error:  # noqa: BLE001  a thread's death must be heard of
            self.findings.say(f"author {self.company.slug} died: {error!r}")

    def _turn(self) -> None:
        if len(self.pending) < _OUTSTANDING:
            if self.batches and self.chance.random() < 0.12:
                self._send(self.chance.choice(self.batches[-20:]))  # the whole of it once more
            else:
                self._send(self._compose())
        self._poll()

    # ------------------------------------------------------------ composing
    def _compose(self) -> Batch:
        lines = self._take_later()
        for _ in range(self.chance.choice((1, 1, 2, 4, 8, 16))):
            lines += self._something()
        self.count += len(lines)
        return Batch(lines)

    def _take_later(self) -> list[Said]:
        later, self.later = self.later, []
        return later

    def _something(self) -> list[Said]:
        dice = self.chance.random()
        if dice < 0.60:
            return self._new_signal()
        if dice < 0.68:
            return [self._bad()]
        idle = [life for life in self.lives[-300:] if life.is_said and not life.busy and not life.is_withdrawn]
        if not idle:
            return self._new_signal()
        life = self.chance.choice(idle)
        if dice < 0.82:
            return [self._revision(life)]
        if dice < 0.92 or not life.is_routed:
            return [self._withdrawal(life, life.jws)]
        return [self._wider(life)]

    def _new_signal(self) -> list[Said]:
        number = len(self.lives) + 1
        kind = self.chance.choice(_KINDS)
        is_held = self.chance.random() < 0.05
        kind, value = ("sha256", EMPTY_FILE) if is_held else (kind, _value(kind, self.company.slug, number))
        life = Life(self.company.slug, kind, value, is_routed=self.chance.random() < 0.2)
        self.lives.append(life)
        said = self._signal(life)
        if self.chance.random() < 0.05:  # its withdrawal arrives first, or at the same time
            self.later.append(said)
            return [self._withdrawal(life, said.text)]
        if not life.is_routed:
            return [said]
        routing = self._routing(life, said.text, self._some_others())
        if self.chance.random() < 0.3:
            self.later.append(routing)
            return [said]
        return [said, routing] if self.chance.random() < 0.8 else [routing, said]

    def _signal(self, life: Life, **members: Any) -> Said:
        asked = {"type": life.kind, "audience": "routed" if life.is_routed else "programme", **members}
        if life.kind == "username":
            asked["service"] = "chat.example"
        payload = self.company.signal(life.value, **asked)
        text, jti = self.company.sign(payload), str(payload["jti"])

        def effect() -> None:
            life.jws, life.jti, life.is_said = text, jti, True
            life.first_jti = life.first_jti or jti

        life.busy += 1
        return Said(text, life, jti, effect)

    def _revision(self, life: Life) -> Said:
        return self._signal(life, supersedes=life.jti, confidence=self.chance.randint(1, 100))

    def _withdrawal(self, life: Life, jws: bytes) -> Said:
        def effect() -> None:
            life.is_withdrawn = True

        life.busy += 1
        return Said(self.company.withdrawal(jws), life, "", effect)

    def _wider(self, life: Life) -> Said:
        return self._routing(life, life.jws, (life.allowed or frozenset()) | {self.chance.choice(self.others)})

    def _routing(self, life: Life, jws: bytes, allowed: frozenset[str]) -> Said:
        def effect() -> None:
            life.allowed = allowed

        life.busy += 1
        return Said(self.company.routing(jws, only=sorted(allowed)), life, "", effect)

    def _some_others(self) -> frozenset[str]:
        return frozenset(self.chance.sample(self.others, self.chance.randint(1, len(self.others))))

    def _bad(self) -> Said:
        good = self.company.sign(self.company.signal(f"https://bad.example/{self.company.slug}/bad"))
        taken = [life for life in self.lives if life.is_said]
        choice = self.chance.randrange(4 if taken else 3)
        if choice == 0:
            return Said(b"this is not a statement", code="malformed-jws")
        if choice == 1:
            head, payload, seal = good.split(b".")
            return Said(
                b".".join((head, payload, (b"A" if seal[:1] != b"A" else b"B") + seal[1:])), code="bad-signature"
            )
        if choice == 2:
            unknown = self.company.signal(supersedes="nothing-that-was-ever-said")
            return Said(self.company.sign(unknown), code="unknown-signal")
        other = {**self.company.signal(), "jti": self.chance.choice(taken).jti}
        return Said(self.company.sign(other), code="jti-reused")

    # ------------------------------------------------------------ sending
    def _send(self, batch: Batch) -> None:
        """Until the hub acknowledges it; what was not answered is sent again, as the client would."""
        while True:
            began = time.monotonic()
            try:
                submission = self.client.submit([line.text.decode() for line in batch.lines])
            except HubProblem as problem:
                self._note(problem, time.monotonic() - began)
                time.sleep(0.3)
                continue
            self.slowest = max(self.slowest, time.monotonic() - began)
            batch.submissions.append(submission.id)
            batch.acknowledged_at = time.monotonic()
            if len(batch.submissions) == 1:
                self.batches.append(batch)
            self.pending.append((batch, submission.id))
            return

    def _note(self, problem: HubProblem, seconds: float) -> None:
        self.unanswered[problem.code] = self.unanswered.get(problem.code, 0) + 1
        if problem.code not in _UNANSWERED:
            self.findings.say(f"{self.company.slug} was told {problem}")
        if problem.code == "unavailable":
            self.slowest_refusal = max(self.slowest_refusal, seconds)

    def _poll(self) -> None:
        for batch, identity in list(self.pending):
            try:
                document = self.client.submission(identity)
            except HubProblem as problem:
                self._note(problem, 0.0)
                return
            if not document.is_done:
                return
            self.pending.remove((batch, identity))
            self._settle(batch, document)

    def _settle(self, batch: Batch, document: Submission) -> None:
        for complaint in complaints(batch, document):
            self.findings.say(f"{self.company.slug}: {complaint}")
        for said, verdict in zip(batch.lines, document.verdicts, strict=False):
            if said.is_settled:
                continue
            said.is_settled = True
            life = said.life
            if life is None:
                continue
            life.busy -= 1
            if verdict.verdict in {"accepted", "held"}:
                said.effect()
                life.is_held = life.is_held or verdict.verdict == "held"
                life.signal = verdict.signal or life.signal


def complaints(batch: Batch, document: Submission) -> list[str]:
    """How a submission's verdicts differ from what its lines must meet; empty when they do not."""
    if len(document.verdicts) != len(batch.lines):
        return [f"submission {document.id} has {len(document.verdicts)} verdicts on {len(batch.lines)} lines"]
    return [
        f"line {verdict.line} of submission {document.id} ({said.jti or said.code}) met {_told(verdict)}"
        for said, verdict in zip(batch.lines, document.verdicts, strict=True)
        if (verdict.code or "") != said.code or (said.jti and verdict.jti != said.jti)
    ]


def _told(verdict: Verdict) -> str:
    return f"{verdict.verdict} {verdict.code or ''} {verdict.detail or ''}".strip()


def _value(kind: str, slug: str, number: int) -> str:
    if kind == "sha256":
        return hashlib.sha256(f"{slug} {number}".encode()).hexdigest()
    return f"https://bad.example/{slug}/{number}" if kind == "url" else f"{slug}.{number}"
