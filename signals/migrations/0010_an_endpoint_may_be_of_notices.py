"""An endpoint without a programme is sent its partner's notices."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("signals", "0009_partners_acknowledge_recalls"),
    ]

    operations = [
        migrations.AlterField(
            model_name="endpoint",
            name="programme_id",
            field=models.BigIntegerField(null=True),
        ),
    ]
