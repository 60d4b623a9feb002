import django.contrib.postgres.fields
import uuid
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('signals', '0025_quality_cases_keep_their_measure'),
    ]

    operations = [
        migrations.CreateModel(
            name='Departure',
            fields=[
                ('id', models.UUIDField(default=uuid.uuid4, primary_key=True, serialize=False)),
                ('partner_id', models.BigIntegerField()),
                ('programme_id', models.BigIntegerField()),
                ('generation', models.IntegerField()),
                ('left_at', models.DateTimeField()),
                ('fate', models.CharField(max_length=8)),
                ('withdrawn', models.IntegerField(default=0)),
                ('settled_at', models.DateTimeField(null=True)),
                ('due_at', models.DateTimeField()),
                ('erasure', models.CharField(default='', max_length=12)),
                ('erased_at', models.DateTimeField(null=True)),
                ('noted_by', models.CharField(default='', max_length=64)),
                ('key_id', models.BigIntegerField(null=True)),
                ('jws', models.BinaryField(null=True)),
                ('digest', models.BinaryField(max_length=32, null=True)),
                ('scope', django.contrib.postgres.fields.ArrayField(base_field=models.CharField(max_length=16), default=list, size=None)),
            ],
        ),
        migrations.RemoveConstraint(
            model_name='notice',
            name='a_notice_is_of_a_known_kind',
        ),
        migrations.AddConstraint(
            model_name='notice',
            constraint=models.CheckConstraint(condition=models.Q(('kind__in', ['recall', 'verdict.late', 'signal.weighed', 'departure.began', 'appeal.decided', 'appeal.answered', 'quality.decided', 'signal.disputed', 'key.proposed', 'key.activated', 'key.retired', 'key.revoked', 'endpoint.disabled', 'endpoint.paused', 'endpoint.resumed', 'endpoint.failing', 'endpoint.recovered', 'endpoint.verified', 'endpoint.secret-rotated', 'feed.reset'])), name='a_notice_is_of_a_known_kind'),
        ),
        migrations.AddIndex(
            model_name='departure',
            index=models.Index(condition=models.Q(('settled_at__isnull', True)), fields=['left_at'], name='departure_unsettled'),
        ),
        migrations.AddIndex(
            model_name='departure',
            index=models.Index(condition=models.Q(('erasure', '')), fields=['due_at'], name='departure_owed'),
        ),
        migrations.AddConstraint(
            model_name='departure',
            constraint=models.UniqueConstraint(fields=('partner_id', 'programme_id', 'generation'), name='a_stay_ends_with_one_departure'),
        ),
        migrations.AddConstraint(
            model_name='departure',
            constraint=models.CheckConstraint(condition=models.Q(('fate__in', ['keep', 'withdraw'])), name='a_leavers_signals_have_a_known_fate'),
        ),
        migrations.AddConstraint(
            model_name='departure',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('erased_at__isnull', True), ('erasure', ''), ('noted_by', '')), models.Q(('erased_at__isnull', False), ('erasure__in', ['signed', 'on-paper', 'given-up']), models.Q(('noted_by', ''), _negated=True)), _connector='OR'), name='an_erasure_says_how_when_and_by_whom_it_is_known'),
        ),
        migrations.AddConstraint(
            model_name='departure',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('erasure', 'signed'), _negated=True), models.Q(('digest__isnull', False), ('jws__isnull', False), ('key_id__isnull', False)), _connector='OR'), name='a_signed_erasure_has_its_signature'),
        ),
    ]
