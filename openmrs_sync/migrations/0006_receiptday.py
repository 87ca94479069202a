import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("openmrs_sync", "0005_parkedrow_next_try_at"), ("hospitals", "0002_hospital_pace_and_quiet_hours")]

    operations = [
        migrations.CreateModel(
            name='ReceiptDay',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('day', models.DateField()),
                ('read_at', models.DateTimeField(help_text='End of the run that left it.')),
                ('n_source', models.PositiveBigIntegerField(default=0)),
                ('n_stored', models.PositiveBigIntegerField(default=0)),
                ('n_parked', models.PositiveBigIntegerField(default=0)),
                ('n_excluded', models.PositiveBigIntegerField(default=0)),
                ('n_unexplained', models.PositiveBigIntegerField(default=0)),
                ('persons', models.JSONField(default=dict, help_text='As in a receipt: voided, unlinked, held, linked, …')),
            ],
        ),
        migrations.AddField(
            model_name='receiptday',
            name='hospital',
            field=models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='receipt_days', to='hospitals.hospital'),
        ),
        migrations.AddConstraint(
            model_name='receiptday',
            constraint=models.UniqueConstraint(fields=('hospital', 'day'), name='openmrs_sync_receipt_day'),
        ),
    ]
