from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("openmrs_sync", "0009_syncrun_is_deep")]

    operations = [
        migrations.AlterField(
            model_name='inspection',
            name='kind',
            field=models.CharField(choices=[('verify', 'count afresh'), ('dry_run', 'dry run'), ('concepts', 'concepts without a category')], max_length=10),
        ),
    ]
