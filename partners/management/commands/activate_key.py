"""`manage.py activate_key acme-social key.jwk`: let in a partner's first signing key, or one after a loss."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.db import transaction

from partners.core.keys import fingerprint
from partners.lifecycle.activate_key import activate_key
from partners.lifecycle.propose_key import propose_key
from partners.management.door import PartnersCommand, Who

MAX_BYTES = 16 * 1024


class Command(PartnersCommand):
    """Let a signing key in."""

    help = (
        "Let in a partner's first signing key, or one after it lost all others; every other key it endorses itself. "
        "Compare the fingerprint with somebody at the partner whose voice you know, before you use the key."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Whose, and which."""
        parser.add_argument("partner", help="the partner's slug")
        parser.add_argument(
            "file", help="a public JWK, Ed25519 or P-256, as `heliograph keys new` writes it; - for stdin"
        )

    def act(self, who: Who, options: Mapping[str, Any]) -> str:
        """Propose and activate, in one transaction."""
        jwk = _read(options["file"])
        with transaction.atomic():
            key = propose_key(jwk, partner_slug=options["partner"], **who)
            key = activate_key(key.kid, partner_slug=options["partner"], **who)
        return f"Active: {key.kid}\nFingerprint, to compare by telephone: {fingerprint(key.kid)}"


def _read(file: str) -> object:
    try:
        raw = sys.stdin.buffer.read(MAX_BYTES) if file == "-" else Path(file).read_bytes()[:MAX_BYTES]
    except OSError as error:
        raise CommandError(f"Cannot read {file}: {error.strerror}.") from error
    try:
        jwk: object = json.loads(raw)
    except ValueError as error:
        raise CommandError(f"{file} is not JSON; a public JWK is wanted.") from error
    return jwk
