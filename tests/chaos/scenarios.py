"""Three named misfortunes, played on a hub of their own: what must come of each is said in its docstring."""

from __future__ import annotations

import time
from pathlib import Path
from signal import SIGKILL, SIGQUIT, SIGSTOP

from heliograph_client.hub import HubClient, HubProblem

from tests.chaos.faults import RESUME_AFTER_ENGINE_SECONDS, RESUME_SECONDS, send_signal, with_children
from tests.chaos.stage import Broken, Stage, ask, patience, running_hub, wait_until

_WAITING = "SELECT count(*) FROM signals_submission WHERE state = 'pending'"
_BEGUN = "SELECT count(*) FROM signals_submission WHERE state = 'pending' AND attempts > 0 AND statement_count > 500"


def broker_wiped(stage: Stage) -> str:
    """500 submissions wait, the broker forgets every message: work goes on within 60 s, and all finish."""
    company = stage.company("acme-social")
    client = stage.client(company)
    stopped = with_children(stage.pid("worker"))
    for pid in stopped:
        send_signal(pid, SIGSTOP)  # so that all of them wait at once
    accepted = [_submit(client, [company.sign(company.signal())]) for _ in range(500)]
    waiting = (ask(_WAITING) or [(0,)])[0][0]
    stage.valkey().flushall()
    for pid in stopped:
        send_signal(pid, SIGKILL)  # they held some of the messages; what starts now has none
    began = time.monotonic()
    _require_done(client, accepted[:1], within=RESUME_AFTER_ENGINE_SECONDS, began=began)
    first = time.monotonic() - began
    _require_done(client, accepted, within=3 * RESUME_AFTER_ENGINE_SECONDS, began=began)
    seconds = time.monotonic() - began
    return f"{waiting} of {len(accepted)} waited; the first was finished after {first:.1f} s, all after {seconds:.1f} s"


def database_restarted(stage: Stage) -> str:
    """PostgreSQL restarts at once in mid-ingest: nothing acknowledged is lost, and processes come back alone."""
    company = stage.company("acme-social")
    client = stage.client(company)
    accepted: list[str] = []
    slowest, refused = 0.0, 0
    struck = 0.0
    before = stage.hub.pids()
    ends = time.monotonic() + 12 * patience()
    while time.monotonic() < ends:
        if len(accepted) >= 10 and not struck:
            send_signal(_pid(stage, "postgres"), SIGQUIT)
            struck = time.monotonic()
        began = time.monotonic()
        try:
            accepted.append(client.submit([company.sign(company.signal()).decode() for _ in range(20)]).id)
        except HubProblem as problem:
            if problem.code not in {"unavailable", "unreachable"}:
                raise Broken(f"while the database was away the hub said {problem}") from problem
            refused += 1
        slowest = max(slowest, time.monotonic() - began)
        time.sleep(0.1)
    began = max(struck, time.monotonic() - 1)
    _require_done(client, accepted, within=RESUME_AFTER_ENGINE_SECONDS, began=began)
    restarted = [name for name, pid in stage.hub.pids().items() if pid != before[name] and name != "postgres"]
    return (
        f"{len(accepted)} submissions accepted, {refused} refused for the time being, the slowest answer after"
        f" {slowest:.1f} s; all finished; restarted besides PostgreSQL: {', '.join(restarted) or 'nobody'}"
    )


def worker_killed(stage: Stage) -> str:
    """A worker is killed in the middle of a batch: the batch finishes within 30 s of another worker living."""
    company = stage.company("acme-social")
    client = stage.client(company)
    lines = [company.sign(company.signal()) for _ in range(1000)]
    submission = _submit(client, lines)
    if wait_until(lambda: ask(_BEGUN) == [(1,)], seconds=30, every=0.005) is None:
        raise Broken("no worker began the batch")
    send_signal(_pid(stage, "worker"), SIGKILL)
    struck = time.monotonic()
    was_pending = ask(_BEGUN) == [(1,)]
    _require_done(client, [submission], within=RESUME_SECONDS + 10, began=struck)
    seconds = time.monotonic() - struck
    verdicts = client.submission(submission).counts
    if verdicts["accepted"] != len(lines):
        raise Broken(f"of {len(lines)} statements {verdicts['accepted']} were accepted")
    when = "in the middle of it" if was_pending else "when it had just been finished"
    return f"a batch of {len(lines)}, its worker killed {when}, was finished after {seconds:.1f} s"


SCENARIOS = {"broker-wiped": broker_wiped, "database-restarted": database_restarted, "worker-killed": worker_killed}


def play(name: str, folder: Path) -> str:
    """Start a hub, play one of them, and say in a sentence what was seen; raises `Broken`."""
    with running_hub(folder) as stage:
        return SCENARIOS[name](stage)


def _submit(client: HubClient, lines: list[bytes]) -> str:
    return client.submit([line.decode() for line in lines]).id


def _pid(stage: Stage, program: str) -> int:
    pid = stage.pid(program)
    if pid is None:
        raise Broken(f"{program} does not run")
    return pid


def _require_done(client: HubClient, submissions: list[str], *, within: float, began: float) -> None:
    """Until all are done; `Broken` when they are not `within` seconds after `began`, on a machine that is not busy."""
    left = list(submissions)
    while left:
        try:
            if client.submission(left[0]).is_done:
                del left[0]
                continue
        except HubProblem:
            pass
        if time.monotonic() - began > within * patience():
            raise Broken(f"{len(left)} of {len(submissions)} submissions were not done within {within:.0f} s")
        time.sleep(0.1)
