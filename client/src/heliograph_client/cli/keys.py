"""`heliograph keys`: make, show, propose, endorse, retire and revoke our own keys; `heliograph trust`: the others'."""

from __future__ import annotations

import argparse
import json
from datetime import datetime, timezone
from pathlib import Path

from heliograph_client import keys, statements
from heliograph_client.cli.profile import Profile
from heliograph_client.cli.screen import Screen
from heliograph_client.inputs import InputProblem
from heliograph_client.wire import NotStrict, strict_object


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Describe the two commands."""
    ours = commands.add_parser("keys", help="our own signing keys").add_subparsers(required=True, metavar="ACTION")
    new = ours.add_parser("new", help="make a key; never overwrites one")
    new.add_argument("file", nargs="?", type=Path, help="default: the profile's key file")
    new.add_argument("--alg", choices=["Ed25519", "ES256"], default="Ed25519")
    new.set_defaults(run=make)
    show = ours.add_parser("show", help="the public JWK and its fingerprint")
    show.add_argument("file", nargs="?", type=Path, help="default: the profile's key file")
    show.set_defaults(run=show_key)
    ours.add_parser("list", help="our keys as the hub has them").set_defaults(run=list_keys)
    propose = ours.add_parser("propose", help="register our public key with the hub")
    propose.add_argument("file", nargs="?", type=Path, help="default: the profile's key file")
    propose.set_defaults(run=propose_key)
    endorse = ours.add_parser("endorse", help="activate a new key of ours, signing with the profile's (active) key")
    endorse.add_argument("file", type=Path, help="the new key's file (private PEM or public JWK)")
    endorse.set_defaults(run=endorse_key)
    retire = ours.add_parser("retire", help="sign no more with a key; what it signed stays good")
    retire.add_argument("kid")
    retire.set_defaults(run=retire_key)
    revoke = ours.add_parser("revoke", help="disown a key that fell into other hands")
    revoke.add_argument("kid")
    revoke.add_argument(
        "--compromised-at",
        type=datetime.fromisoformat,
        help="since when, with its zone: 2026-11-20T12:00+00:00; left out: from the beginning",
    )
    revoke.set_defaults(run=revoke_key)

    theirs = commands.add_parser("trust", help="other partners' keys").add_subparsers(required=True, metavar="ACTION")
    theirs.add_parser("list", help="what is pinned, with fingerprints").set_defaults(run=list_pins)
    accept = theirs.add_parser("accept", help="pin a key whose fingerprint you have checked with the partner")
    accept.add_argument("partner")
    accept.add_argument("kid")
    accept.set_defaults(run=accept_key)
    drop = theirs.add_parser("drop", help="believe a key no longer")
    drop.add_argument("partner")
    drop.add_argument("kid")
    drop.set_defaults(run=drop_key)


def make(arguments: argparse.Namespace, profile: Profile, screen: Screen) -> int:
    """Make a key and write it to a file only its owner can read."""
    path = arguments.file or profile.key_path
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    key = keys.new_key(arguments.alg)
    keys.save(key, path, passphrase=profile.passphrase)
    screen.say(f"wrote {path}")
    _show(key.jwk, screen)
    return 0


def show_key(arguments: argparse.Namespace, profile: Profile, screen: Screen) -> int:
    """Show the public half."""
    _show(_public_jwk(arguments.file or profile.key_path, profile), screen)
    return 0


def list_keys(arguments: argparse.Namespace, profile: Profile, screen: Screen) -> int:
    """Ask the hub for our keys."""
    del arguments
    found = profile.hub().own_keys()
    screen.table(
        "our keys", ("kid", "state", "fingerprint"), [(k["kid"], k["state"], k.get("fingerprint")) for k in found]
    )
    screen.document(found)
    return 0


def propose_key(arguments: argparse.Namespace, profile: Profile, screen: Screen) -> int:
    """Register the public half with the hub."""
    jwk = _public_jwk(arguments.file or profile.key_path, profile)
    answer = profile.hub().propose_key(jwk)
    screen.say(f"{answer.get('state', 'proposed')}: {keys.thumbprint(jwk)}")
    screen.say(
        "Read the fingerprint to the hub's operator over the telephone, or endorse it with a key that is active:"
    )
    screen.say(f"  {keys.fingerprint(jwk)}")
    screen.document(answer)
    return 0


def endorse_key(arguments: argparse.Namespace, profile: Profile, screen: Screen) -> int:
    """Propose the new key if need be, and vouch for it with the profile's key."""
    hub, jwk = profile.hub(), _public_jwk(arguments.file, profile)
    kid = keys.thumbprint(jwk)
    if kid not in {key.get("kid") for key in hub.own_keys()}:
        hub.propose_key(jwk)
    payload = statements.key_endorsement(
        issuer=profile.need("partner"), hub=profile.need("hub_id"), jwk=jwk, at=datetime.now(timezone.utc)
    )
    answer = hub.endorse_key(kid, statements.sign(payload, profile.signing_key(), statements.KEY_ENDORSEMENT))
    screen.say(f"{answer.get('state', 'active')}: {kid}")
    screen.document(answer)
    return 0


