"""A worker that dies: for each kill point named on standard input it forks a child that works until it gets there.

`python -m tests.races.dying_worker`; run by test_crashes.py, with the database in the environment. After each point it
prints the child's exit status.
"""

from __future__ import annotations

import os
import pkgutil
import sys
from collections.abc import Callable
from typing import Any

import django

DIED = 9
POINTS = {
    "claimed": "hub.vault.keyring.open_sealed",
    "examined": "signals.lifecycle.verify.lock_issuer",
    "a line decided": "signals.lifecycle.effects.take._decide",
    "all lines decided": "signals.lifecycle.effects.take.write",
    "rows written": "signals.lifecycle.effects.write._move",
    "about to commit": "signals.lifecycle.verify._finish",
    "verdicts in, nothing published": "signals.tasks.publish_programme",
    "places taken": "signals.lifecycle.publish.record_moves",
}
BULK_POINTS = {  # of a bulk run, in the order in which they are come to
    "claimed a run": "signals.bulk.working._items",
    "about to decide": "signals.bulk.deeds.do",
    "decided, the case not closed": "signals.bulk.deeds.settle",
    "noted, about to commit": "signals.bulk.working.Now",
    "all decided, about to end": "signals.bulk.working.finish",
    "about to undo": "signals.bulk.deeds.undo",
    "undone, about to commit": "signals.bulk.working.Now",
}
_LATER = {"a line decided": 2, "about to decide": 2, "noted, about to commit": 2, "about to undo": 2}  # at which call


def die_at(point: str) -> None:
    """In the child: work, and be gone at the point, without a word to the database."""
    calls_left = _LATER.get(point, 1)

    def dying(original: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            nonlocal calls_left
            calls_left -= 1
            if calls_left == 0:
                os._exit(DIED)
            return original(*args, **kwargs)

        return call

    from signals import tasks

    module, _, name = (POINTS | BULK_POINTS)[point].rpartition(".")
    owner = pkgutil.resolve_name(module)
    setattr(owner, name, dying(getattr(owner, name)))
    (tasks.bulk if point in BULK_POINTS else tasks.verify)()


def main() -> None:
    """One child per point."""
    django.setup()
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            die_at(line.strip())
            os._exit(0)
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


if __name__ == "__main__":
    main()
