"""`heliograph verify-export`: check a bundle of a hub's ledger offline, with the verifier that bundles carry too."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from heliograph_client.cli.profile import Profile
from heliograph_client.cli.screen import Screen
from heliograph_client.ledger_verifier import NotVerified, verify_bundle


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Describe the command."""
    parser = commands.add_parser(
        "verify-export", help="check an export bundle of a ledger offline: every hash, signature, count and number"
    )
    parser.add_argument("path", type=Path, help="the bundle's zip or folder")
    parser.add_argument("--vkey", action="append", default=[], help="a public key of the hub that you know already")
    parser.add_argument("--policy", type=Path, help="your own policy file (C2SP tlog-policy) instead of the bundle's")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace, profile: Profile, screen: Screen) -> int:
    """Print the verdict; exit status 0 if everything holds, 1 if anything does not."""
    del profile
    try:
        policy = arguments.policy.read_bytes() if arguments.policy is not None else None
        verdict = verify_bundle(arguments.path, vkeys=arguments.vkey, policy=policy)
    except NotVerified as error:
        screen.complain(str(error))
        screen.document({"verified": False, "problems": [str(error)]})
        return 1
    if screen.as_json:
        screen.document(verdict.document())
    else:
        sys.stdout.write(verdict.page())
    return 0 if verdict.is_good else 1