def retire_key(arguments: argparse.Namespace, profile: Profile, screen: Screen) -> int:
    """Retire one of our keys."""
    answer = profile.hub().retire_key(arguments.kid)
    screen.say(f"{answer.get('state', 'retired')}: {arguments.kid}")
    screen.document(answer)
    return 0


def revoke_key(arguments: argparse.Namespace, profile: Profile, screen: Screen) -> int:
    """Disown one of our keys, and learn which fell with it."""
    since = arguments.compromised_at
    if since is not None and since.tzinfo is None:  # hours too late would leave standing what somebody else signed
        raise InputProblem("--compromised-at needs a zone, such as +00:00")
    answer = profile.hub().revoke_key(arguments.kid, compromised_at=since)
    screen.say(f"revoked: {', '.join(answer.get('revoked') or [arguments.kid])}")
    screen.document(answer)
    return 0


def list_pins(arguments: argparse.Namespace, profile: Profile, screen: Screen) -> int:
    """Show the keys we believe."""
    del arguments
    pins = profile.pinned_keys().pins()
    rows = [
        (who, kid, pin["how"], keys.fingerprint(kid)) for who, held in sorted(pins.items()) for kid, pin in held.items()
    ]
    screen.table("pinned keys", ("partner", "kid", "how", "fingerprint"), rows)
    screen.document(pins)
    return 0


def accept_key(arguments: argparse.Namespace, profile: Profile, screen: Screen) -> int:
    """Pin a key that the hub shows of a partner."""
    shown = profile.hub().jwks(arguments.partner).get("keys") or []
    jwk = next((key for key in shown if keys.thumbprint(key) == arguments.kid), None)
    if jwk is None:
        screen.complain(f"the hub shows no key {arguments.kid} of {arguments.partner}")
        return 1
    profile.pinned_keys().pin(arguments.partner, jwk, at=datetime.now(timezone.utc))
    screen.say(f"pinned: {arguments.kid}; `heliograph verify` judges again what we hold")
    screen.document({"partner": arguments.partner, "kid": arguments.kid})
    return 0


def drop_key(arguments: argparse.Namespace, profile: Profile, screen: Screen) -> int:
    """Unpin a key."""
    was_pinned = profile.pinned_keys().unpin(arguments.partner, arguments.kid)
    screen.say("dropped" if was_pinned else "it was not pinned")
    screen.document({"was_pinned": was_pinned})
    return 0 if was_pinned else 1


def _public_jwk(path: Path, profile: Profile) -> dict[str, str]:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise keys.KeyProblem(f"{path} cannot be read: {error.strerror}") from error
    if not content.lstrip().startswith(b"{"):
        return keys.load(path, passphrase=profile.passphrase).jwk
    try:
        return keys.public_only(strict_object(content))
    except NotStrict as error:
        raise keys.KeyProblem(f"{path} is neither a PEM nor a JWK") from error


def _show(jwk: dict[str, str], screen: Screen) -> None:
    kid = keys.thumbprint(jwk)
    screen.say(f"kid          {kid}")
    screen.say(f"fingerprint  {keys.fingerprint(kid)}")
    screen.say(f"jwk          {json.dumps(jwk)}")
    screen.document({"kid": kid, "fingerprint": keys.fingerprint(kid), "jwk": jwk})
