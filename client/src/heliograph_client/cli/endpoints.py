"""`heliograph endpoints`: where the hub sends the feed, so that nobody has to ask for it."""

from __future__ import annotations

import argparse
from datetime import datetime

from heliograph_client.cli.profile import Profile
from heliograph_client.cli.screen import Screen
from heliograph_client.inputs import InputProblem


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Describe the command."""
    actions = commands.add_parser("endpoints", help="our webhook addresses").add_subparsers(
        required=True, metavar="ACTION"
    )
    add = actions.add_parser("add", help="have a programme's feed sent to a URL; shows the secret, this once")
    add.add_argument("url")
    add.add_argument("--programme", help="default: the profile's")
    add.add_argument("--notices", action="store_true", help="have our notices sent there instead, recalls first of all")
    add.set_defaults(run=run_add)
    actions.add_parser("list", help="our endpoints").set_defaults(run=run_list)
    show = actions.add_parser("show", help="how an endpoint fares, and what came of the latest attempts")
    show.add_argument("id")
    show.set_defaults(run=run_show)
    rotate = actions.add_parser("rotate", help="get a new secret, shown this once; both sign for a while")
    rotate.add_argument("id")
    rotate.add_argument("--old-valid-for", type=int, metavar="SECONDS", help="default: a day; at most seven")
    rotate.set_defaults(run=run_rotate)
    replay = actions.add_parser("replay", help="have everything sent again, or what changed since a time")
    replay.add_argument("id")
    replay.add_argument("--since", type=datetime.fromisoformat, help="with its zone: 2026-11-20T12:00+00:00")
    replay.set_defaults(run=run_replay)
    test = actions.add_parser("test", help="have a test event sent to an endpoint at once")
    test.add_argument("id")
    test.set_defaults(run=run_test)
    remove = actions.add_parser("remove", help="stop sending to an endpoint")
    remove.add_argument("id")
    remove.set_defaults(run=run_remove)


def run_add(arguments: argparse.Namespace, profile: Profile, screen: Screen) -> int:
    """Register the address."""
    if arguments.notices:
        made = profile.hub().create_notice_endpoint(arguments.url)
    else:
        made = profile.hub().create_endpoint(profile.programme(arguments.programme), arguments.url)
    screen.complain("The secret is shown this once; keep it as webhook_secret.")
    screen.say(f"endpoint  {made.get('id')}")
    screen.say(f"secret    {made.get('secret')}")
    screen.document(made)
    return 0


def run_list(arguments: argparse.Namespace, profile: Profile, screen: Screen) -> int:
    """What is registered."""
    del arguments
    found = profile.hub().endpoints()
    rows = [
        (made.get("id"), made.get("programme") or made.get("feed"), made.get("url"), made.get("state"))
        for made in found
    ]
    screen.table("endpoints", ("id", "of", "url", "state"), rows)
    screen.document(found)
    return 0


def run_show(arguments: argparse.Namespace, profile: Profile, screen: Screen) -> int:
    """Health and attempts of one."""
    hub = profile.hub()
    health, attempts = hub.endpoint_health(arguments.id), hub.endpoint_attempts(arguments.id)
    lag = health.get("lag") or {}
    screen.say(f"waiting   {lag.get('signals')} changes, the oldest for {lag.get('seconds')} s")
    screen.say(f"breaker   {health.get('breaker')}, {health.get('failures')} failures in a row")
    screen.say(f"last day  {health.get('attempts')} attempts, {health.get('success_rate')} of them delivered")
    names = ("at", "kind", "signals", "status", "error", "latency_ms")
    screen.table("attempts", names, [tuple(each.get(name) for name in names) for each in attempts])
    screen.document({"health": health, "attempts": attempts})
    return 0


def run_rotate(arguments: argparse.Namespace, profile: Profile, screen: Screen) -> int:
    """A new secret."""
    made = profile.hub().rotate_endpoint_secret(arguments.id, old_valid_for=arguments.old_valid_for)
    screen.complain("The secret is shown this once; keep it beside the old one as webhook_secret until that has ended.")
    screen.say(f"secret    {made.get('secret')}")
    screen.document(made)
    return 0


def run_replay(arguments: argparse.Namespace, profile: Profile, screen: Screen) -> int:
    """A new walk."""
    if arguments.since is not None and arguments.since.tzinfo is None:
        raise InputProblem("--since needs a zone, such as +00:00")
    changed = profile.hub().replay_endpoint(arguments.id, since=arguments.since)
    screen.say(f"replayed  {changed.get('id')}")
    screen.document(changed)
    return 0


def run_test(arguments: argparse.Namespace, profile: Profile, screen: Screen) -> int:
    """A test event."""
    asked = profile.hub().test_endpoint(arguments.id)
    screen.say(f"a test event is on its way; see: heliograph endpoints show {arguments.id}")
    screen.document(asked)
    return 0


def run_remove(arguments: argparse.Namespace, profile: Profile, screen: Screen) -> int:
    """Remove one."""
    profile.hub().delete_endpoint(arguments.id)
    screen.say(f"removed: {arguments.id}")
    screen.document({"removed": arguments.id})
    return 0
