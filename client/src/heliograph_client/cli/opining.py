"""`heliograph opine`, `outcome`, `retract`, `standing`: what we hold of others' signals and did about them."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from heliograph_client import statements
from heliograph_client.cli.correcting import hand_in, named_by
from heliograph_client.cli.profile import Profile
from heliograph_client.cli.screen import Screen
from heliograph_client.hub import HubClient
from heliograph_client.inputs import InputProblem
from heliograph_client.wire import Json


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Describe the commands."""
    parser = commands.add_parser("opine", help="say what we hold of others' signals")
    parser.add_argument("opinion", choices=["confirm", "false-positive", "outdated", "seen", "need-more"])
    _name_signals(parser)
    parser.add_argument("--observation", choices=["own", "derived"], help="with confirm: whose; there is no default")
    parser.add_argument("--reason", help="with false-positive, outdated and need-more: a reason code")
    parser.set_defaults(run=run_opine)

    parser = commands.add_parser("outcome", help="say what we did about others' signals")
    _name_signals(parser)
    every = ["account-actioned", "content-removed", "url-blocked", "referred", "no-action", "not-found"]
    parser.add_argument("--did", nargs="+", required=True, choices=every)
    parser.add_argument("--review", required=True, choices=["human", "automated", "none"])
    parser.add_argument("--basis", choices=["own-finding", "signal-alone"], help="of what touched somebody")
    parser.add_argument("--policy", help="a short reference to our own policy")
    parser.set_defaults(run=run_outcome)

    parser = commands.add_parser("retract", help="take opinions or outcomes of ours back")
    parser.add_argument("jtis", nargs="+", metavar="JTI", help="as the hub lists them")
    parser.add_argument("--programme", help="default: the profile's")
    parser.set_defaults(run=run_retract)

    parser = commands.add_parser("standing", help="show where signals stand now")
    parser.add_argument("signals", nargs="+", metavar="SIGNAL", help="the hub's id of a signal that is for us")
    parser.set_defaults(run=run_standing)


def _name_signals(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--file", type=Path, help="the signals' JWS as they came, one a line")
    parser.add_argument("--about", metavar="ISSUER/JTI/DIGEST", help="one signal by its name instead")
    parser.add_argument("--programme", help="default: the profile's")


def run_opine(arguments: argparse.Namespace, profile: Profile, screen: Screen) -> int:
    """One opinion for each signal named."""
    words = {"opinion": arguments.opinion, "observation": arguments.observation, "reason": arguments.reason}
    named = named_by(arguments)
    return _say(statements.opinion, statements.OPINION, named, words, arguments, profile, screen)


def run_outcome(arguments: argparse.Namespace, profile: Profile, screen: Screen) -> int:
    """One outcome for each signal named."""
    words = {"did": arguments.did, "review": arguments.review, "basis": arguments.basis, "policy": arguments.policy}
    named = named_by(arguments)
    return _say(statements.outcome, statements.OUTCOME, named, words, arguments, profile, screen)


def run_retract(arguments: argparse.Namespace, profile: Profile, screen: Screen) -> int:
    """By the jti of what is taken back; the hub knows its digest."""
    hub, issuer = profile.hub(), profile.need("partner")
    found = {**_own(hub.outcomes, set(arguments.jtis)), **_own(hub.opinions, set(arguments.jtis))}
    missing = sorted(set(arguments.jtis) - found.keys())
    if missing:
        raise InputProblem(f"{missing[0]} is no opinion or outcome of ours that the hub knows")
    named = [{"iss": issuer, "jti": jti, "digest": found[jti]} for jti in arguments.jtis]
    return _say(statements.retraction, statements.RETRACTION, named, {}, arguments, profile, screen)


def run_standing(arguments: argparse.Namespace, profile: Profile, screen: Screen) -> int:
    """A line for each signal."""
    hub: HubClient = profile.hub()
    found = [hub.standing(signal) for signal in arguments.signals]
    rows = [
        (each["signal"], each["standing"], each["state"], _counts(each["opinions"]), _counts(each["outcomes"]))
        for each in found
    ]
    screen.table("standing", ("signal", "standing", "state", "opinions", "outcomes"), rows)
    screen.document(found)
    return 0


def _counts(counts: Mapping[str, Json]) -> str:
    return " ".join(f"{word}={count}" for word, count in sorted(counts.items()))


def _own(listed: Callable[..., tuple[list[dict[str, Json]], str | None]], wanted: set[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    before: str | None = None
    while True:
        rows, before = listed(before=before)
        found |= {row["jti"]: row["digest"] for row in rows if row["jti"] in wanted}
        if before is None or len(found) == len(wanted):
            return found


def _say(
    build: Callable[..., statements.Payload],
    typ: str,
    named: list[dict[str, str]],
    words: Mapping[str, Any],
    arguments: argparse.Namespace,
    profile: Profile,
    screen: Screen,
) -> int:
    hub, programme, issuer = profile.hub(), profile.programme(arguments.programme), profile.need("partner")
    key, at, hub_id = profile.signing_key(), datetime.now(timezone.utc), profile.need("hub_id")
    said = [
        statements.sign(build(issuer=issuer, hub=hub_id, programme=programme, about=about, at=at, **words), key, typ)
        for about in named
    ]
    return hand_in(hub, said, screen)
