"""`heliograph check`: is everything in place, and if not, what to do about it."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass

from heliograph_client.cli.profile import Profile, ProfileProblem
from heliograph_client.cli.screen import Screen
from heliograph_client.hub import HubClient, HubProblem
from heliograph_client.keys import KeyProblem, SigningKey
from heliograph_client.store import Store
from heliograph_client.trust import TrustProblem


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked at. `advice` is empty when it is as it should be."""

    subject: str
    is_good: bool
    found: str
    advice: str = ""


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Describe the command."""
    parser = commands.add_parser("check", help="check settings, key, API key, memberships and the local copy")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace, profile: Profile, screen: Screen) -> int:
    """Look at everything; exit status 1 if anything needs attention."""
    del arguments
    findings = list(_findings(profile))
    rows = [("ok" if finding.is_good else "NO", finding.subject, finding.found, finding.advice) for finding in findings]
    screen.table("check", ("", "what", "found", "what to do"), rows)
    screen.document([{name: getattr(finding, name) for name in Finding.__slots__} for finding in findings])
    return 0 if all(finding.is_good for finding in findings) else 1


def _findings(profile: Profile) -> Iterator[Finding]:
    for name in ("partner", "hub_id"):
        value = profile.settings.get(name, "")
        yield Finding(name, bool(value), value or "not set", "" if value else "ask the hub's operator, then set it")
    key: SigningKey | None = None
    try:
        key = profile.signing_key()
        yield Finding("signing key", True, f"{key.alg} {key.kid}")
    except KeyProblem as problem:
        yield Finding("signing key", False, str(problem), "heliograph keys new")
    yield _copy(profile)
    yield _pins(profile)
    try:
        hub = profile.hub()
        programmes = hub.programmes()
    except (HubProblem, ProfileProblem, ValueError) as problem:
        yield Finding("hub", False, str(problem), "see the address and the API key")
        return
    yield Finding("hub", True, profile.need("url"))
    for programme in programmes:
        yield _membership(programme)
    if key is not None:
        yield _key_at_hub(hub, key)


def _copy(profile: Profile) -> Finding:
    channels = Store(profile.store_path).channels()
    return Finding("local copy", True, f"{sum(channel.live for channel in channels)} live signals")


def _pins(profile: Profile) -> Finding:
    try:
        pins = profile.pinned_keys().pins()
    except TrustProblem as problem:
        return Finding("pinned keys", False, str(problem), "restore the file from a backup")
    return Finding("pinned keys", True, f"{sum(len(held) for held in pins.values())} keys, partners: {len(pins)}")


def _membership(programme: dict[str, object]) -> Finding:
    facts = programme.get("membership")
    standing = facts if isinstance(facts, dict) else {}
    may = [word for word in ("submit", "receive") if standing.get(f"may_{word}")]
    is_good = standing.get("state", "active") == "active" and bool(may or not standing)
    found = f"{standing.get('state', 'member')}, may {' and '.join(may) or 'do nothing'}"
    return Finding(f"programme {programme.get('slug')}", is_good, found, "" if is_good else "ask the hub's operator")


def _key_at_hub(hub: HubClient, key: SigningKey) -> Finding:
    try:
        state = next((str(known.get("state")) for known in hub.own_keys() if known.get("kid") == key.kid), "unknown")
    except HubProblem as problem:
        return Finding("key at the hub", problem.status == 403, f"cannot be asked: {problem.code}")
    advice = {
        "active": "",
        "unknown": "heliograph keys propose",
        "proposed": "read its fingerprint to the hub's operator, or endorse it with an active key",
    }.get(state, "sign with another key")
    return Finding("key at the hub", state == "active", state, advice)
