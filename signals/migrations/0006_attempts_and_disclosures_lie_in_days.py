"""Attempts and disclosures are partitioned by day (docs/decisions/0042), so that retention drops a day and deletes no row."""

import django.db.models.deletion
from django.db import migrations, models

# Neither table has foreign keys in the database: making a day would lock what they point to while deliveries write it.
TABLES = """
ALTER TABLE signals_attempt RENAME TO signals_attempt_before;
ALTER TABLE signals_disclosure RENAME TO signals_disclosure_before;
CREATE SEQUENCE signals_attempt_ids;
CREATE SEQUENCE signals_disclosure_ids;

CREATE TABLE signals_attempt (
    id bigint NOT NULL DEFAULT nextval('signals_attempt_ids'),
    endpoint_id uuid NOT NULL,
    at timestamptz NOT NULL,
    webhook_id varchar(80) NOT NULL,
    signal_count integer NOT NULL,
    is_delivered boolean NOT NULL,
    status integer,
    error varchar(32) NOT NULL,
    sealed_excerpt bytea,
    latency_ms integer NOT NULL,
    settled boolean NOT NULL,
    CONSTRAINT signals_attempt_by_id PRIMARY KEY (id, at)
) PARTITION BY RANGE (at);
CREATE INDEX attempt_of_endpoint_by_time ON signals_attempt (endpoint_id, at DESC, id DESC);

CREATE TABLE signals_disclosure (
    id bigint NOT NULL DEFAULT nextval('signals_disclosure_ids'),
    walk_id bigint NOT NULL,
    from_position bigint NOT NULL,
    to_position bigint NOT NULL,
    head bigint NOT NULL,
    count integer NOT NULL,
    root bytea NOT NULL,
    at timestamptz NOT NULL,
    CONSTRAINT signals_disclosure_by_id PRIMARY KEY (id, at),
    CONSTRAINT a_disclosure_ends_at_or_before_its_head CHECK (from_position <= to_position AND to_position <= head)
) PARTITION BY RANGE (at);
CREATE INDEX disclosure_of_walk_by_time ON signals_disclosure (walk_id, at)
    INCLUDE (from_position, to_position, head);

ALTER SEQUENCE signals_attempt_ids OWNED BY signals_attempt.id;
ALTER SEQUENCE signals_disclosure_ids OWNED BY signals_disclosure.id;
CREATE TABLE signals_attempt_default PARTITION OF signals_attempt DEFAULT;
CREATE TABLE signals_disclosure_default PARTITION OF signals_disclosure DEFAULT;
"""

# The application may not make or drop tables; these may, as their owner, and do nothing else. A lock that is not given
# within two seconds is left for the next time: nothing waits behind it for longer, and days are made a week ahead.
ROOM = """
CREATE FUNCTION signals_make_day(parent text, day date) RETURNS boolean
LANGUAGE plpgsql SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    name CONSTANT text := parent || '_' || to_char(day, 'YYYYMMDD');
    since CONSTANT timestamptz := day::timestamp AT TIME ZONE 'UTC';
    until CONSTANT timestamptz := (day + 1)::timestamp AT TIME ZONE 'UTC';
    is_taken boolean;
BEGIN
    IF to_regclass(format('public.%I', name)) IS NOT NULL THEN
        RETURN false;
    END IF;
    -- A day that found no room of its own when it came stays in the default partition.
    EXECUTE format('SELECT EXISTS (SELECT 1 FROM public.%I WHERE at >= $1 AND at < $2)', parent || '_default')
       INTO is_taken USING since, until;
    IF is_taken THEN
        RETURN false;
    END IF;
    EXECUTE format('CREATE TABLE public.%I (LIKE public.%I INCLUDING DEFAULTS INCLUDING CONSTRAINTS)', name, parent);
    EXECUTE format('ALTER TABLE public.%I ATTACH PARTITION public.%I FOR VALUES FROM (%L) TO (%L)',
                   parent, name, since, until);
    IF parent = 'signals_disclosure' THEN
        EXECUTE format('CREATE TRIGGER signals_disclosure_is_never_emptied BEFORE TRUNCATE ON public.%I '
                       'FOR EACH STATEMENT EXECUTE FUNCTION public.signals_refuse_rewriting()', name);
    END IF;
    RETURN true;
END $$;
REVOKE ALL ON FUNCTION signals_make_day(text, date) FROM PUBLIC;

CREATE FUNCTION signals_make_days() RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp SET lock_timeout = '2s' AS $$
DECLARE
    today CONSTANT date := (clock_timestamp() AT TIME ZONE 'UTC')::date;
    made integer := 0;
    parent text;
    ahead integer;
BEGIN
    PERFORM pg_advisory_xact_lock(114784819834627);  -- one process at a time makes days
    FOREACH parent IN ARRAY ARRAY['signals_attempt', 'signals_disclosure'] LOOP
        FOR ahead IN -1 .. 7 LOOP
            made := made + signals_make_day(parent, today + ahead)::integer;
        END LOOP;
    END LOOP;
    RETURN made;
END $$;
REVOKE ALL ON FUNCTION signals_make_days() FROM PUBLIC;

CREATE FUNCTION signals_drop_attempts(older_than_days integer) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp SET lock_timeout = '2s' AS $$
DECLARE
    today CONSTANT date := (clock_timestamp() AT TIME ZONE 'UTC')::date;
    first_kept date;
    dropped integer := 0;
    name text;
BEGIN
    IF older_than_days IS NULL OR older_than_days < 1 THEN
        RAISE EXCEPTION 'attempts are kept for at least a day' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    first_kept := today - older_than_days;
    FOR name IN
        SELECT child.relname FROM pg_inherits JOIN pg_class AS child ON child.oid = inhrelid
         WHERE inhparent = 'public.signals_attempt'::regclass AND child.relname ~ '^signals_attempt_[0-9]{8}$'
           AND to_date(right(child.relname, 8), 'YYYYMMDD') < first_kept ORDER BY 1
    LOOP
        EXECUTE format('DROP TABLE public.%I', name);
        dropped := dropped + 1;
    END LOOP;
    DELETE FROM public.signals_attempt_default WHERE at < first_kept::timestamp AT TIME ZONE 'UTC';
    RETURN dropped;
END $$;
REVOKE ALL ON FUNCTION signals_drop_attempts(integer) FROM PUBLIC;
"""

