"""What each database role may do: applied after every migration, idempotent, and checked by `manage.py doctor`."""

from __future__ import annotations

from django.db import connections

INSERT_ONLY = ("ledger_outbox",)  # the application adds a row and never sees it again
NO_ACCESS = ("ledger_leaf", "ledger_frontier", "ledger_subject")  # the sequencer's alone


def apply() -> None:
    """Give the application and the sequencer exactly the rights they need, as the tables' owner."""
    with connections["owner"].cursor() as cursor:
        cursor.execute("GRANT USAGE ON SCHEMA public TO heliograph_app, heliograph_ledger")
        cursor.execute("GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO heliograph_app")
        cursor.execute("GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA public TO heliograph_app")
