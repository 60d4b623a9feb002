"""`heliograph endpoints`: where the hub sends the feed, so that nobody has to ask for it."""

from __future__ import annotations

import argparse

from heliograph_client.cli.profile import Profile
from heliograph_client.cli.screen import Screen


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


def run_remove(arguments: argparse.Namespace, profile: Profile, screen: Screen) -> int:
    """Remove one."""
    profile.hub().delete_endpoint(arguments.id)
    screen.say(f"removed: {arguments.id}")
    screen.document({"removed": arguments.id})
    return 0
