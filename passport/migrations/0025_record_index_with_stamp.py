"""The index of a history also holds what tells whether one of its records has changed, so that no row is read for it."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("passport", "0024_due_from_the_index_alone"),
    ]

    # The new one first: without any, a page would read every record of every patient meanwhile.
    operations = [
        migrations.AddIndex(
            model_name="record",
            index=models.Index(
                fields=["link_id", "-order_at", "-key", "token", "digest"], name="passport_record_of_link"
            ),
        ),
        migrations.RemoveIndex(
            model_name="record",
            name="passport_record_link_history",
        ),
    ]
