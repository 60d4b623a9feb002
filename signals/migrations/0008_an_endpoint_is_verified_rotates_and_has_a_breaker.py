"""What an endpoint needs to be verified, to rotate its secret, to have a circuit breaker and to be known as failing."""

import django.db.models.deletion
from django.db import migrations, models


# Who was being served before challenges existed goes on being served.
ARE_VERIFIED = "UPDATE signals_endpoint SET verified_at = coalesce(last_success_at, created_at)"


class Migration(migrations.Migration):
    """New columns have defaults in the database, so that processes of the version before go on working."""

    dependencies = [
        ('signals', '0007_partners_have_notices'),
    ]

    operations = [
        migrations.CreateModel(
            name='FormerSecret',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('sealed', models.BinaryField()),
                ('valid_until', models.DateTimeField()),
            ],
        ),
        migrations.AddField(
            model_name='attempt',
            name='kind',
            field=models.CharField(db_default='batch', default='batch', max_length=9),
        ),
        migrations.AddField(
            model_name='endpoint',
            name='alert_email',
            field=models.EmailField(blank=True, db_default='', default='', max_length=254),
        ),
        migrations.AddField(
            model_name='endpoint',
            name='breaker',
            field=models.CharField(db_default='closed', default='closed', max_length=9),
        ),
        migrations.AddField(
            model_name='endpoint',
            name='breaker_since',
            field=models.DateTimeField(null=True),
        ),
        migrations.AddField(
            model_name='endpoint',
            name='ca_pem',
            field=models.TextField(db_default='', default=''),
        ),
        migrations.AddField(
            model_name='endpoint',
            name='failing_mailed_at',
            field=models.DateTimeField(null=True),
        ),
        migrations.AddField(
            model_name='endpoint',
            name='failing_since',
            field=models.DateTimeField(null=True),
        ),
        migrations.AddField(
            model_name='endpoint',
            name='failing_told_at',
            field=models.DateTimeField(null=True),
        ),
        migrations.AddField(
            model_name='endpoint',
            name='has_v1a',
            field=models.BooleanField(db_default=False, default=False),
        ),
        migrations.AddField(
            model_name='endpoint',
            name='payload',
            field=models.CharField(db_default='full', default='full', max_length=4),
        ),
        migrations.AddField(
            model_name='endpoint',
            name='posts_per_minute',
            field=models.IntegerField(null=True),
        ),
        migrations.AddField(
            model_name='endpoint',
            name='test_asked_at',
            field=models.DateTimeField(null=True),
        ),
        migrations.AddField(
            model_name='endpoint',
            name='v1a_until',
            field=models.DateTimeField(null=True),
        ),
        migrations.AddField(
            model_name='endpoint',
            name='verified_at',
            field=models.DateTimeField(null=True),
        ),
        migrations.AddConstraint(
            model_name='endpoint',
            constraint=models.CheckConstraint(condition=models.Q(('breaker__in', ['closed', 'open', 'half-open'])), name='an_endpoints_breaker_is_closed_open_or_half_open'),
        ),
        migrations.AddConstraint(
            model_name='endpoint',
            constraint=models.CheckConstraint(condition=models.Q(('payload__in', ['full', 'thin'])), name='an_endpoints_payload_is_full_or_thin'),
        ),
        migrations.AddConstraint(
            model_name='endpoint',
            constraint=models.CheckConstraint(condition=models.Q(('posts_per_minute__isnull', True), ('posts_per_minute__range', (1, 6000)), _connector='OR'), name='an_endpoint_takes_1_to_6000_posts_a_minute'),
        ),
        migrations.AddField(
            model_name='formersecret',
            name='endpoint',
            field=models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='former_secrets', to='signals.endpoint'),
        ),
        migrations.RunSQL(ARE_VERIFIED, migrations.RunSQL.noop),
    ]
