
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('partners', '0004_a_membership_says_who_answers_for_it'),
    ]

    operations = [
        migrations.AddField(
            model_name='programme',
            name='on_leaving',
            field=models.TextField(db_default='keep', default='keep'),
        ),
        migrations.AddConstraint(
            model_name='programme',
            constraint=models.CheckConstraint(condition=models.Q(('on_leaving__in', ['keep', 'withdraw'])), name='programme_keeps_or_withdraws_what_leavers_said'),
        ),
    ]
