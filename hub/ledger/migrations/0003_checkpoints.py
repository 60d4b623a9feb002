"""What was signed and cosigned about the tree, and the first leaf that is still kept: rows that nobody ever changes."""

import django.db.models.deletion
from django.db import migrations, models

TRIGGERS = "".join(
    f"""
CREATE TRIGGER {table}_is_never_changed BEFORE UPDATE OR DELETE ON {table}
    FOR EACH ROW EXECUTE FUNCTION ledger_refuse_change();
CREATE TRIGGER {table}_is_never_emptied BEFORE TRUNCATE ON {table}
    FOR EACH STATEMENT EXECUTE FUNCTION ledger_refuse_change();
"""
    for table in ("ledger_checkpoint", "ledger_cosignature", "ledger_minimum")
)


class Migration(migrations.Migration):

    dependencies = [
        ('ledger', '0002_append_only'),
    ]

    operations = [
        migrations.CreateModel(
            name='Checkpoint',
            fields=[
                ('id', models.BigAutoField(primary_key=True, serialize=False)),
                ('origin', models.TextField()),
                ('size', models.BigIntegerField()),
                ('root', models.BinaryField(max_length=32)),
                ('note', models.BinaryField()),
                ('signed_at', models.DateTimeField()),
            ],
            options={
                'db_table': 'ledger_checkpoint',
                'indexes': [models.Index(fields=['origin', 'size', 'id'], name='ledger_checkpoint_by_size')],
                'constraints': [models.UniqueConstraint(fields=('signed_at',), name='ledger_one_checkpoint_at_a_time'), models.CheckConstraint(condition=models.Q(('size__gte', 0)), name='ledger_checkpoint_size_is_never_negative')],
            },
        ),
        migrations.CreateModel(
            name='Minimum',
            fields=[
                ('index', models.BigIntegerField(primary_key=True, serialize=False)),
                ('raised_at', models.DateTimeField()),
                ('reason', models.TextField()),
            ],
            options={
                'db_table': 'ledger_minimum',
                'constraints': [models.CheckConstraint(condition=models.Q(('index__gte', 0)), name='ledger_minimum_is_never_negative')],
            },
        ),
        migrations.CreateModel(
            name='Cosignature',
            fields=[
                ('id', models.BigAutoField(primary_key=True, serialize=False)),
                ('witness', models.TextField()),
                ('line', models.TextField()),
                ('cosigned_at', models.DateTimeField()),
                ('checkpoint', models.ForeignKey(on_delete=django.db.models.deletion.DO_NOTHING, related_name='cosignatures', to='ledger.checkpoint')),
            ],
            options={
                'db_table': 'ledger_cosignature',
                'constraints': [models.UniqueConstraint(fields=('checkpoint', 'line'), name='ledger_one_cosignature_of_a_key')],
            },
        ),
        migrations.RunSQL(TRIGGERS, reverse_sql=migrations.RunSQL.noop),
    ]
