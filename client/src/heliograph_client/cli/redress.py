"""`heliograph appeal`, `remedy`: speak for somebody whom a signal hit, and say what we put right."""

from __future__ import annotations

import argparse

from heliograph_client.cli.profile import Profile
from heliograph_client.cli.screen import Screen
from heliograph_client.inputs import InputProblem


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Describe the commands."""
    parser = commands.add_parser("appeal", help="appeal against a signal for somebody affected, or see how it stands")
    parser.add_argument("signal", nargs="?", metavar="SIGNAL", help="the hub's id of the signal, as the feed has it")
    reasons = ["mistaken-identity", "compromised-account", "lawful-content", "misread-context", "outdated", "other"]
    parser.add_argument("--reason", choices=reasons)
    evidence = ["identity-checked", "own-logs", "official-document", "statement"]
    parser.add_argument("--evidence", choices=evidence, help="what we have seen of it; it stays with us")
    parser.add_argument("--at-risk", action="store_true", help="the person is at significant risk: restrict it at once")
    parser.add_argument("--reference", help="show an appeal of ours instead")
    parser.add_argument("--programme", help="default: the profile's")
    parser.set_defaults(run=run_appeal)

    parser = commands.add_parser("remedy", help="say what we put right after an appeal was upheld")
    parser.add_argument("remedy", metavar="REMEDY", help="as the notice `appeal.decided` names it")
    did = ["nothing-held", "access-restored", "content-restored", "mark-removed", "kept-on-own-grounds"]
    parser.add_argument("did", choices=did)
    parser.set_defaults(run=run_remedy)


def run_appeal(arguments: argparse.Namespace, profile: Profile, screen: Screen) -> int:
    """Appeal, or show an appeal by its reference."""
    if arguments.reference is not None:
        said = profile.hub().own_appeal(arguments.reference)
    else:
        if not (arguments.signal and arguments.reason and arguments.evidence):
            raise InputProblem("name the signal, --reason and --evidence; or the --reference of an appeal")
        said = profile.hub().appeal(
            profile.programme(arguments.programme),
            arguments.signal,
            reason=arguments.reason,
            evidence=arguments.evidence,
            is_at_risk=arguments.at_risk,
        )
    screen.say(f"{said['reference']}: {said['state']}")
    screen.document(said)
    return 0


def run_remedy(arguments: argparse.Namespace, profile: Profile, screen: Screen) -> int:
    """Say it."""
    said = profile.hub().remedy(arguments.remedy, arguments.did)
    screen.say(f"{said['remedy']}: {said['did']}")
    screen.document(said)
    return 0
