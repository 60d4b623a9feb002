"""Who can do what to the ledger: every attempt of every role, and that nobody's attempt at a leaf succeeds."""

from __future__ import annotations

from datetime import UTC, datetime

import psycopg
import pytest
from django.core.management import call_command
from django.db import DatabaseError, IntegrityError, connections, transaction

from hub import checkup
from hub.ledger import grants
from hub.ledger.mirror import Mirror
from hub.ledger.record import record
from hub.ledger.sequence import drain
from hub.ledger.signer import MustNotSign
from hub.ledger.tile_store import Contradiction
from hub.ledger.tlog.merkle import Frontier
from tests.cluster import postgres
from tests.ledger.growing import grow, leaf_hashes, sign

NOON = datetime(2026, 11, 3, 12, tzinfo=UTC)

APP, LEDGER, OWNER = "default", "ledger", "owner"
ALLOWED, DENIED, REFUSED = "allowed", "denied by right", "refused by trigger"
ANOTHER = "INSERT INTO ledger_outbox (id, event) VALUES (gen_random_uuid(), '')"
A_LEAF = """INSERT INTO ledger_leaf
    SELECT size, sha256('\\x0041'::bytea), 'A', 'a.b', 'system:x', now(), '{}' FROM ledger_frontier"""
FIRST = "ledger_leaf_000000"

CHECKPOINT = """INSERT INTO ledger_checkpoint (origin, size, root, note, signed_at)
    VALUES ('x', 1, sha256(''), '', now())"""
COSIGNATURE = """INSERT INTO ledger_cosignature (checkpoint_id, witness, line, cosigned_at)
    SELECT id, 'w', gen_random_uuid()::text, now() FROM ledger_checkpoint LIMIT 1"""
MINIMUM = "INSERT INTO ledger_minimum (index, raised_at, reason) VALUES (7, now(), 'x')"