# A disclosure's time is never before that of the head it was read at: what a change's time is looked for from.
CARRY_OVER = """
SELECT signals_make_day('signals_attempt', day)
  FROM (SELECT DISTINCT (at AT TIME ZONE 'UTC')::date AS day FROM signals_attempt_before) AS days;
INSERT INTO signals_attempt (id, endpoint_id, at, webhook_id, signal_count, is_delivered, status, error,
                             sealed_excerpt, latency_ms, settled)
SELECT id, endpoint_id, at, webhook_id, signal_count, is_delivered, status, error, sealed_excerpt, latency_ms, settled
  FROM signals_attempt_before;
SELECT setval('signals_attempt_ids', coalesce((SELECT max(id) FROM signals_attempt), 0) + 1, false);
DROP TABLE signals_attempt_before;

CREATE TABLE signals_disclosure_carried AS
SELECT disclosure.id, walk_id, from_position, to_position, head, count, root,
       greatest(disclosure.at, change.at) AS at
  FROM signals_disclosure_before AS disclosure
  JOIN signals_walk AS walk ON walk.id = disclosure.walk_id
  LEFT JOIN signals_change AS change ON change.programme_id = walk.programme_id AND change.position = disclosure.head;
SELECT signals_make_day('signals_disclosure', day)
  FROM (SELECT DISTINCT (at AT TIME ZONE 'UTC')::date AS day FROM signals_disclosure_carried) AS days;
INSERT INTO signals_disclosure (id, walk_id, from_position, to_position, head, count, root, at)
SELECT id, walk_id, from_position, to_position, head, count, root, at FROM signals_disclosure_carried;
SELECT setval('signals_disclosure_ids', coalesce((SELECT max(id) FROM signals_disclosure), 0) + 1, false);
DROP TABLE signals_disclosure_before, signals_disclosure_carried;

CREATE TRIGGER signals_disclosure_is_insert_only BEFORE UPDATE OR DELETE ON signals_disclosure
    FOR EACH ROW EXECUTE FUNCTION signals_refuse_rewriting();
CREATE TRIGGER signals_disclosure_is_never_emptied BEFORE TRUNCATE ON signals_disclosure
    FOR EACH STATEMENT EXECUTE FUNCTION signals_refuse_rewriting();
CREATE TRIGGER signals_disclosure_is_never_emptied BEFORE TRUNCATE ON signals_disclosure_default
    FOR EACH STATEMENT EXECUTE FUNCTION signals_refuse_rewriting();
SELECT signals_make_days();
"""

