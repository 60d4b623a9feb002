"""`heliograph withdraw`, `narrow`, `receipt`: take a signal back, say it anew to fewer, sign that one is deleted."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from datetime import datetime, timezone
from pathlib import Path

from heliograph_client import statements
from heliograph_client.cli.profile import Profile
from heliograph_client.cli.screen import Screen
from heliograph_client.feed import Filter, is_live
from heliograph_client.hub import HubClient, batches
from heliograph_client.inputs import InputProblem
from heliograph_client.outbox import Outbox


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Describe the commands."""
    parser = commands.add_parser("withdraw", help="take signals back: everyone who was told is told to drop them")
    parser.add_argument("signals", nargs="*", metavar="SIGNAL", help="the hub's id of a published signal of ours")
    parser.add_argument("--file", type=Path, help="everything submitted from this file and accepted or held")
    parser.add_argument("--reason", choices=["error", "resolved", "legal", "duplicate", "other"], default="error")
    parser.add_argument("--programme", help="default: the profile's")
    parser.set_defaults(run=run_withdraw)

    parser = commands.add_parser("narrow", help="withdraw a signal and say it anew to fewer partners")
    parser.add_argument("signal", metavar="SIGNAL", help="the hub's id of a published signal of ours")
    audience = parser.add_mutually_exclusive_group(required=True)
    audience.add_argument("--only", nargs="+", metavar="PARTNER", help="these may see it")
    audience.add_argument("--except", nargs="+", metavar="PARTNER", dest="excluding", help="all but these may see it")
    parser.add_argument("--programme", help="default: the profile's")
    parser.set_defaults(run=run_narrow)

    parser = commands.add_parser("receipt", help="sign that removed signals of others are deleted here")
    parser.add_argument("file", nargs="?", type=Path, help="the signals' JWS as they came, one a line")
    parser.add_argument("--about", metavar="ISSUER/JTI/DIGEST", help="one signal by its name instead")
    parser.add_argument("--deleted-at", type=datetime.fromisoformat, help="when, with its zone: 2026-11-20T12:00+00:00")
    parser.add_argument("--scope", nargs="+", choices=["systems", "backups", "derived", "recipients"], default=[])
    parser.add_argument("--programme", help="default: the profile's")
    parser.set_defaults(run=run_receipt)


def run_withdraw(arguments: argparse.Namespace, profile: Profile, screen: Screen) -> int:
    """Withdraw by signal id, or everything a file stood for."""
    hub, programme, issuer = profile.hub(), profile.programme(arguments.programme), profile.need("partner")
    named: list[dict[str, str]] = []
    if arguments.file is not None:
        named += [about for _, about in Outbox(Path(f"{arguments.file}.heliograph")).standing(issuer=issuer)]
    if arguments.signals:
        own = _own_statements(hub, programme, issuer, set(arguments.signals))
        named += [statements.about(jws) for jws in own.values()]
    if not named:
        raise InputProblem("nothing to withdraw: name signals, or --file with a file that was submitted from here")
    key, at, hub_id = profile.signing_key(), datetime.now(timezone.utc), profile.need("hub_id")
    said = [
        statements.sign(
            statements.withdrawal(
                issuer=issuer, hub=hub_id, programme=programme, about=about, reason=arguments.reason, at=at
            ),
            key,
            statements.WITHDRAWAL,
        )
        for about in named
    ]
    return hand_in(hub, said, screen)


def run_receipt(arguments: argparse.Namespace, profile: Profile, screen: Screen) -> int:
    """Sign for signals that are kept in a file, or for one by its name."""
    named = named_by(arguments)
    if arguments.deleted_at is not None and arguments.deleted_at.tzinfo is None:
        raise InputProblem("--deleted-at needs a zone, such as +00:00")
    hub, programme, issuer = profile.hub(), profile.programme(arguments.programme), profile.need("partner")
    key, at, hub_id = profile.signing_key(), datetime.now(timezone.utc), profile.need("hub_id")
    words = {"deleted_at": arguments.deleted_at, "scope": arguments.scope}
    said = [
        statements.sign(
            statements.receipt(issuer=issuer, hub=hub_id, programme=programme, about=about, at=at, **words),
            key,
            statements.RECEIPT,
        )
        for about in named
    ]
    return hand_in(hub, said, screen)