#                                                                    application  sequencer  owner
MATRIX = [
    (ANOTHER, ALLOWED, DENIED, ALLOWED),
    ("SELECT event FROM ledger_outbox", DENIED, ALLOWED, ALLOWED),
    ("UPDATE ledger_outbox SET event = 'x'", DENIED, DENIED, REFUSED),
    ("DELETE FROM ledger_outbox", DENIED, ALLOWED, ALLOWED),
    ("TRUNCATE ledger_outbox", DENIED, DENIED, REFUSED),
    ("SELECT index FROM ledger_leaf", DENIED, ALLOWED, ALLOWED),
    (A_LEAF, DENIED, ALLOWED, ALLOWED),
    ("UPDATE ledger_leaf SET action = 'x.y'", DENIED, DENIED, REFUSED),
    ("DELETE FROM ledger_leaf", DENIED, DENIED, REFUSED),
    ("TRUNCATE ledger_leaf", DENIED, DENIED, REFUSED),
    (f"SELECT index FROM {FIRST}", DENIED, DENIED, ALLOWED),
    (f"UPDATE {FIRST} SET action = 'x.y'", DENIED, DENIED, REFUSED),
    (f"DELETE FROM {FIRST}", DENIED, DENIED, REFUSED),
    (f"TRUNCATE {FIRST}", DENIED, DENIED, REFUSED),
    ("LOCK TABLE ledger_leaf IN ACCESS SHARE MODE", DENIED, ALLOWED, ALLOWED),
    ("SELECT size FROM ledger_frontier", DENIED, ALLOWED, ALLOWED),
    ("UPDATE ledger_frontier SET size = size + 1", DENIED, ALLOWED, ALLOWED),
    ("UPDATE ledger_frontier SET size = size - 1", DENIED, REFUSED, REFUSED),
    ("UPDATE ledger_frontier SET root = ''", DENIED, REFUSED, REFUSED),
    ("DELETE FROM ledger_frontier", DENIED, DENIED, REFUSED),
    ("TRUNCATE ledger_frontier", DENIED, DENIED, REFUSED),
    ("SELECT last FROM ledger_subject", DENIED, ALLOWED, ALLOWED),
    ("UPDATE ledger_subject SET last = last + 1", DENIED, ALLOWED, ALLOWED),
    ("UPDATE ledger_subject SET last = last", DENIED, REFUSED, REFUSED),
    ("DELETE FROM ledger_subject", DENIED, DENIED, REFUSED),
    ("TRUNCATE ledger_subject", DENIED, DENIED, REFUSED),
    ("SELECT salt FROM ledger_salt", ALLOWED, DENIED, ALLOWED),
    ("DELETE FROM ledger_salt", ALLOWED, DENIED, ALLOWED),
    ("UPDATE ledger_salt SET salt = ''", DENIED, DENIED, ALLOWED),
    ("SELECT number FROM ledger_epoch", ALLOWED, ALLOWED, ALLOWED),
    ("INSERT INTO ledger_epoch (number, reason) VALUES (9, 'x')", ALLOWED, DENIED, ALLOWED),
    ("UPDATE ledger_epoch SET number = 10", DENIED, DENIED, REFUSED),
    ("DELETE FROM ledger_epoch", DENIED, DENIED, REFUSED),
    ("TRUNCATE ledger_epoch", DENIED, DENIED, REFUSED),
    (CHECKPOINT, DENIED, ALLOWED, ALLOWED),
    ("SELECT note FROM ledger_checkpoint", ALLOWED, ALLOWED, ALLOWED),
    ("UPDATE ledger_checkpoint SET size = size - 1", DENIED, DENIED, REFUSED),
    ("DELETE FROM ledger_checkpoint", DENIED, DENIED, REFUSED),
    ("TRUNCATE ledger_checkpoint CASCADE", DENIED, DENIED, REFUSED),
    (COSIGNATURE, DENIED, ALLOWED, ALLOWED),
    ("SELECT line FROM ledger_cosignature", ALLOWED, ALLOWED, ALLOWED),
    ("UPDATE ledger_cosignature SET line = ''", DENIED, DENIED, REFUSED),
    ("DELETE FROM ledger_cosignature", DENIED, DENIED, REFUSED),
    ("TRUNCATE ledger_cosignature", DENIED, DENIED, REFUSED),
    (MINIMUM, DENIED, DENIED, ALLOWED),
    ("SELECT index FROM ledger_minimum", ALLOWED, ALLOWED, ALLOWED),
    ("UPDATE ledger_minimum SET index = 0", DENIED, DENIED, REFUSED),
    ("DELETE FROM ledger_minimum", DENIED, DENIED, REFUSED),
    ("TRUNCATE ledger_minimum", DENIED, DENIED, REFUSED),
    ("ALTER TABLE ledger_leaf DETACH PARTITION ledger_leaf_000000", DENIED, DENIED, None),
    ("SELECT entry FROM ledger_reading", ALLOWED, DENIED, ALLOWED),
    ("INSERT INTO ledger_reading SELECT * FROM ledger_reading", DENIED, DENIED, None),
    ("UPDATE ledger_reading SET action = 'x.y'", DENIED, DENIED, REFUSED),
    ("DELETE FROM ledger_reading", DENIED, DENIED, REFUSED),
    ("SELECT size, root FROM ledger_tree", ALLOWED, DENIED, ALLOWED),
    ("UPDATE ledger_tree SET size = 0", DENIED, DENIED, REFUSED),
    ("SELECT waiting, oldest FROM ledger_backlog", ALLOWED, DENIED, ALLOWED),
    ("SELECT ledger_make_room()", DENIED, ALLOWED, ALLOWED),
    ("ALTER TABLE ledger_leaf DISABLE TRIGGER ALL", DENIED, DENIED, None),  # what an owner may do: hence NOLOGIN
    ("DROP TABLE ledger_leaf", DENIED, DENIED, None),
    ("SET session_replication_role = replica", DENIED, DENIED, DENIED),
    ("CREATE TABLE mine (id int)", DENIED, DENIED, None),
    ("SET ROLE heliograph_owner", DENIED, DENIED, None),
    ("SELECT * FROM auth_user", ALLOWED, DENIED, ALLOWED),
    ("INSERT INTO django_migrations (app, name, applied) VALUES ('x', 'y', now())", DENIED, DENIED, ALLOWED),
]