BACKWARDS = """
DROP FUNCTION signals_make_days(), signals_drop_attempts(integer), signals_make_day(text, date);
ALTER TABLE signals_attempt RENAME TO signals_attempt_in_days;
ALTER TABLE signals_disclosure RENAME TO signals_disclosure_in_days;
CREATE TABLE signals_attempt (
    id bigint NOT NULL GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY,
    at timestamptz NOT NULL,
    webhook_id varchar(80) NOT NULL,
    signal_count integer NOT NULL,
    is_delivered boolean NOT NULL,
    status integer,
    error varchar(32) NOT NULL,
    sealed_excerpt bytea,
    latency_ms integer NOT NULL,
    settled boolean NOT NULL,
    endpoint_id uuid NOT NULL REFERENCES signals_endpoint (id) DEFERRABLE INITIALLY DEFERRED
);
CREATE INDEX attempt_of_endpoint ON signals_attempt (endpoint_id, id DESC);
CREATE TABLE signals_disclosure (
    id bigint NOT NULL GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY,
    from_position bigint NOT NULL,
    to_position bigint NOT NULL,
    head bigint NOT NULL,
    count integer NOT NULL,
    root bytea NOT NULL,
    at timestamptz NOT NULL,
    walk_id bigint NOT NULL REFERENCES signals_walk (id) DEFERRABLE INITIALLY DEFERRED,
    CONSTRAINT a_disclosure_ends_at_or_before_the_head CHECK (from_position <= to_position AND to_position <= head)
);
CREATE INDEX disclosure_of_walk ON signals_disclosure (walk_id, to_position);
INSERT INTO signals_attempt (id, endpoint_id, at, webhook_id, signal_count, is_delivered, status, error,
                             sealed_excerpt, latency_ms, settled)
SELECT id, endpoint_id, at, webhook_id, signal_count, is_delivered, status, error, sealed_excerpt, latency_ms, settled
  FROM signals_attempt_in_days;
INSERT INTO signals_disclosure (id, walk_id, from_position, to_position, head, count, root, at)
SELECT id, walk_id, from_position, to_position, head, count, root, at FROM signals_disclosure_in_days;
SELECT setval(pg_get_serial_sequence('signals_attempt', 'id'), coalesce((SELECT max(id) FROM signals_attempt), 0) + 1, false);
SELECT setval(pg_get_serial_sequence('signals_disclosure', 'id'), coalesce((SELECT max(id) FROM signals_disclosure), 0) + 1, false);
SET CONSTRAINTS ALL IMMEDIATE;
DROP TABLE signals_attempt_in_days, signals_disclosure_in_days;
CREATE TRIGGER signals_disclosure_is_insert_only BEFORE UPDATE OR DELETE ON signals_disclosure
    FOR EACH ROW EXECUTE FUNCTION signals_refuse_rewriting();
CREATE TRIGGER signals_disclosure_is_never_emptied BEFORE TRUNCATE ON signals_disclosure
    FOR EACH STATEMENT EXECUTE FUNCTION signals_refuse_rewriting();
"""


def _ids(name):
    return models.BigIntegerField(
        db_default=models.Func(models.Value(name), function="nextval", output_field=models.BigIntegerField())
    )


class Migration(migrations.Migration):
    """Existing rows are carried over, each to its day."""

    dependencies = [("signals", "0005_lists_of_signals_and_disclosures_have_their_indexes")]

    operations = [
        migrations.SeparateDatabaseAndState(
            database_operations=[migrations.RunSQL(TABLES + ROOM + CARRY_OVER, BACKWARDS)],
            state_operations=[
                migrations.DeleteModel(name="Attempt"),
                migrations.DeleteModel(name="Disclosure"),
                migrations.CreateModel(
                    name="Attempt",
                    fields=[
                        (
                            "pk",
                            models.CompositePrimaryKey(
                                "id", "at", blank=True, editable=False, primary_key=True, serialize=False
                            ),
                        ),
                        ("id", _ids("signals_attempt_ids")),
                        ("at", models.DateTimeField()),
                        ("webhook_id", models.CharField(max_length=80)),
                        ("signal_count", models.IntegerField()),
                        ("is_delivered", models.BooleanField()),
                        ("status", models.IntegerField(null=True)),
                        ("error", models.CharField(default="", max_length=32)),
                        ("sealed_excerpt", models.BinaryField(null=True)),
                        ("latency_ms", models.IntegerField()),
                        ("settled", models.BooleanField(default=True)),
                        (
                            "endpoint",
                            models.ForeignKey(
                                db_constraint=False,
                                db_index=False,
                                on_delete=django.db.models.deletion.PROTECT,
                                related_name="attempts",
                                to="signals.endpoint",
                            ),
                        ),
                    ],
                    options={
                        "indexes": [models.Index(fields=["endpoint", "-at", "-id"], name="attempt_of_endpoint_by_time")]
                    },
                ),
                migrations.CreateModel(
                    name="Disclosure",
                    fields=[
                        (
                            "pk",
                            models.CompositePrimaryKey(
                                "id", "at", blank=True, editable=False, primary_key=True, serialize=False
                            ),
                        ),
                        ("id", _ids("signals_disclosure_ids")),
                        ("from_position", models.BigIntegerField()),
                        ("to_position", models.BigIntegerField()),
                        ("head", models.BigIntegerField()),
                        ("count", models.IntegerField()),
                        ("root", models.BinaryField(max_length=32)),
                        ("at", models.DateTimeField()),
                        (
                            "walk",
                            models.ForeignKey(
                                db_constraint=False,
                                db_index=False,
                                on_delete=django.db.models.deletion.PROTECT,
                                related_name="disclosures",
                                to="signals.walk",
                            ),
                        ),
                    ],
                    options={
                        "constraints": [
                            models.CheckConstraint(
                                condition=models.Q(
                                    from_position__lte=models.F("to_position"), to_position__lte=models.F("head")
                                ),
                                name="a_disclosure_ends_at_or_before_its_head",
                            )
                        ],
                        "indexes": [
                            models.Index(
                                fields=["walk", "at"],
                                include=["from_position", "to_position", "head"],
                                name="disclosure_of_walk_by_time",
                            )
                        ],
                    },
                ),
            ],
        ),
    ]
