"""That somebody's number or link moved: 0022 has the database write it."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("passport", "0020_record_no_like_index"),
    ]

    operations = [
        migrations.CreateModel(
            name="IdentityMove",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                (
                    "hospital_id",
                    models.UUIDField(help_text="Of the link; null: a passport's number, so every hospital.", null=True),
                ),
            ],
        ),
    ]
