"""`heliograph ledger` and `heliograph verify-proof`: see that the hub's log only grows, prove what it says."""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path

from heliograph_client.cli.profile import Profile, ProfileProblem
from heliograph_client.cli.screen import Screen
from heliograph_client.hub import HubProblem
from heliograph_client.ledger import Contradiction, Leaf, Ledger
from heliograph_client.ledger_verifier import NotVerified, Policy, Proven, verify_proof


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Describe the commands."""
    parser = commands.add_parser(
        "verify-proof", help="check .tlog-proof files offline: what the ledger says, and that it does"
    )
    parser.add_argument("file", nargs="+", type=Path)
    parser.add_argument("--policy", type=Path, help="whom to believe (C2SP tlog-policy); default: what we believe")
    parser.add_argument("--log", metavar="VKEY", help="believe this log's key, and ask for no witness")
    parser.set_defaults(run=run_verify)
    parser = commands.add_parser("ledger", help="the hub's ledger: follow it, and fetch proofs of what concerns us")
    actions = parser.add_subparsers(required=True, metavar="ACTION")
    follow = actions.add_parser("follow", help="look again and again whether the log only grows")
    follow.add_argument("--once", action="store_true", help="look once")
    follow.add_argument("--every", type=int, default=60, metavar="SECONDS", help="default: 60")
    follow.set_defaults(run=run_follow)
    trust = actions.add_parser(
        "trust", help="show whom we believe and what the hub publishes, or believe another policy"
    )
    trust.add_argument("--policy", type=Path, help="believe this file from now on; - for what the hub publishes now")
    trust.set_defaults(run=run_trust)
    leaves = actions.add_parser("leaves", help="what the ledger says about us")
    _add_choice(leaves)
    leaves.add_argument("--start", type=int, default=0, metavar="INDEX", help="from this place on")
    leaves.set_defaults(run=run_leaves)
    proof = actions.add_parser("proof", help="fetch proofs of it, verify them, and keep them as files")
    proof.add_argument("index", nargs="*", type=int)
    _add_choice(proof)
    proof.add_argument("--into", type=Path, default=Path(), metavar="FOLDER", help="default: here")
    proof.set_defaults(run=run_proof)


def _add_choice(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--signal", metavar="ID", help="the verdicts on a signal of ours, and on its withdrawal")
    parser.add_argument("--submission", metavar="ID", help="a submission of ours and the verdicts on its lines")
    parser.add_argument("--action", metavar="WORD", help="only this action, such as feed.disclosed")


def run_verify(arguments: argparse.Namespace, profile: Profile, screen: Screen) -> int:
    """Verify each file; no network is used."""
    if arguments.log:
        policy = Policy.of_log(arguments.log)
    else:
        path = arguments.policy or profile.ledger_folder / "policy"
        if not path.exists():
            raise ProfileProblem(
                "tell whom to believe: --policy FILE, --log VKEY, or run: heliograph ledger follow --once"
            )
        policy = Policy.parse(path.read_bytes())
    verified = [_verify(path, policy, screen) for path in arguments.file]
    return 0 if all(verified) else 1


def _verify(path: Path, policy: Policy, screen: Screen) -> bool:
    try:
        _show(screen, str(path), verify_proof(path.read_bytes(), policy))
    except NotVerified as error:
        screen.complain(f"{path}: NOT VERIFIED: {error}")
        screen.document({"file": str(path), "verified": False, "reason": str(error)})
        return False
    return True


def run_follow(arguments: argparse.Namespace, profile: Profile, screen: Screen) -> int:
    """Follow until stopped, or until the log contradicts itself."""
    ledger = Ledger(profile.hub(), profile.ledger_folder)
    if not ledger.policy_path.exists():
        ledger.policy()
        screen.complain(f"believed from now on, as the hub publishes it today: {ledger.policy_path}")
    while True:
        try:
            _look(ledger, screen)
        except Contradiction as alarm:
            screen.complain(str(alarm))
            return 1
        except (HubProblem, NotVerified) as problem:
            if arguments.once:
                raise
            screen.complain(str(problem))
        if arguments.once:
            return 0
        time.sleep(max(arguments.every, 1))


def _look(ledger: Ledger, screen: Screen) -> None:
    followed = ledger.follow(at=datetime.now(timezone.utc))
    head = followed.judged.checkpoint
    what = (
        "first seen" if followed.is_first else "older than the last" if followed.is_older else f"{followed.grown} more"
    )
    screen.say(f"{head.origin}: {head.size} entries, {what}, {_who(followed.judged.cosigned)}")
    screen.document(
        {
            "origin": head.origin,
            "size": head.size,
            "root": head.root.hex(),
            "grown": followed.grown,
            "older": followed.is_older,
            "cosigned": dict(followed.judged.cosigned),
        }
    )


def run_trust(arguments: argparse.Namespace, profile: Profile, screen: Screen) -> int:
    """Whom we believe; status 1 where the hub publishes something else."""
    ledger = Ledger(profile.hub(), profile.ledger_folder)
    published = ledger.published_policy()
    if arguments.policy is not None:
        ledger.trust(published if str(arguments.policy) == "-" else arguments.policy.read_bytes())
    ledger.policy()
    believed = ledger.policy_path.read_bytes()
    is_same = believed == published
    screen.say(believed.decode("utf-8", "replace").rstrip("\n"))
    if not is_same:
        screen.complain("the hub publishes another policy now:")
        screen.complain(published.decode("utf-8", "replace").rstrip("\n"))
    texts = {name: text.decode("utf-8", "replace") for name, text in (("believed", believed), ("published", published))}
    screen.document({**texts, "same": is_same})
    return 0 if is_same else 1


def run_leaves(arguments: argparse.Namespace, profile: Profile, screen: Screen) -> int:
    """List them, unproven."""
    ledger = Ledger(profile.hub(), profile.ledger_folder)
    rows = []
    for leaf in _chosen(ledger, arguments, start=arguments.start):
        said = leaf.said
        rows.append(
            (leaf.index, said.get("at"), said.get("action"), leaf.facts.get("typ") or leaf.facts.get("code") or "")
        )
        screen.document({"index": leaf.index, "leaf": said})
    screen.table("leaves about us", ("index", "at", "action", "of"), rows)
    return 0


def run_proof(arguments: argparse.Namespace, profile: Profile, screen: Screen) -> int:
    """Fetch, verify, keep."""
    ledger = Ledger(profile.hub(), profile.ledger_folder)
    indices = list(arguments.index)
    if arguments.signal or arguments.submission or arguments.action:
        indices += [leaf.index for leaf in _chosen(ledger, arguments, start=0)]
    if not indices:
        raise ProfileProblem("there is nothing to prove: name an index, --signal, --submission or --action")
    arguments.into.mkdir(parents=True, exist_ok=True)
    for index in indices:
        file, proven = ledger.proof(index)
        path = arguments.into / f"{index}.tlog-proof"
        path.write_bytes(file)
        _show(screen, str(path), proven)
        disclosures = ledger.disclosures(proven)
        if disclosures is not None:
            rows = path.with_suffix(".disclosures.jsonl")
            rows.write_bytes(b"".join(row + b"\n" for row in disclosures))
            screen.say(f"  it commits to exactly {len(disclosures)} pages or bodies: {rows}")
    return 0


def _chosen(ledger: Ledger, arguments: argparse.Namespace, *, start: int) -> Iterator[Leaf]:
    if arguments.submission:
        found = ledger.of_submission(arguments.submission)
    elif arguments.signal:
        found = ledger.leaves(start=start, signal=arguments.signal)
    else:
        found = ledger.leaves(start=start)
    return (leaf for leaf in found if arguments.action in (None, leaf.said.get("action")))


def _show(screen: Screen, name: str, proven: Proven) -> None:
    """What a proof file proves, with the leaf as its bytes say it."""
    head, said = proven.checkpoint, Leaf(proven.index, proven.entry).said
    screen.say(f"{name}: verified. {said.get('action')} at {said.get('at')}, by {said.get('actor')}")
    screen.say(f"  entry {proven.index} of {head.size} in {head.origin}, {_who(proven.cosigned)}")
    screen.document(
        {
            "file": name,
            "verified": True,
            "index": proven.index,
            "leaf": said,
            "origin": head.origin,
            "size": head.size,
            "cosigned": dict(proven.cosigned),
        }
    )


def _who(cosigned: tuple[tuple[str, int], ...]) -> str:
    if not cosigned:
        return "signed by the hub alone"
    times = (f"{name} at {datetime.fromtimestamp(at, timezone.utc):%Y-%m-%d %H:%M:%SZ}" for name, at in cosigned)
    return f"cosigned by {', '.join(times)}"
