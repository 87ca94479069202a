"""Logins as rows that can be listed and ended; failures counted in the database; contact settings."""

import uuid

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [("passport", "0004_audit_is_not_replaced")]

    operations = [
        migrations.AddField(
            model_name='user',
            name='language',
            field=models.CharField(blank=True, help_text="Of the pages; empty: the browser's.", max_length=10),
        ),
        migrations.AddField(
            model_name='user',
            name='login_stamp',
            field=models.CharField(blank=True, editable=False, help_text='Changed to end every session and token of the account.', max_length=32),
        ),
        migrations.AddField(
            model_name='user',
            name='phone',
            field=models.CharField(blank=True, max_length=30),
        ),
        migrations.CreateModel(
            name='Attempts',
            fields=[
                ('key', models.CharField(help_text='A keyed hash: of whom cannot be read back.', max_length=64, primary_key=True, serialize=False)),
                ('count', models.PositiveIntegerField()),
                ('until', models.DateTimeField(help_text='The end of the window: after it the count begins anew.')),
            ],
            options={
                'indexes': [models.Index(fields=['until'], name='passport_attempts_until')],
            },
        ),
        migrations.CreateModel(
            name='ContactChange',
            fields=[
                ('id', models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ('email', models.EmailField(max_length=254)),
                ('token_hash', models.CharField(max_length=64)),
                ('created_at', models.DateTimeField()),
                ('expires_at', models.DateTimeField()),
                ('confirmed_at', models.DateTimeField(blank=True, null=True)),
                ('user', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='contact_changes', to=settings.AUTH_USER_MODEL)),
            ],
        ),
        migrations.CreateModel(
            name='Entry',
            fields=[
                ('id', models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ('kind', models.CharField(choices=[('page', 'web page'), ('api', 'API')], max_length=4)),
                ('key', models.CharField(help_text="The session's key, or the family of refresh tokens.", max_length=64)),
                ('place', models.CharField(blank=True, help_text='The beginning of the network address.', max_length=40)),
                ('device', models.CharField(blank=True, help_text='Browser and system, in two words.', max_length=80)),
                ('started_at', models.DateTimeField()),
                ('seen_at', models.DateTimeField()),
                ('ended_at', models.DateTimeField(blank=True, null=True)),
                ('ended_by', models.CharField(blank=True, max_length=20)),
                ('user', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='entries', to=settings.AUTH_USER_MODEL)),
            ],
            options={
                'indexes': [models.Index(fields=['user', '-started_at'], name='passport_entry_user'), models.Index(fields=['key'], name='passport_entry_key')],
            },
        ),
    ]
