"""What people call the rows of `User`. Words alone: the database is not touched."""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("passport", "0022_identity_moves_by_triggers")]

    operations = [migrations.AlterModelOptions(name="user", options={"verbose_name": "account"})]
