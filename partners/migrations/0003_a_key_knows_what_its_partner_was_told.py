"""Each key says what its partner was last told of it; keys of before are taken as told."""

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('partners', '0002_limits_of_a_partner'),
    ]

    operations = [
        migrations.AddField(
            model_name='signingkey',
            name='told_state',
            field=models.TextField(blank=True, db_default='', default=''),
        ),
        migrations.RunSQL("UPDATE partners_signingkey SET told_state = state", migrations.RunSQL.noop),
        migrations.AddIndex(
            model_name='signingkey',
            index=models.Index(condition=models.Q(('told_state', models.F('state')), _negated=True), fields=['id'], name='signing_key_to_tell'),
        ),
    ]
