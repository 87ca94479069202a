"""Who is due is asked at every tick of every hospital: answered from the index, without reading the links."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("passport", "0023_accounts_are_called_so")]

    operations = [
        migrations.RemoveIndex(model_name="link", name="passport_link_due"),
        migrations.AddIndex(
            model_name="link",
            index=models.Index(
                fields=["hospital", "state", "refreshed_at", "epoch", "marks", "fresh_marks", "fresh_config_version"],
                name="passport_link_due",
            ),
        ),
    ]