def named_by(arguments: argparse.Namespace) -> list[dict[str, str]]:
    """The statements that a command's FILE of JWS holds and its --about names; `InputProblem` if there are none."""
    lines = arguments.file.read_text().split() if arguments.file is not None else []
    named = [statements.about(line) for line in lines]
    if arguments.about is not None:
        parts = arguments.about.split("/")  # in one word, for one digest in 64 begins with a dash
        if len(parts) != 3 or not all(parts):
            raise InputProblem("--about is the author, its jti and the digest of what it said, as ISSUER/JTI/DIGEST")
        named.append(dict(zip(("iss", "jti", "digest"), parts, strict=True)))
    if not named:
        raise InputProblem("nothing to sign for: name a file of JWS, or a signal with --about")
    return named


def run_narrow(arguments: argparse.Namespace, profile: Profile, screen: Screen) -> int:
    """One submission of three statements, which take effect in this order: withdrawal, signal, routing."""
    hub, programme, issuer = profile.hub(), profile.programme(arguments.programme), profile.need("partner")
    old = _own_statements(hub, programme, issuer, {arguments.signal})[arguments.signal]
    key, at, hub_id = profile.signing_key(), datetime.now(timezone.utc), profile.need("hub_id")
    withdrawal = statements.withdrawal(
        issuer=issuer, hub=hub_id, programme=programme, about=statements.about(old), reason="narrowing", at=at
    )
    signal = statements.sign(statements.anew(old, at=at, audience="routed"), key, statements.SIGNAL)
    routing = statements.routing(
        issuer=issuer,
        hub=hub_id,
        programme=programme,
        about=statements.about(signal),
        at=at,
        only=arguments.only,
        excluding=arguments.excluding,
    )
    said = [
        statements.sign(withdrawal, key, statements.WITHDRAWAL),
        signal,
        statements.sign(routing, key, statements.ROUTING),
    ]
    return hand_in(hub, said, screen)


def _own_statements(hub: HubClient, programme: str, issuer: str, wanted: set[str]) -> dict[str, str]:
    """Our own statements behind these signal ids, from our own part of the feed."""
    found: dict[str, str] = {}
    cursor, more = None, True
    while more and len(found) < len(wanted):
        page = hub.feed(programme, after=cursor, filter=Filter(issuers=(issuer,), own=True))
        found |= {item["id"]: item["jws"] for item in page.items if item["id"] in wanted and is_live(item)}
        cursor, more = page.next, page.more
    missing = sorted(wanted - found.keys())
    if missing:
        raise InputProblem(f"{missing[0]} is no live signal of ours in {programme}")
    return found


def hand_in(hub: HubClient, said: list[str], screen: Screen) -> int:
    """Submit statements and show their verdicts; 1 if one was refused or is not judged yet."""
    refused = 0
    for batch in batches(said):
        submission = hub.submit(batch, wait=30)
        submission = submission if submission.is_done else hub.wait_for_verdicts(submission)
        rows = [(v.type, v.verdict, v.state or v.waiting, v.code, v.detail) for v in submission.verdicts]
        screen.table("verdicts", ("statement", "verdict", "state", "code", "in words"), rows)
        facts = {"submission": submission.id, "status": submission.status, "counts": dict(submission.counts)}
        screen.document({**facts, "verdicts": [asdict(verdict) for verdict in submission.verdicts]})
        refused += sum(verdict.verdict == "refused" for verdict in submission.verdicts) + (not submission.is_done)
    return 1 if refused else 0
