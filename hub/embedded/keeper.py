"""The last one out: it knows every process group the supervisor started and ends what is left when that is killed.

Run by path with nothing but the standard library. The parent's death signal (`tether`) reaches only direct children;
a worker's own children and a server that hangs in its shutdown need somebody who is still there afterwards.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Iterable

_GRACE_SECONDS = 8.0


def is_alive(group: int) -> bool:
    """Whether a process group still has a member."""
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def end(groups: Iterable[int]) -> None:
    """Give the groups, already told by their parent's death, a few seconds, then kill them."""
    left = {group for group in groups if is_alive(group)}
    deadline = time.monotonic() + _GRACE_SECONDS
    while left and time.monotonic() < deadline:
        time.sleep(0.1)
        left = {group for group in left if is_alive(group)}
    for group in left:
        try:
            os.killpg(group, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
            continue


def main() -> None:
    """Read `+group` and `-group` lines until the supervisor closes the pipe, by finishing or by dying."""
    for ignored in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(ignored, signal.SIG_IGN)
    groups: set[int] = set()
    for line in sys.stdin:
        (groups.add if line[0] == "+" else groups.discard)(int(line[1:]))
    end(groups)


if __name__ == "__main__":
    main()
