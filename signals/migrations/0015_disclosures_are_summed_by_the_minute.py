"""One leaf for a minute of disclosures: what waits to be summed, and what each leaf commits to. Nobody rewrites either."""

import django.contrib.postgres.fields
from django.db import migrations, models


GUARDS = """
CREATE TRIGGER signals_disclosedminute_is_insert_only BEFORE UPDATE OR DELETE ON signals_disclosedminute
    FOR EACH ROW EXECUTE FUNCTION signals_refuse_rewriting();
CREATE TRIGGER signals_disclosedminute_is_never_emptied BEFORE TRUNCATE ON signals_disclosedminute
    FOR EACH STATEMENT EXECUTE FUNCTION signals_refuse_rewriting();
CREATE TRIGGER signals_unsummed_is_never_changed BEFORE UPDATE ON signals_unsummed
    FOR EACH ROW EXECUTE FUNCTION signals_refuse_rewriting();
CREATE TRIGGER signals_unsummed_is_never_emptied BEFORE TRUNCATE ON signals_unsummed
    FOR EACH STATEMENT EXECUTE FUNCTION signals_refuse_rewriting();
-- Emptied as fast as it fills: vacuum by count, not by share.
ALTER TABLE signals_unsummed SET (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000,
                                  autovacuum_vacuum_insert_scale_factor = 0, autovacuum_vacuum_insert_threshold = 5000);
"""

UNGUARDED = """
DROP TRIGGER signals_disclosedminute_is_insert_only ON signals_disclosedminute;
DROP TRIGGER signals_disclosedminute_is_never_emptied ON signals_disclosedminute;
DROP TRIGGER signals_unsummed_is_never_changed ON signals_unsummed;
DROP TRIGGER signals_unsummed_is_never_emptied ON signals_unsummed;
"""


class Migration(migrations.Migration):
    dependencies = [
        ("signals", "0014_exports_of_the_ledger"),
    ]

    operations = [
        migrations.CreateModel(
            name="DisclosedMinute",
            fields=[
                ("id", models.UUIDField(primary_key=True, serialize=False)),
                ("partner_id", models.BigIntegerField()),
                ("programme_id", models.BigIntegerField(null=True)),
                ("channel", models.CharField(max_length=64)),
                ("minute", models.DateTimeField()),
                (
                    "disclosure_ids",
                    django.contrib.postgres.fields.ArrayField(base_field=models.BigIntegerField(), size=None),
                ),
                ("root", models.BinaryField(max_length=32)),
                ("at", models.DateTimeField()),
            ],
            options={
                "indexes": [
                    models.Index(fields=["partner_id", "programme_id", "channel", "minute"], name="minute_of_channel")
                ],
            },
        ),
        migrations.CreateModel(
            name="Unsummed",
            fields=[
                ("disclosure_id", models.BigIntegerField(primary_key=True, serialize=False)),
                ("at", models.DateTimeField()),
                ("waits_since", models.DateTimeField(db_default=models.Func(function="clock_timestamp"))),
            ],
            options={
                "indexes": [models.Index(fields=["waits_since"], name="unsummed_by_time")],
            },
        ),
        migrations.RunSQL(GUARDS, UNGUARDED),
    ]
