"""The way into the command: options, one call, and a sentence instead of a traceback."""

from __future__ import annotations

import argparse
import logging
import re
import sqlite3
import sys
from collections.abc import Sequence
from pathlib import Path

from heliograph_client.cli import (
    check,
    correcting,
    endpoints,
    exports,
    keys,
    ledger,
    opining,
    reading,
    redress,
    submit,
    witness,
)
from heliograph_client.cli.profile import SETTINGS, ProfileProblem, current_profile
from heliograph_client.cli.screen import Screen
from heliograph_client.hub import HubProblem
from heliograph_client.inputs import InputProblem
from heliograph_client.keys import KeyProblem
from heliograph_client.ledger_verifier import NotVerified
from heliograph_client.statements import StatementProblem
from heliograph_client.trust import TrustProblem

_REFUSED = 1
_CANNOT = 2
_INTERRUPTED = 130
_KEY_ID_WITH_A_DASH = re.compile(r"-[A-Za-z0-9_-]{42}")


def build_parser() -> argparse.ArgumentParser:
    """Every command and option."""
    parser = argparse.ArgumentParser(
        prog="heliograph",
        description="The member's side of a Heliograph hub: make keys, sign, submit, follow, verify.",
        epilog=(
            "Settings come from the environment (HELIOGRAPH_ and the name in capitals), then from profile.toml or "
            "profile.json in HELIOGRAPH_CLIENT_HOME (default ~/.heliograph):\n\n"
            + "\n".join(f"  {name:<20} {meaning}" for name, meaning in SETTINGS.items())
            + "\n\nExit status: 0 all went well, 1 something was refused or did not verify, 2 it could not be done."
        ),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--profile", type=Path, help="another profile file")
    parser.add_argument("--json", action="store_true", help="results as JSON, for machines")
    parser.add_argument("--verbose", action="store_true", help="say what is asked of the hub")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    keys.add_to(commands)
    submit.add_to(commands)
    reading.add_to(commands)
    correcting.add_to(commands)
    opining.add_to(commands)
    redress.add_to(commands)
    endpoints.add_to(commands)
    check.add_to(commands)
    ledger.add_to(commands)
    witness.add_to(commands)
    exports.add_to(commands)
    return parser


def _key_ids_last(words: Sequence[str]) -> list[str]:
    """One key's id in 64 begins with a dash and would be taken for an option: it goes to the end, behind `--`."""
    ids = [word for word in words if _KEY_ID_WITH_A_DASH.fullmatch(word)]
    if not ids or "--" in words:
        return list(words)
    return [*(word for word in words if word not in ids), "--", *ids]


def main(words: Sequence[str] | None = None) -> int:
    """Run one command; the exit status."""
    arguments = build_parser().parse_args(_key_ids_last(sys.argv[1:] if words is None else words))
    logging.basicConfig(level=logging.DEBUG if arguments.verbose else logging.WARNING, format="%(message)s")
    screen = Screen(as_json=arguments.json)
    try:
        status: int = arguments.run(arguments, current_profile(arguments.profile), screen)
    except KeyboardInterrupt:
        return _INTERRUPTED
    except BrokenPipeError:
        sys.stderr.close()
        return _REFUSED
    except (
        ProfileProblem,
        InputProblem,
        KeyProblem,
        StatementProblem,
        TrustProblem,
        HubProblem,
        NotVerified,
        ValueError,
    ) as problem:
        screen.complain(str(problem))
    except (OSError, sqlite3.Error) as problem:
        screen.complain(f"{type(problem).__name__}: {problem}")
    else:
        return status
    return _CANNOT


if __name__ == "__main__":
    sys.exit(main())
