"""`manage.py issue_api_key acme-social`: print a new API key's token, once."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from django.core.management.base import CommandParser

from partners.core.scopes import MEANINGS, ORDINARY, Scope
from partners.lifecycle.issue_api_key import Use, issue_api_key
from partners.management.door import PartnersCommand, Who


class Command(PartnersCommand):
    """Issue an API key."""

    help = (
        "Issue an API key and print its token, which is kept nowhere. Scopes: "
        + "; ".join(f"{scope} ({meaning})" for scope, meaning in MEANINGS.items())
        + "."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """For whom, for what, from where, how long."""
        parser.add_argument("partner", help="the partner's slug")
        parser.add_argument(
            "--scope",
            action="append",
            choices=list(Scope),
            help=f"repeatable (default: all but {Scope.SIGNALS_BACKFILL})",
        )
        parser.add_argument("--network", action="append", default=[], help="repeatable CIDR it may come from")
        parser.add_argument("--days", type=int, help="how long it lives (default: until revoked)")
        parser.add_argument("--label", default="", help="a word for people")
        parser.add_argument("--quiet", action="store_true", help="print the token and nothing else")

    def act(self, who: Who, options: Mapping[str, Any]) -> str:
        """Issue it."""
        use = Use(
            scopes=frozenset(options["scope"] or ORDINARY),
            networks=tuple(options["network"]),
            expires_at=None if options["days"] is None else who["at"] + timedelta(days=options["days"]),
            label=options["label"],
        )
        issued = issue_api_key(options["partner"], use, **who)
        if options["quiet"]:
            return issued.token
        ends = f"until {issued.row.expires_at:%Y-%m-%d}" if issued.row.expires_at else "until it is revoked"
        return (
            f"{issued.token}\nThis is shown once. Key {issued.row.pk} works {ends}, for {', '.join(issued.row.scopes)}."
        )
