"""The leaves' partitioned table, the triggers that refuse every change, and the views through which the application reads."""

from __future__ import annotations

from django.db import migrations

REFUSAL = """
CREATE FUNCTION ledger_refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the ledger is append-only: % on % is refused, whoever asks', TG_OP, TG_TABLE_NAME
        USING ERRCODE = 'restrict_violation';
END $$;
"""

LEAVES = """
CREATE TABLE ledger_leaf (
    index bigint NOT NULL,
    leaf_hash bytea NOT NULL,
    entry bytea NOT NULL,
    action text NOT NULL,
    actor text NOT NULL,
    at timestamptz NOT NULL,
    subjects text[] NOT NULL,
    CONSTRAINT ledger_leaf_pkey PRIMARY KEY (index),
    CONSTRAINT ledger_leaf_fits_an_entry_bundle CHECK (octet_length(entry) BETWEEN 1 AND 65535),
    CONSTRAINT ledger_leaf_hash_is_of_its_entry CHECK (leaf_hash = sha256('\\x00'::bytea || entry))
) PARTITION BY RANGE (index);
CREATE INDEX ledger_leaf_by_action ON ledger_leaf (action, index);
CREATE INDEX ledger_leaf_by_subject ON ledger_leaf USING gin (subjects);

CREATE TABLE ledger_subject (
    subject text PRIMARY KEY,
    last bigint NOT NULL CONSTRAINT ledger_running_numbers_begin_at_one CHECK (last >= 1)
) WITH (fillfactor = 70);
"""

# The sequencer may not create tables; this function may, as their owner, and does only this one thing.
ROOM = """
CREATE FUNCTION ledger_make_room() RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    leaves CONSTANT bigint := 1048576;
    number bigint;
    name text;
BEGIN
    SELECT size / leaves INTO STRICT number FROM public.ledger_frontier;
    FOR number IN number .. number + 1 LOOP
        name := 'ledger_leaf_' || lpad(number::text, 6, '0');
        IF to_regclass('public.' || name) IS NULL THEN
            EXECUTE format('CREATE TABLE public.%I (LIKE public.ledger_leaf INCLUDING CONSTRAINTS)', name);
            EXECUTE format('ALTER TABLE public.ledger_leaf ATTACH PARTITION public.%I FOR VALUES FROM (%s) TO (%s)',
                           name, number * leaves, (number + 1) * leaves);
            EXECUTE format('CREATE TRIGGER ledger_leaf_is_never_emptied BEFORE TRUNCATE ON public.%I '
                           'FOR EACH STATEMENT EXECUTE FUNCTION public.ledger_refuse_change()', name);
        END IF;
    END LOOP;
END $$;
REVOKE ALL ON FUNCTION ledger_make_room() FROM PUBLIC;
"""

TRIGGERS = """
CREATE TRIGGER ledger_leaf_is_never_changed BEFORE UPDATE OR DELETE ON ledger_leaf
    FOR EACH ROW EXECUTE FUNCTION ledger_refuse_change();
CREATE TRIGGER ledger_leaf_is_never_emptied BEFORE TRUNCATE ON ledger_leaf
    FOR EACH STATEMENT EXECUTE FUNCTION ledger_refuse_change();

CREATE TRIGGER ledger_outbox_is_never_changed BEFORE UPDATE ON ledger_outbox
    FOR EACH ROW EXECUTE FUNCTION ledger_refuse_change();
CREATE TRIGGER ledger_outbox_is_never_emptied BEFORE TRUNCATE ON ledger_outbox
    FOR EACH STATEMENT EXECUTE FUNCTION ledger_refuse_change();

CREATE TRIGGER ledger_frontier_only_grows BEFORE UPDATE ON ledger_frontier
    FOR EACH ROW WHEN (NEW.size <= OLD.size) EXECUTE FUNCTION ledger_refuse_change();
CREATE TRIGGER ledger_frontier_is_never_deleted BEFORE DELETE ON ledger_frontier
    FOR EACH ROW EXECUTE FUNCTION ledger_refuse_change();
CREATE TRIGGER ledger_frontier_is_never_emptied BEFORE TRUNCATE ON ledger_frontier
    FOR EACH STATEMENT EXECUTE FUNCTION ledger_refuse_change();

CREATE TRIGGER ledger_subject_only_grows BEFORE UPDATE ON ledger_subject
    FOR EACH ROW WHEN (NEW.last <= OLD.last OR NEW.subject <> OLD.subject) EXECUTE FUNCTION ledger_refuse_change();
CREATE TRIGGER ledger_subject_is_never_deleted BEFORE DELETE ON ledger_subject
    FOR EACH ROW EXECUTE FUNCTION ledger_refuse_change();
CREATE TRIGGER ledger_subject_is_never_emptied BEFORE TRUNCATE ON ledger_subject
    FOR EACH STATEMENT EXECUTE FUNCTION ledger_refuse_change();

CREATE TRIGGER ledger_epoch_is_never_changed BEFORE UPDATE OR DELETE ON ledger_epoch
    FOR EACH ROW EXECUTE FUNCTION ledger_refuse_change();
CREATE TRIGGER ledger_epoch_is_never_emptied BEFORE TRUNCATE ON ledger_epoch
    FOR EACH STATEMENT EXECUTE FUNCTION ledger_refuse_change();
"""

VIEWS = """
CREATE VIEW ledger_reading AS SELECT index, leaf_hash, entry, action, actor, at, subjects FROM ledger_leaf;
CREATE VIEW ledger_tree AS SELECT size, root, sequenced_at FROM ledger_frontier;
CREATE VIEW ledger_backlog AS
    SELECT count(*) AS waiting, (SELECT id FROM ledger_outbox ORDER BY id LIMIT 1) AS oldest FROM ledger_outbox;
"""

FIRST_ROWS = """
INSERT INTO ledger_frontier (id, size, hashes, root, sequenced_at) VALUES (1, 0, '', sha256(''), 'epoch');
INSERT INTO ledger_epoch (number, reason) VALUES (1, 'The hub was installed.');
SELECT ledger_make_room();
-- The outbox is emptied as fast as it fills: vacuum by count, not by share.
ALTER TABLE ledger_outbox SET (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000,
                               autovacuum_vacuum_insert_scale_factor = 0, autovacuum_vacuum_insert_threshold = 5000);
"""

UNDO = """
DROP VIEW ledger_backlog, ledger_tree, ledger_reading;
DROP FUNCTION ledger_make_room();
DROP TABLE ledger_leaf, ledger_subject;
DROP FUNCTION ledger_refuse_change() CASCADE;
DELETE FROM ledger_frontier;
DELETE FROM ledger_epoch;
"""


class Migration(migrations.Migration):
    dependencies = [("ledger", "0001_initial")]

    operations = [
        migrations.RunSQL(REFUSAL + LEAVES + ROOM + TRIGGERS + VIEWS + FIRST_ROWS, reverse_sql=UNDO),
    ]
