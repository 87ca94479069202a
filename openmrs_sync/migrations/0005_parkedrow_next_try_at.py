from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("openmrs_sync", "0004_watermark_is_brake_suspended")]

    operations = [
        migrations.AddField(
            model_name='parkedrow',
            name='next_try_at',
            field=models.DateTimeField(blank=True, help_text='Its person is read again by then at the latest. Empty: with the next run.', null=True),
        ),
        migrations.AddIndex(
            model_name='parkedrow',
            index=models.Index(fields=['hospital', 'next_try_at'], name='openmrs_sync_parked_due'),
        ),
    ]
