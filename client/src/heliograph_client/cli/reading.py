"""`heliograph follow`, `notices`, `receive`, `verify`, `status`, `explain`: everything that reads."""

from __future__ import annotations

import argparse
import ssl
import sys
from datetime import datetime, timezone
from pathlib import Path

from heliograph_client.cli.profile import Profile, ProfileProblem
from heliograph_client.cli.screen import Screen, waiting
from heliograph_client.feed import Filter
from heliograph_client.follow import MembershipEnded, follow
from heliograph_client.inputs import InputProblem
from heliograph_client.notices import Notice, follow_notices
from heliograph_client.receiver import Receiver
from heliograph_client.statements import StatementProblem, read, verify_with
from heliograph_client.store import Applied, Change, Store
from heliograph_client.trust import PinnedKeys
from heliograph_client.wire import NotStrict, strict_object


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Describe the commands."""
    parser = commands.add_parser(
        "follow", help="pull a programme's feed into the local copy, for ever or --once, and acknowledge it"
    )
    parser.add_argument("programme", nargs="?", help="default: the profile's")
    parser.add_argument("--once", action="store_true", help="stop when there is no more")
    parser.add_argument("--wait", type=int, default=30, help="seconds the hub may hold back an empty answer (≤ 60)")
    parser.add_argument("--limit", type=int, default=1_000, help="entries a page (≤ 1000)")
    parser.add_argument("--type", action="append", default=[], help="only these types; another filter is a new walk")
    parser.add_argument("--violation", action="append", default=[], help="only these violations")
    parser.add_argument("--issuer", action="append", default=[], help="only these partners' signals")
    parser.add_argument("--own", action="store_true", help="our own signals too")
    parser.set_defaults(run=run_follow)

    parser = commands.add_parser("notices", help="read what the hub tells us, and apply its recalls to the local copy")
    parser.add_argument("--once", action="store_true", help="stop when there is no more")
    parser.add_argument("--wait", type=int, default=30, help="seconds the hub may hold back an empty answer (≤ 60)")
    parser.set_defaults(run=run_notices)

    parser = commands.add_parser("receive", help="receive webhooks into the local copy")
    parser.add_argument("--listen", default="127.0.0.1:8443", help="address:port")
    parser.add_argument("--tls-cert", type=Path, help="serve TLS with this certificate (PEM)")
    parser.add_argument("--tls-key", type=Path, help="and this private key")
    parser.set_defaults(run=run_receive)

    parser = commands.add_parser("verify", help="verify statements in a file, or judge the local copy again")
    parser.add_argument("file", nargs="?", help="JWS or feed entries, one a line; - for standard input")
    parser.set_defaults(run=run_verify)

    parser = commands.add_parser("status", help="what the local copy holds")
    parser.add_argument("--live", action="store_true", help="list the live, verified signals (values too)")
    parser.set_defaults(run=run_status)

    parser = commands.add_parser("explain", help="how the hub reads a value; nothing is stored")
    parser.add_argument("type")
    parser.add_argument("value")
    parser.add_argument("--service", help="for username and account_id")
    parser.set_defaults(run=run_explain)


def run_follow(arguments: argparse.Namespace, profile: Profile, screen: Screen) -> int:
    """Follow until stopped."""
    hub = profile.hub(on_wait=lambda seconds, code: screen.complain(waiting(seconds, code)))
    programme = profile.programme(arguments.programme)
    store = _open_store(profile)
    wanted = Filter(tuple(arguments.type), tuple(arguments.violation), tuple(arguments.issuer), arguments.own)
    store.rejudge()
    try:
        for applied in follow(
            hub,
            programme,
            store,
            wait=arguments.wait,
            limit=arguments.limit,
            filter=wanted,
            until_caught_up=arguments.once,
        ):
            _tell(applied, screen)
    except MembershipEnded as ended:
        screen.complain(str(ended))
        return 1
    return 0


def run_notices(arguments: argparse.Namespace, profile: Profile, screen: Screen) -> int:
    """Follow our notices until stopped."""
    hub = profile.hub(on_wait=lambda seconds, code: screen.complain(waiting(seconds, code)))
    for applied in follow_notices(hub, _open_store(profile), wait=arguments.wait, until_caught_up=arguments.once):
        _tell(applied, screen)
    return 0


def run_receive(arguments: argparse.Namespace, profile: Profile, screen: Screen) -> int:
    """Serve until stopped."""
    host, _, port = arguments.listen.rpartition(":")
    if not host or not port.isdigit():
        raise ProfileProblem("--listen is address:port")
    tls = None
    if arguments.tls_cert is not None:
        tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        tls.load_cert_chain(arguments.tls_cert, arguments.tls_key)
    store = _open_store(profile)
    with Receiver(
        (host.strip("[]"), int(port)),
        store,
        profile.webhook_secrets(),
        on_applied=lambda applied: _tell(applied, screen),
        tls=tls,
    ) as receiver:
        screen.complain(f"listening at {receiver.url}")
        receiver.serve_forever()
    return 0


def run_verify(arguments: argparse.Namespace, profile: Profile, screen: Screen) -> int:
    """Verify each line of a file against the pinned keys; without a file, judge the local copy again."""
    if arguments.file is None:
        store = _open_store(profile)
        changed = store.rejudge()
        held = list(store.live(include_unverified=True))
        doubtful = [entry for entry in held if not entry.is_verified]
        screen.complain(f"{len(held) - len(doubtful)} of {len(held)} live signals are verified")
        screen.table("not verified", ("signal", "reason"), [(entry.id, entry.reason) for entry in doubtful])
        screen.document({"changed": changed, "unverified": {entry.id: entry.reason for entry in doubtful}})
        return 1 if doubtful else 0
    pinned = profile.pinned_keys(fetch=profile.hub().jwks if profile.settings.get("url") else None)
    failed = 0
    for number, line in enumerate(_lines(arguments.file), start=1):
        reason, said_by = _judge_line(line, pinned)
        failed += reason is not None
        screen.say(f"line {number}: {reason or 'verified'}{f', said by {said_by}' if reason is None else ''}")
        screen.document({"line": number, "verified": reason is None, "reason": reason, "iss": said_by})
    return 1 if failed else 0


def _judge_line(line: str, pinned: PinnedKeys) -> tuple[str | None, str | None]:
    """Why a line is not to be believed, or None; and who is said to have said it."""
    try:
        document = strict_object(line) if line.startswith("{") else {}
        if "jws" in document:
            signal = document.get("signal") or {}
            return pinned.judge(str(signal.get("programme")), document), document.get("issuer")
        parsed = read(line)
        issuer = str(strict_object(parsed.payload).get("iss"))
        jwk = pinned.key(issuer, parsed.kid)
        if jwk is None:
            return "key-not-pinned", issuer
        verify_with(parsed, jwk)
    except StatementProblem as problem:
        return problem.code, None
    except NotStrict:
        return "malformed-jws", None
    return None, issuer


def run_status(arguments: argparse.Namespace, profile: Profile, screen: Screen) -> int:
    """What we hold, channel by channel."""
    store = Store(profile.store_path)
    channels = store.channels()
    rows = [
        (c.programme, c.channel, c.live, c.unverified, c.applied_at.isoformat(timespec="seconds"), c.is_ended)
        for c in channels
    ]
    names = ("programme", "channel", "live", "unverified", "last_page", "is_ended")
    screen.table("local copy", names, rows)
    live = [entry.item for entry in store.live()] if arguments.live else []
    if live:
        signals = [(item["indicator"]["type"], item["indicator"]["value"], item["issuer"]) for item in live]
        screen.table("live signals", ("type", "value", "said by"), signals)
    screen.document({"channels": [dict(zip(names, row, strict=True)) for row in rows], "live": live})
    return 0


def run_explain(arguments: argparse.Namespace, profile: Profile, screen: Screen) -> int:
    """How the hub reads a value."""
    reading = profile.hub().explain(arguments.type, arguments.value, service=arguments.service)
    screen.say(f"the hub reads it as  {reading.get('value')}")
    for name, title in (("service", "on"), ("changes", "changed"), ("weaknesses", "but")):
        found = reading.get(name) or []
        for text in [found] if isinstance(found, str) else found:
            screen.say(f"{title:>20}  {text}")
    screen.document(reading)
    return 0


def _open_store(profile: Profile) -> Store:
    fetch = profile.hub().jwks if profile.settings.get("url") else None
    return Store(profile.store_path, judge=profile.pinned_keys(fetch=fetch).judge)


def _tell(applied: Applied, screen: Screen) -> None:
    for notice in applied.notices:
        told = ", ".join(f"{name} {value}" for name, value in notice.facts.items() if isinstance(value, (str, int)))
        screen.say(f"{notice.at}  {notice.kind}  {told}{_counted(notice)}")
        screen.document({"notice": notice.id, "kind": notice.kind, "at": notice.at, "facts": dict(notice.facts)})
    for change in applied.changes:
        screen.say(_sentence(change))
        screen.document(_as_document(change))


def _counted(notice: Notice) -> str:
    return f", {len(notice.recalled)} signals" if notice.recalled else ""


def _sentence(change: Change) -> str:
    entry = change.after or change.before
    assert entry is not None
    at = datetime.now(timezone.utc).strftime("%H:%M:%S")
    if change.after is None or not change.after.is_live:
        return f"{at}  drop  {entry.id}  {entry.item['state'] if change.after else 'no longer listed'}"
    standing = "verified" if entry.is_verified else f"UNVERIFIED: {entry.reason}"
    indicator = entry.item.get("indicator") or {}
    return (
        f"{at}  {entry.item['state']}  {entry.id}  {indicator.get('type')}  by {entry.item.get('issuer')}  {standing}"
    )


def _as_document(change: Change) -> dict[str, object]:
    if change.after is None:
        assert change.before is not None
        return {"id": change.before.id, "live": False, "state": "unlisted"}
    entry = change.after
    return {"id": entry.id, "live": entry.is_live, "verified": entry.is_verified, "reason": entry.reason, **entry.item}


def _lines(path: str) -> list[str]:
    try:
        text = sys.stdin.read() if path == "-" else Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputProblem(f"{path} cannot be read as text") from error
    return [line.strip() for line in text.splitlines() if line.strip()]
