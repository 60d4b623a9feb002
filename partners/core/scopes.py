"""What an API key may be used for: one word per kind of door."""

from __future__ import annotations

from enum import StrEnum


class Scope(StrEnum):
    """The closed list of scopes; a key holds any set of them."""

    STATEMENTS_SUBMIT = "statements:submit"
    SIGNALS_BACKFILL = "signals:backfill"  # statements issued more than a week ago
    FEED_READ = "feed:read"
    ENDPOINTS_MANAGE = "endpoints:manage"
    KEYS_READ = "keys:read"
    KEYS_MANAGE = "keys:manage"
    LEDGER_READ = "ledger:read"


MEANINGS: dict[Scope, str] = {
    Scope.STATEMENTS_SUBMIT: "submit statements and read the verdicts on them",
    Scope.SIGNALS_BACKFILL: "submit statements issued more than seven days ago",
    Scope.FEED_READ: "read the feeds of one's programmes",
    Scope.ENDPOINTS_MANAGE: "create, change and delete webhook endpoints",
    Scope.KEYS_READ: "list signing keys and API keys",
    Scope.KEYS_MANAGE: "propose, endorse, retire and revoke signing keys; roll API keys",
    Scope.LEDGER_READ: "read what the ledger says about one's own company, with proofs",
}
ORDINARY = frozenset(Scope) - {Scope.SIGNALS_BACKFILL}  # what a new API key gets when nobody says otherwise
