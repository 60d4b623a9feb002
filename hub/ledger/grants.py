"""What each database role may do: exactly this, applied after every migration, and checked by `manage.py doctor`."""

from __future__ import annotations

from django.db import connections, transaction
from django.db.backends.utils import CursorWrapper

APPLICATION = "heliograph_app"  # web and workers
SEQUENCER = "heliograph_ledger"

# Everything named ledger_… that is missing here gives nobody anything, nor does any partition by itself.
RIGHTS: dict[str, dict[str, str]] = {
    "ledger_outbox": {APPLICATION: "INSERT", SEQUENCER: "SELECT, DELETE"},
    "ledger_leaf": {SEQUENCER: "SELECT, INSERT"},
    "ledger_frontier": {SEQUENCER: "SELECT, UPDATE"},
    "ledger_subject": {SEQUENCER: "SELECT, INSERT, UPDATE"},
    "ledger_salt": {APPLICATION: "SELECT, INSERT, DELETE"},
    "ledger_epoch": {APPLICATION: "SELECT, INSERT", SEQUENCER: "SELECT"},
    "ledger_checkpoint": {APPLICATION: "SELECT", SEQUENCER: "SELECT, INSERT"},
    "ledger_cosignature": {APPLICATION: "SELECT", SEQUENCER: "SELECT, INSERT"},
    "ledger_minimum": {APPLICATION: "SELECT", SEQUENCER: "SELECT"},  # raised by the owner, who parts with partitions
    "ledger_reading": {APPLICATION: "SELECT"},
    "ledger_tree": {APPLICATION: "SELECT"},
    "ledger_backlog": {APPLICATION: "SELECT"},
    "django_migrations": {APPLICATION: "SELECT"},
    # What was changed and disclosed is for ever, like the leaves that commit to it.
    "signals_change": {APPLICATION: "SELECT, INSERT"},
    "signals_walk": {APPLICATION: "SELECT, INSERT"},
    "signals_disclosure": {APPLICATION: "SELECT, INSERT"},
    "signals_disclosedminute": {APPLICATION: "SELECT, INSERT"},
    "signals_unsummed": {APPLICATION: "SELECT, INSERT, DELETE"},  # gone with the leaf that commits to it
    "signals_caseevent": {APPLICATION: "SELECT, INSERT"},
    "signals_opinion": {APPLICATION: "SELECT, INSERT"},
    "signals_outcome": {APPLICATION: "SELECT, INSERT"},
    "signals_retraction": {APPLICATION: "SELECT, INSERT"},
    "signals_ruling": {APPLICATION: "SELECT, INSERT"},
    "signals_attempt": {APPLICATION: "SELECT, INSERT"},  # dropped by the day, by a function of their owner's
}
# What a role may call; nobody else may.
CALLS = {
    "ledger_make_room()": SEQUENCER,
    "signals_make_days()": APPLICATION,
    "signals_drop_attempts(integer)": APPLICATION,
}
_LEDGER = "ledger_"
_EVERYTHING_ELSE = {APPLICATION: "SELECT, INSERT, UPDATE, DELETE"}
_LOCK = 0x68656C696F01  # one process at a time gives rights


def rights_of(table: str) -> dict[str, str]:
    """Role → rights on one table or view."""
    if table in RIGHTS:
        return RIGHTS[table]
    return {} if table.startswith(_LEDGER) else _EVERYTHING_ELSE


def excess(alias: str) -> list[str]:
    """What the login of this connection ("default" or "ledger") may do beyond the table above, a few words each.

    Rights on single columns count like those on the whole table, and partitions like tables of which nobody has any.
    """
    wanted = {"default": APPLICATION, "ledger": SEQUENCER}[alias]
    with connections[alias].cursor() as cursor:
        cursor.execute(_HELD)
        held = cursor.fetchall()
        cursor.execute(_CALLABLE)
        calls = [str(row[0]) for row in cursor.fetchall()]
    found = []
    for name, is_partition, may in held:
        given = "" if is_partition else rights_of(name).get(wanted, "")
        found += [f"{right} on {name}" for right in may if right not in given.split(", ")]
    return found + [f"call {call}" for call in calls if CALLS.get(call) != wanted]


_HELD = """
SELECT c.relname, c.relispartition, array_agg(r.name ORDER BY r.name)
  FROM pg_class c
 CROSS JOIN (VALUES ('SELECT', true), ('INSERT', true), ('UPDATE', true), ('REFERENCES', true),
                    ('DELETE', false), ('TRUNCATE', false), ('TRIGGER', false)) AS r (name, of_columns)
 WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = ANY('{r,p,v,m}')
   AND (has_table_privilege(current_user, c.oid, r.name)
        OR (r.of_columns AND has_any_column_privilege(current_user, c.oid,
            CASE WHEN r.of_columns THEN r.name ELSE 'SELECT' END)))
 GROUP BY 1, 2 ORDER BY 1
"""
_CALLABLE = """
SELECT p.oid::regprocedure::text FROM pg_proc p
 WHERE p.pronamespace = 'public'::regnamespace AND p.prosecdef
   AND has_function_privilege(current_user, p.oid, 'EXECUTE')
 ORDER BY 1
"""


def apply() -> None:
    """Take every right away and give exactly those above, as the tables' owner; nobody sees the moment between."""
    with transaction.atomic(using="owner"), connections["owner"].cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_LOCK])
        everybody = f"PUBLIC, {APPLICATION}, {SEQUENCER}"
        for kind in ("TABLES", "SEQUENCES", "FUNCTIONS"):
            cursor.execute(f"REVOKE ALL ON ALL {kind} IN SCHEMA public FROM {everybody}")
        cursor.execute(f"REVOKE ALL ON SCHEMA public FROM {everybody}")
        cursor.execute(f"GRANT USAGE ON SCHEMA public TO {APPLICATION}, {SEQUENCER}")
        for (role, rights), tables in _by_rights(_relations(cursor, "rpv")).items():
            cursor.execute(f"GRANT {rights} ON {', '.join(tables)} TO {role}")
        sequences = [name for name in _relations(cursor, "S") if not name.startswith(_LEDGER)]
        if sequences:
            cursor.execute(f"GRANT USAGE, SELECT ON SEQUENCE {', '.join(sequences)} TO {APPLICATION}")
        for call, role in CALLS.items():
            cursor.execute(f"GRANT EXECUTE ON FUNCTION {call} TO {role}")


def _relations(cursor: CursorWrapper, kinds: str) -> list[str]:
    """Partitions are left out: they are reached through their table, and nobody may touch one by itself."""
    cursor.execute(
        "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = ANY(%s)"
        " AND NOT relispartition ORDER BY 1",
        [list(kinds)],
    )
    return [row[0] for row in cursor.fetchall()]


def _by_rights(tables: list[str]) -> dict[tuple[str, str], list[str]]:
    together: dict[tuple[str, str], list[str]] = {}
    for table in tables:
        for role, rights in rights_of(table).items():
            together.setdefault((role, rights), []).append(f'public."{table}"')
    return together
