"""An endpoint without a programme is sent its partner's notices."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("signals", "0010_recalls_have_a_board"),
    ]

    operations = [
        migrations.AlterField(
            model_name="endpoint",
            name="programme_id",
            field=models.BigIntegerField(null=True),
        ),
    ]