@pytest.fixture
def a_full_ledger(ledger: Mirror) -> None:
    for _ in range(2):  # a leaf, then an event that waits
        drain()
        with transaction.atomic():
            record("signal.withdrawn", actor="partner:acme", at=NOON, subjects=["signal:x"], private={"value": "x"})
    with connections[OWNER].cursor() as cursor:
        cursor.execute("SELECT EXISTS (SELECT FROM ledger_checkpoint)")
        if not cursor.fetchone()[0]:
            for statement in (CHECKPOINT, COSIGNATURE, MINIMUM.replace("7", "1")):
                cursor.execute(statement)


def outcome(alias: str, statement: str) -> str:
    try:
        with transaction.atomic(using=alias):
            with connections[alias].cursor() as cursor:
                cursor.execute(statement)
            transaction.set_rollback(True, using=alias)
    except DatabaseError as error:
        said = str(error)
        if "append-only" in said:
            return REFUSED
        return DENIED if "permission denied" in said or "must be owner" in said else said
    return ALLOWED


@pytest.mark.parametrize(("statement", "application", "sequencer", "owner"), MATRIX)
def test_each_role_can_do_this_and_no_more(
    a_full_ledger: None, statement: str, application: str, sequencer: str, owner: str | None
) -> None:
    assert outcome(APP, statement) == application
    assert outcome(LEDGER, statement) == sequencer
    if owner is not None:
        assert outcome(OWNER, statement) == owner


def test_the_owner_cannot_log_in_and_nobody_at_run_time_can_become_it(committed_db: None) -> None:
    with postgres.bootstrap_connection() as superuser:
        roles = superuser.execute(
            "SELECT rolname, rolcanlogin, rolsuper OR rolbypassrls OR rolreplication,"
            " pg_has_role(oid, 'heliograph_owner', 'MEMBER') FROM pg_roles WHERE rolname LIKE 'heliograph%' ORDER BY 1"
        ).fetchall()
    assert roles == [
        ("heliograph_app", True, False, False),
        ("heliograph_bootstrap", True, True, True),  # PostgreSQL's own superuser, of which the ledger's proofs must not
        ("heliograph_ledger", True, False, False),  # depend on good will: what it rewrites, the tree's root shows
        ("heliograph_migrator", True, False, True),
        ("heliograph_owner", False, False, True),
    ]


def test_a_leaf_whose_hash_is_not_its_own_is_refused_even_from_the_sequencer(a_full_ledger: None) -> None:
    with (
        pytest.raises(IntegrityError, match="ledger_leaf_hash_is_of_its_entry"),
        transaction.atomic(using=LEDGER),
        connections[LEDGER].cursor() as cursor,
    ):
        cursor.execute(A_LEAF.replace("'A'", "'B'"))


def test_a_new_partition_is_as_closed_as_the_first(a_full_ledger: None) -> None:
    with connections[OWNER].cursor() as cursor:
        cursor.execute("SELECT relname FROM pg_class WHERE relname LIKE 'ledger_leaf_0%' AND relkind = 'r' ORDER BY 1")
        assert [row[0] for row in cursor.fetchall()] == ["ledger_leaf_000000", "ledger_leaf_000001"]
    with transaction.atomic(using=OWNER):
        with connections[OWNER].cursor() as cursor:
            cursor.execute("UPDATE ledger_frontier SET size = 1048576 * 3")
            cursor.execute("SELECT ledger_make_room()")
            cursor.execute(A_LEAF)
            cursor.execute("SELECT tableoid::regclass::text FROM ledger_leaf ORDER BY index DESC LIMIT 1")
            assert cursor.fetchone() == ("ledger_leaf_000003",)
            for statement in ("UPDATE {} SET index = 0", "DELETE FROM {}", "TRUNCATE {}"):
                with pytest.raises(IntegrityError, match="append-only"), transaction.atomic(using=OWNER):
                    cursor.execute(statement.format("ledger_leaf_000003"))
            cursor.execute(
                "SELECT has_table_privilege('heliograph_app', 'ledger_leaf_000003', 'SELECT, INSERT, UPDATE')"
            )
            assert cursor.fetchone() == (False,)
        transaction.set_rollback(True, using=OWNER)


