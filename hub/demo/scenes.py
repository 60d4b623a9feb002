"""The demo, scene by scene: enrol, send, receive, compare, try the doors as an outsider, withdraw, check the ledger."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from heliograph_client.hub import HubClient, HubProblem

from hub.demo import ledger_check
from hub.demo.companies import ELSEWHERE, PROGRAMME, Companies, enrol, now
from hub.demo.examples import Example
from hub.demo.expectations import Expectations
from hub.demo.receiving import Receiving
from hub.demo.screen import Screen, figures
from hub.demo.sending import Said, Sent, percentile, prepare, send_in_batches, send_singly

_TOMBSTONE_SECONDS = 30
_UNKNOWN = "no-such-programme"
_WAYS = ("webhook", "pull")


@dataclass(slots=True)
class Play:
    """All that the scenes share; `play` runs them in order."""

    url: str
    folder: Path
    screen: Screen
    expectations: Expectations
    receiving: Receiving | None = None

    def play(self, examples: Sequence[Example]) -> list[tuple[str, str]]:
        """Run every scene; returns the rows of the closing table."""
        self.screen.scene("Three companies, enrolled by the operator's commands")
        companies = enrol(self.url, self.folder, on_step=self.screen.say)
        receiving = self.receiving = Receiving(companies.birch, companies.acme)
        self.screen.say(f"birch-chat listens on {receiving.receiver.url} and follows the feed")
        self.screen.say(f"birch-chat has pinned acme-social's key: {companies.acme.key.fingerprint[:39]} …")

        sent = self._send(companies, receiving, examples)
        self._compare(sent, receiving)
        self._try_as_outsider(companies, sent, receiving)
        withdrawal, gone = self._withdraw(companies, sent, receiving)
        self.screen.scene("The ledger")
        log = ledger_check.check(self.expectations, sent.submissions, receiving, gone)
        return [*_table(sent, receiving, withdrawal), ("ledger", f"{log.size:,} leaves, root {log.root[:16]}…")]

    def _send(self, companies: Companies, receiving: Receiving, examples: Sequence[Example]) -> Sent:
        batched, single = prepare(companies, examples)
        count = len(batched) + len(single)
        self.screen.scene(f"acme-social signs and sends {count:,} statements, three of them spoiled")
        due = sum(each.expected in {"accepted", ""} for each in (*batched, *single))
        sent = Sent()
        with self.screen.bars({"sent": count, "verified": count, "by webhook": due, "by pull": due}) as bars:
            send_in_batches(companies.acme.hub, batched, receiving, sent, bars)
            send_singly(companies.acme.hub, single, receiving, sent, bars)
        return sent

    def _compare(self, sent: Sent, receiving: Receiving) -> None:
        self.screen.scene("What arrived at birch-chat")
        expect = self.expectations.expect
        for count, fate in figures([f"{each.fate} ({each.kind})" for each in sent.said if each.fate != "accepted"]):
            self.screen.say(f"{count:>4} {fate}")
        astray = [f"{each.kind}: {each.fate}, not {each.expected}" for each in sent.said if _is_astray(each)]
        expect(not astray, "every statement met the fate it had to meet", found="; ".join(astray[:5]))
        wanted = {each.jws for each in sent.accepted()}
        for way in _WAYS:
            copy = set(receiving.copy(way))
            sentence = f"by {way}: exactly the {len(wanted):,} signals that were accepted, byte for byte as signed"
            expect(copy == wanted, sentence, found=f"{len(wanted - copy)} missing, {len(copy - wanted)} too many")
        doubtful = receiving.unverified()
        expect(not doubtful, "every author's signature fits the pinned key", found=doubtful[:5])

    def _try_as_outsider(self, companies: Companies, sent: Sent, receiving: Receiving) -> None:
        self.screen.scene("cedar-video, a member of another programme, tries every door")
        hub, expect = companies.cedar.hub, self.expectations.expect
        signal = next((each.signal for each in sent.accepted() if each.signal), _NOBODY)
        doors: dict[str, tuple[Callable[[], object], Callable[[], object]]] = {
            "the feed": (lambda: hub.feed(PROGRAMME), lambda: hub.feed(_UNKNOWN)),
            "the members": (lambda: hub.members(PROGRAMME), lambda: hub.members(_UNKNOWN)),
            "the programme": (lambda: hub.programme(PROGRAMME), lambda: hub.programme(_UNKNOWN)),
            "a webhook": (lambda: _add_endpoint(hub, PROGRAMME), lambda: _add_endpoint(hub, _UNKNOWN)),
            "a signal": (lambda: hub.signal(signal), lambda: hub.signal(_NOBODY)),
            "a submission": (lambda: hub.submission(sent.submissions[0].id), lambda: hub.submission(_NOBODY)),
            "an endpoint": (lambda: hub.endpoint(receiving.endpoint_id), lambda: hub.endpoint(_NOBODY)),
            "the author's keys": (lambda: hub.jwks("acme-social"), lambda: hub.jwks("nobody")),
        }
        for door, (there, nowhere) in doors.items():
            answer, same = _answer(there), _answer(nowhere)
            sentence = f"{door}: {answer}, the same as for what does not exist"
            expect(answer == same and answer.startswith("404"), sentence, found=f"{answer} and {same}")
        slugs = [programme["slug"] for programme in hub.programmes()]
        expect(slugs == [ELSEWHERE], f"its programmes are {ELSEWHERE} alone", found=slugs)
        items = hub.feed(ELSEWHERE).items
        expect(not items, f"its own feed, of {ELSEWHERE}, holds nothing", found=f"{len(items)} items")
        self._try_to_submit(companies, sent)

    def _try_to_submit(self, companies: Companies, sent: Sent) -> None:
        intruding = companies.cedar.signal(Example("keyword", "demo: said by an outsider"), at=now())
        submission = companies.cedar.hub.submit([intruding], wait=10)
        submission = companies.cedar.hub.wait_for_verdicts(submission)
        sent.submissions.append(submission)
        codes = [verdict.code for verdict in submission.verdicts]
        self.expectations.expect(codes == ["not-a-member"], "what it submits is refused: not-a-member", found=codes)

    def _withdraw(self, companies: Companies, sent: Sent, receiving: Receiving) -> tuple[float, str | None]:
        self.screen.scene("acme-social withdraws one signal")
        chosen = next((each for each in sent.accepted() if each.signal is not None), None)
        if chosen is None or chosen.signal is None:
            self.screen.say("nothing was accepted, so there is nothing to withdraw")
            return 0.0, None
        signal, began = chosen.signal, time.monotonic()
        submission = companies.acme.hub.submit([companies.acme.withdrawal(chosen.jws, at=now())])
        seconds = 0.0
        for way in _WAYS:
            has_come = receiving.is_told(way, signal, "withdrawn", seconds=_TOMBSTONE_SECONDS)
            seconds = time.monotonic() - began
            self.expectations.expect(has_come, f"by {way}: the tombstone came, the signal is gone")
        sent.submissions.append(companies.acme.hub.wait_for_verdicts(submission))
        wanted = {each.jws for each in sent.accepted() if each is not chosen}
        are_equal = all(set(receiving.copy(way)) == wanted for way in _WAYS)
        self.expectations.expect(are_equal, f"{len(wanted):,} signals are left, both ways")
        return seconds, signal


_NOBODY = "00000000-0000-4000-8000-000000000000"


def _is_astray(said: Said) -> bool:
    return said.fate == "pending" or said.expected not in {"", said.fate}


def _add_endpoint(hub: HubClient, programme: str) -> object:
    return hub.create_endpoint(programme, "http://127.0.0.1:9/")


def _answer(ask: Callable[[], object]) -> str:
    try:
        ask()
    except HubProblem as problem:
        return f"{problem.status} {problem.code}"
    return "200"


def _table(sent: Sent, receiving: Receiving, withdrawal: float) -> list[tuple[str, str]]:
    verdicts = [each.fate.split(":")[0] for each in sent.said]
    reasons = {
        word: ", ".join(f"{count} {why}" for count, why in figures([each.fate.partition(": ")[2] for each in sent.said
                                                                    if each.fate.startswith(word)]))
        for word in ("held", "refused")
    }  # fmt: skip
    rows = [("sent", f"{len(sent.said):,} statements")]
    rows += [(word, f"{verdicts.count(word)}" + (f" ({why})" if why else "")) for word, why in reasons.items()]
    rows += [(f"delivered by {way}", f"{receiving.arrived(way):,}") for way in _WAYS]
    if sent.latencies:
        times = (
            f"p50 {percentile(sent.latencies, 0.5) * 1000:.0f} ms, p99 {percentile(sent.latencies, 0.99) * 1000:.0f} ms"
        )
        rows.append(("submit to webhook", f"{times} ({len(sent.latencies)} sent one by one)"))
    rate = sent.in_batches / sent.seconds if sent.seconds else 0.0
    rows.append(
        ("throughput", f"{rate:,.0f} a second, from first POST to last webhook ({sent.in_batches:,} in batches)")
    )
    return [*rows, ("withdrawal", f"{withdrawal * 1000:.0f} ms until gone both ways")]
