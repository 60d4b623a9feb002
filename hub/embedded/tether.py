"""Run a program so that it ends when its parent is killed: drop root's rights, ask for the parent's death signal, exec.

Run by path with nothing but the standard library. `preexec_fn` would do the same inside a threaded parent, where Python
must not run between fork and exec; and the death signal has to be asked for after the user changes, which clears it.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from signal import Signals

_PR_SET_PDEATHSIG = 1


def tethered(command: Sequence[str], *, on_parents_death: Signals, account: tuple[int, int] | None) -> list[str]:
    """The command line that runs `command` tethered to the calling thread's process, as (uid, gid) where one is given.

    Linux sends the signal when the *thread* that started the child ends: start children from one that stays.
    """
    uid, gid = account or (-1, -1)
    shim = [sys.executable, "-I", "-S", os.path.abspath(__file__)]
    return [*shim, str(os.getpid()), str(int(on_parents_death)), str(uid), str(gid), *command]


def main(arguments: Sequence[str]) -> None:
    """Become the program; never returns."""
    parent, on_death, uid, gid = (int(argument) for argument in arguments[:4])
    command = list(arguments[4:])
    prctl = None
    if sys.platform == "linux":
        import ctypes

        prctl = ctypes.CDLL(None).prctl
    if uid >= 0:
        os.setgroups([])
        os.setgid(gid)
        os.setuid(uid)
        os.chdir("/")
    if prctl is not None:
        prctl(_PR_SET_PDEATHSIG, on_death, 0, 0, 0)
        if os.getppid() != parent:
            sys.exit(0)  # the parent was gone before we asked
    os.execv(command[0], command)  # noqa: S606  becoming the program is this file's whole purpose


if __name__ == "__main__":
    main(sys.argv[1:])
