"""`heliograph witness`: cosign a hub's ledger as long as it only grows, so that its operator cannot rewrite it."""

from __future__ import annotations

import argparse
import ssl
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from heliograph_client import keys
from heliograph_client.cli.profile import Profile, ProfileProblem
from heliograph_client.cli.screen import Screen
from heliograph_client.ledger_verifier import SignedNote
from heliograph_client.witness import ANOTHER_ROOT, CosigningKey, Witness
from heliograph_client.witness_server import WitnessServer


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Describe the command."""
    actions = commands.add_parser("witness", help="cosign the hub's ledger as long as it only grows").add_subparsers(
        required=True, metavar="ACTION"
    )
    init = actions.add_parser("init", help="make the witness's own key; shows the vkey for the hub's policy")
    init.add_argument("name", help="a URL without its scheme, such as witness.acme.example/heliograph")
    init.set_defaults(run=run_init)
    serve = actions.add_parser("serve", help="answer the hub (C2SP tlog-witness) until stopped")
    serve.add_argument("--log", action="append", default=[], metavar="VKEY", help="the key of a log to watch")
    serve.add_argument("--logs", type=Path, metavar="FILE", help="several, one a line, as the hub's /ledger/vkeys")
    serve.add_argument("--listen", default="127.0.0.1:8444", help="address:port")
    serve.add_argument("--tls-cert", type=Path, help="serve TLS with this certificate (PEM)")
    serve.add_argument("--tls-key", type=Path, help="and this private key")
    serve.set_defaults(run=run_serve)
    show = actions.add_parser("show", help="our vkey, what was cosigned last, and what contradicted it")
    show.set_defaults(run=run_show)


def run_init(arguments: argparse.Namespace, profile: Profile, screen: Screen) -> int:
    """Make the key. A second one is never made over it: the policies that name the first would be broken."""
    made = keys.new_key("Ed25519")
    assert isinstance(made.private, Ed25519PrivateKey)
    vkey = CosigningKey(arguments.name, made.private).vkey()
    keys.save(made, profile.witness_file("witness-key.pem"), passphrase=profile.passphrase)
    profile.witness_file("witness.vkey").write_text(f"{vkey}\n", encoding="utf-8")
    screen.say(vkey)
    screen.document({"vkey": vkey})
    return 0


def run_serve(arguments: argparse.Namespace, profile: Profile, screen: Screen) -> int:
    """Serve until stopped."""
    host, _, port = arguments.listen.rpartition(":")
    if not host or not port.isdigit():
        raise ProfileProblem("--listen is address:port")
    tls = None
    if arguments.tls_cert is not None:
        tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        tls.load_cert_chain(arguments.tls_cert, arguments.tls_key)
    logs = [*arguments.log, *(arguments.logs.read_text(encoding="utf-8").split() if arguments.logs else [])]
    if not logs:
        raise ProfileProblem("tell which log to watch: --log VKEY, or --logs FILE")
    witness = Witness(profile.witness_file("witness.db"), _key(profile), logs)
    with WitnessServer((host.strip("[]"), int(port)), witness, on_alarm=screen.complain, tls=tls) as server:
        screen.complain(f"{witness.key.name} witnesses at {server.url}")
        server.serve_forever()
    return 0


def run_show(arguments: argparse.Namespace, profile: Profile, screen: Screen) -> int:
    """What this witness knows; status 1 where a log contradicted itself."""
    del arguments
    key = _key(profile)
    witness = Witness(profile.witness_file("witness.db"), key, [key.vkey()])
    cosigned, evidence = witness.cosigned(), witness.evidence()
    screen.say(key.vkey())
    for origin, size, note in cosigned:
        screen.say(f"{origin}: {size} entries, root {SignedNote.parse(note).checkpoint().root.hex()}")
    for origin, at, why in evidence:
        said = "contradicted itself" if why == ANOTHER_ROOT else "came with a proof that does not hold"
        screen.complain(f"{at} {origin} {said}: {why}")
    logs = [{"origin": origin, "size": size, "checkpoint": note.decode()} for origin, size, note in cosigned]
    kept = [{"origin": origin, "at": at, "why": why} for origin, at, why in evidence]
    contradictions = [each for each in kept if each["why"] == ANOTHER_ROOT]
    unproven = [each for each in kept if each["why"] != ANOTHER_ROOT]
    screen.document({"vkey": key.vkey(), "logs": logs, "contradictions": contradictions, "unproven": unproven})
    return 1 if contradictions else 0


def _key(profile: Profile) -> CosigningKey:
    path = profile.witness_file("witness.vkey")
    if not path.exists():
        raise ProfileProblem("this is no witness yet; run: heliograph witness init NAME")
    made = keys.load(profile.witness_file("witness-key.pem"), passphrase=profile.passphrase)
    if not isinstance(made.private, Ed25519PrivateKey):
        raise ProfileProblem("a witness's key is an Ed25519 key")
    return CosigningKey(path.read_text(encoding="utf-8").partition("+")[0], made.private)
