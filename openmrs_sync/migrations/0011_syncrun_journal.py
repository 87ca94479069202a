"""A run keeps its phases, what became of the rows by table, and the receipt at its end."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("openmrs_sync", "0010_inspection_concepts"),
    ]

    operations = [
        migrations.AddField(
            model_name="syncrun",
            name="journal",
            field=models.JSONField(default=dict, help_text="Phases, tables, receipt; see `journal`."),
        ),
    ]
