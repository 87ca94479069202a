from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("openmrs_sync", "0002_initial")]

    operations = [
        migrations.AddField(
            model_name="syncrun",
            name="worker",
            field=models.CharField(
                blank=True,
                help_text="The cluster whose worker has it: when that one dies, so did this run.",
                max_length=100,
                default="",
            ),
        ),
    ]
