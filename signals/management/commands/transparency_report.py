"""`manage.py transparency_report`: the counts that may be published, from the ledger's leaves, signed by the hub."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from hub.jose import from_base64url
from hub.ledger import leaf
from hub.ledger.leaf import Leaf
from hub.ledger.models import Reading
from hub.vault import hub_keys
from signals.compliance.transparency import count, document

_MONTH = re.compile(r"(\d{4})-(0[1-9]|1[0-2])")


class Command(BaseCommand):
    """Whole months only: two reports whose times overlap could be subtracted from each other."""

    help = (
        "Print the counts of whole months for a transparency report, small ones hidden, signed by the hub's key. "
        "With --entries, from the leaves of an export of the complete range; with --check, compare a report with them."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Which months, and what to compare."""
        parser.add_argument("first", help="the first month, such as 2026-01")
        parser.add_argument("last", help="the last month, such as 2026-06")
        parser.add_argument("--entries", help="an export's entries.jsonl, instead of the ledger")
        parser.add_argument("--check", help="a report that was published")

    def handle(self, *_args: object, **options: Any) -> None:
        """Count; then print and sign, or compare."""
        since, until = _month(options["first"]), _next(_month(options["last"]))
        if since >= until:
            raise CommandError("The last month is before the first.")
        leaves = _of_file(Path(options["entries"])) if options["entries"] else _of_ledger()
        counted = count(leaves, since=since, until=until)
        told = leaf.canonical(document(counted, hub=settings.HUB_ID, since=since, until=until))
        if options["check"]:
            self._check(Path(options["check"]), told)
            return
        key = hub_keys.current()
        signed = {"document": json.loads(told), "kid": key.kid, "signature": key.sign(told).hex()}
        self.stdout.write(json.dumps(signed, indent=2, ensure_ascii=False))

    def _check(self, file: Path, told: bytes) -> None:
        try:
            report = json.loads(file.read_text())
            published = leaf.canonical(report["document"])
            keys = {jwk["kid"]: jwk["x"] for jwk in hub_keys.public_jwks()["keys"]}
            public = Ed25519PublicKey.from_public_bytes(from_base64url(keys[report["kid"]]))
            public.verify(bytes.fromhex(report["signature"]), published)
        except (ValueError, KeyError, TypeError, InvalidSignature):
            raise CommandError(f"{file} bears no good signature of a key that this hub publishes.") from None
        if published != told:
            raise CommandError("The signature is good, but these leaves give other counts.")
        self.stdout.write("The signature is good, and these leaves give the same counts.")


def _month(text: str) -> datetime:
    found = _MONTH.fullmatch(text)
    if found is None:
        raise CommandError(f"{text!r} is no month; write it as 2026-01.")
    return datetime(int(found[1]), int(found[2]), 1, tzinfo=UTC)


def _next(month: datetime) -> datetime:
    return month.replace(year=month.year + month.month // 12, month=month.month % 12 + 1)


def _of_ledger() -> Iterator[Leaf]:
    for entry in Reading.objects.order_by("index").values_list("entry", flat=True).iterator():
        yield leaf.decode(bytes(entry))


def _of_file(file: Path) -> Iterator[Leaf]:
    try:
        with file.open("rb") as lines:
            for line in lines:
                yield leaf.decode(line.rstrip(b"\n"))
    except (OSError, leaf.NotALeaf) as error:
        raise CommandError(f"{file}: {error}") from error