def test_giving_rights_again_takes_back_what_was_given_by_hand(committed_db: None) -> None:
    with connections[OWNER].cursor() as cursor:
        cursor.execute("GRANT ALL ON ledger_leaf, ledger_outbox TO heliograph_app, PUBLIC")
        cursor.execute("GRANT UPDATE (root) ON ledger_frontier TO heliograph_app")
    assert outcome(APP, "SELECT index FROM ledger_leaf") == ALLOWED
    call_command("prepare_database", verbosity=0)
    grants.apply()
    assert outcome(APP, "SELECT index FROM ledger_leaf") == DENIED
    assert outcome(APP, "SELECT event FROM ledger_outbox") == DENIED
    assert outcome(APP, "UPDATE ledger_frontier SET root = ''") == DENIED
    assert outcome(APP, ANOTHER) == ALLOWED


BY_A_SUPERUSER = [  # the triggers stop even it, until it switches them off: of that, only the tree can tell
    ("UPDATE ledger_leaf SET action = 'x.y'", REFUSED, ALLOWED),
    ("DELETE FROM ledger_leaf", REFUSED, ALLOWED),
    ("TRUNCATE ledger_leaf", REFUSED, ALLOWED),
    ("UPDATE ledger_frontier SET root = ''", REFUSED, ALLOWED),
    ("DELETE FROM ledger_checkpoint", REFUSED, ALLOWED),
    ("UPDATE ledger_minimum SET index = 0", REFUSED, ALLOWED),
    ("UPDATE ledger_leaf SET entry = 'x'", REFUSED, "ledger_leaf_hash_is_of_its_entry"),
]


@pytest.mark.parametrize(("statement", "at_once", "without_triggers"), BY_A_SUPERUSER)
def test_what_a_superuser_can_do(a_full_ledger: None, statement: str, at_once: str, without_triggers: str) -> None:
    for before, expected in (("origin", at_once), ("replica", without_triggers)):
        with postgres.bootstrap_connection(connections[APP].settings_dict["NAME"]) as superuser:
            superuser.execute(f"SET session_replication_role = {before}")
            superuser.execute("BEGIN")
            try:
                superuser.execute(statement)
            except psycopg.Error as error:
                said = str(error)
                assert ("append-only" in said) is (expected == REFUSED)
                assert expected == REFUSED or expected in said
            else:
                assert expected == ALLOWED
            superuser.execute("ROLLBACK")


def test_what_a_superuser_rewrote_is_never_signed(ledger: Mirror) -> None:
    grow(3)
    sign()
    with postgres.bootstrap_connection(connections[APP].settings_dict["NAME"]) as superuser:
        superuser.execute("SET session_replication_role = replica")
        superuser.execute(
            "UPDATE ledger_leaf SET entry = 'another', leaf_hash = sha256('\\x00'::bytea || 'another')"
            " WHERE index = (SELECT size - 1 FROM ledger_frontier)"
        )
        hashes = leaf_hashes()
        tree = Frontier()
        tree.extend(hashes)
        superuser.execute("UPDATE ledger_frontier SET hashes = %s, root = %s", [tree.packed(), tree.root()])
    ledger.state_file.unlink()  # a superuser of the machine, too
    grow(1)
    with pytest.raises((MustNotSign, Contradiction)):
        sign()


def test_the_doctor_counts_every_right_beyond_the_table(committed_db: None) -> None:
    grants.apply()
    assert grants.excess(APP) == grants.excess(LEDGER) == []
    with connections[OWNER].cursor() as cursor:
        cursor.execute("GRANT UPDATE (root) ON ledger_frontier TO heliograph_app")
        cursor.execute("GRANT SELECT ON ledger_leaf_000000 TO heliograph_app")
        cursor.execute("GRANT EXECUTE ON FUNCTION ledger_make_room() TO heliograph_app")
        cursor.execute("GRANT TRUNCATE ON ledger_leaf TO heliograph_ledger")
    assert grants.excess(APP) == [
        "UPDATE on ledger_frontier",
        "SELECT on ledger_leaf_000000",
        "call ledger_make_room()",
    ]
    assert grants.excess(LEDGER) == ["TRUNCATE on ledger_leaf"]
    assert [(each.subject, each.verdict) for each in checkup.rights()] == [("rights", "failure")] * 2
    grants.apply()
    assert [(each.subject, each.verdict) for each in checkup.rights()] == [("rights", "ok")] * 2
