from django.db import migrations, models


class Migration(migrations.Migration):
    """There are no receipts yet: the type of statement that makes them comes with this."""

    dependencies = [("signals", "0011_an_endpoint_may_be_of_notices")]

    operations = [
        migrations.AddField(
            model_name="receipt", name="key_id", field=models.BigIntegerField(default=0), preserve_default=False
        )
    ]
