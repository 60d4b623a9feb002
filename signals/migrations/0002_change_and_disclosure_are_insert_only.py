"""Nobody rewrites the change log, the walks or the disclosures: whoever holds the table is refused by the trigger."""

from django.db import migrations

TABLES = ("signals_change", "signals_disclosure", "signals_walk")

FORWARDS = """
CREATE FUNCTION signals_refuse_rewriting() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is insert-only: % refused', TG_TABLE_NAME, TG_OP USING ERRCODE = 'insufficient_privilege';
END $$;
""" + "".join(
    f"""
CREATE TRIGGER {table}_is_insert_only BEFORE UPDATE OR DELETE ON {table}
    FOR EACH ROW EXECUTE FUNCTION signals_refuse_rewriting();
CREATE TRIGGER {table}_is_never_emptied BEFORE TRUNCATE ON {table}
    FOR EACH STATEMENT EXECUTE FUNCTION signals_refuse_rewriting();
"""
    for table in TABLES
)

BACKWARDS = (
    "".join(
        f"DROP TRIGGER {table}_is_insert_only ON {table}; DROP TRIGGER {table}_is_never_emptied ON {table};"
        for table in TABLES
    )
    + "DROP FUNCTION signals_refuse_rewriting();"
)


class Migration(migrations.Migration):
    """Row and statement triggers; foreign keys to these tables protect, so nothing needs to delete from them."""

    dependencies = [("signals", "0001_initial")]
    operations = [migrations.RunSQL(FORWARDS, BACKWARDS)]
