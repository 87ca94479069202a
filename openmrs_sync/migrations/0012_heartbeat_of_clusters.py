"""Room for the name of a cluster, which begins with its machine's."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("openmrs_sync", "0011_syncrun_journal"),
    ]

    operations = [
        migrations.AlterField(
            model_name="heartbeat",
            name="name",
            field=models.CharField(max_length=120, primary_key=True, serialize=False),
        ),
    ]
