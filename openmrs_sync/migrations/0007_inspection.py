import django.db.models.deletion
import uuid
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("openmrs_sync", "0006_receiptday"), ("hospitals", "0002_hospital_pace_and_quiet_hours")]

    operations = [
        migrations.CreateModel(
            name='Inspection',
            fields=[
                ('id', models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ('kind', models.CharField(choices=[('verify', 'count afresh'), ('dry_run', 'dry run')], max_length=10)),
                ('status', models.CharField(choices=[('queued', 'queued'), ('running', 'running'), ('done', 'done'), ('failed', 'failed')], default='queued', max_length=10)),
                ('error_kind', models.CharField(blank=True, max_length=30)),
                ('message', models.TextField(blank=True, help_text='One sentence with the next step. Never a name or value.')),
                ('asked_at', models.DateTimeField()),
                ('alive_at', models.DateTimeField(help_text='The last sign of life of whoever has it.')),
                ('finished_at', models.DateTimeField(blank=True, null=True)),
                ('n_tries', models.PositiveIntegerField(default=0, help_text='How often a worker took it.')),
                ('n_deaths', models.PositiveIntegerField(default=0, help_text='How often a worker died of it.')),
                ('n_done', models.PositiveIntegerField(default=0, help_text='Persons.')),
                ('n_all', models.PositiveIntegerField(default=0, help_text='Persons; 0: not known yet.')),
                ('n_source_rows', models.PositiveBigIntegerField(default=0, help_text='Rows fetched from the source in all.')),
                ('source_seconds', models.FloatField(default=0, help_text='Seconds spent waiting for the source.')),
                ('config_version', models.PositiveIntegerField(default=0, help_text="The hospital's, when it began.")),
                ('progress', models.JSONField(default=dict)),
                ('result', models.JSONField(default=dict)),
            ],
            options={
                'ordering': ['-asked_at'],
            },
        ),
        migrations.AddField(
            model_name='inspection',
            name='hospital',
            field=models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='inspections', to='hospitals.hospital'),
        ),
        migrations.AddIndex(
            model_name='inspection',
            index=models.Index(fields=['hospital', 'kind', '-asked_at'], name='openmrs_sync_inspection_latest'),
        ),
    ]
