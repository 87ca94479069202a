"""Reasons to be let in: permissions with an end, guardians and carers, emergencies; and what is not shown to whom."""

import django.db.models.deletion
import uuid
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("hospitals", "0001_initial"),
        ("passport", "0007_glossary_term"),
    ]

    operations = [
        migrations.CreateModel(
            name="EmergencyAccess",
            fields=[
                ("id", models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ("reason", models.CharField(max_length=1000)),
                ("created_at", models.DateTimeField()),
                ("ends_at", models.DateTimeField()),
                ("mailed_at", models.DateTimeField(help_text="When the patient was told by mail.", null=True)),
                (
                    "seen_at",
                    models.DateTimeField(help_text="When the patient said that they have read the notice.", null=True),
                ),
                ("reviewed_at", models.DateTimeField(blank=True, null=True)),
                (
                    "outcome",
                    models.CharField(
                        blank=True,
                        choices=[
                            ("justified", "justified"),
                            ("unclear", "unclear: the doctor is asked"),
                            ("not_justified", "not justified: followed up"),
                        ],
                        max_length=20,
                    ),
                ),
                ("review_note", models.CharField(blank=True, max_length=1000)),
            ],
            options={
                "verbose_name_plural": "emergency accesses",
            },
        ),
        migrations.CreateModel(
            name="Hide",
            fields=[
                ("id", models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                (
                    "kind",
                    models.CharField(
                        choices=[
                            ("record", "one entry"),
                            ("category", "a kind of entry"),
                            ("hospital", "a hospital"),
                            ("sensitive", "a sensitive set"),
                        ],
                        max_length=10,
                    ),
                ),
                ("table", models.CharField(blank=True, max_length=20)),
                ("source_uuid", models.CharField(blank=True, max_length=60)),
                (
                    "category",
                    models.CharField(
                        blank=True,
                        choices=[
                            ("condition", "Condition"),
                            ("medication", "Medicine"),
                            ("test", "Test"),
                            ("vital", "Vital sign"),
                            ("visit", "Visit"),
                            ("allergy", "Allergy"),
                            ("other", "Other"),
                        ],
                        max_length=10,
                    ),
                ),
                (
                    "sensitive_set",
                    models.CharField(
                        blank=True,
                        choices=[
                            ("hiv", "HIV"),
                            ("mental_health", "mental health"),
                            ("violence", "gender-based violence"),
                            ("pregnancy", "pregnancy"),
                        ],
                        max_length=20,
                    ),
                ),
                ("created_at", models.DateTimeField()),
            ],
        ),
        migrations.CreateModel(
            name="Proxy",
            fields=[
                ("id", models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                (
                    "kind",
                    models.CharField(
                        choices=[("guardian", "guardian"), ("carer", "carer")], default="carer", max_length=10
                    ),
                ),
                (
                    "named",
                    models.CharField(blank=True, help_text="What the patient calls this person.", max_length=100),
                ),
                ("reason", models.CharField(blank=True, help_text="Why an admin made it.", max_length=500)),
                (
                    "sensitive",
                    models.JSONField(
                        blank=True, default=list, help_text="Sensitive sets that the patient lets them see."
                    ),
                ),
                (
                    "code_hash",
                    models.CharField(
                        blank=True,
                        db_index=True,
                        help_text="SHA-256 of the code that is still to be used.",
                        max_length=64,
                    ),
                ),
                ("code_ends_at", models.DateTimeField(blank=True, null=True)),
                ("created_at", models.DateTimeField()),
                ("ends_at", models.DateTimeField()),
                ("ended_at", models.DateTimeField(blank=True, editable=False, null=True)),
            ],
            options={
                "verbose_name_plural": "proxies",
            },
        ),
        migrations.CreateModel(
            name="SensitiveConcept",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                (
                    "sensitive_set",
                    models.CharField(
                        choices=[
                            ("hiv", "HIV"),
                            ("mental_health", "mental health"),
                            ("violence", "gender-based violence"),
                            ("pregnancy", "pregnancy"),
                        ],
                        max_length=20,
                        verbose_name="set",
                    ),
                ),
                ("concept_uuid", models.CharField(blank=True, max_length=38)),
                ("source", models.CharField(blank=True, help_text="Such as CIEL, LOINC, SNOMED CT.", max_length=50)),
                ("code", models.CharField(blank=True, max_length=50)),
                (
                    "name",
                    models.CharField(blank=True, help_text="For people; nothing is matched by it.", max_length=255),
                ),
            ],
        ),
        migrations.RemoveConstraint(
            model_name="accessgrant",
            name="passport_grant_to_one",
        ),
        migrations.AddField(
            model_name="accessgrant",
            name="ended_at",
            field=models.DateTimeField(
                blank=True, editable=False, help_text="Ended by somebody before time.", null=True
            ),
        ),
        migrations.AddField(
            model_name="accessgrant",
            name="named",
            field=models.CharField(
                blank=True, editable=False, help_text="The doctor, as the patient wrote.", max_length=150
            ),
        ),
        migrations.AddIndex(
            model_name="accessgrant",
            index=models.Index(fields=["patient", "ends_at"], name="passport_grant_patient"),
        ),
        migrations.AddConstraint(
            model_name="accessgrant",
            constraint=models.CheckConstraint(
                condition=models.Q(("doctor__isnull", False), ("hospital__isnull", False), _connector="OR"),
                name="passport_grant_to_somebody",
                violation_error_message="Choose a doctor or a hospital.",
            ),
        ),
        migrations.AddField(
            model_name="emergencyaccess",
            name="doctor",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.PROTECT, related_name="emergencies", to=settings.AUTH_USER_MODEL
            ),
        ),
        migrations.AddField(
            model_name="emergencyaccess",
            name="hospital",
            field=models.ForeignKey(
                null=True, on_delete=django.db.models.deletion.PROTECT, related_name="+", to="hospitals.hospital"
            ),
        ),
        migrations.AddField(
            model_name="emergencyaccess",
            name="patient",
            field=models.ForeignKey(
                null=True,
                on_delete=django.db.models.deletion.CASCADE,
                related_name="emergencies",
                to="passport.patient",
            ),
        ),
        migrations.AddField(
            model_name="emergencyaccess",
            name="reviewed_by",
            field=models.ForeignKey(
                blank=True,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to=settings.AUTH_USER_MODEL,
            ),
        ),
        migrations.AddField(
            model_name="hide",
            name="hospital",
            field=models.ForeignKey(
                blank=True, null=True, on_delete=django.db.models.deletion.CASCADE, to="hospitals.hospital"
            ),
        ),
        migrations.AddField(
            model_name="hide",
            name="patient",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.CASCADE, related_name="hides", to="passport.patient"
            ),
        ),
        migrations.AddField(
            model_name="proxy",
            name="carer",
            field=models.ForeignKey(
                blank=True,
                null=True,
                on_delete=django.db.models.deletion.CASCADE,
                related_name="proxies",
                to=settings.AUTH_USER_MODEL,
            ),
        ),
        migrations.AddField(
            model_name="proxy",
            name="created_by",
            field=models.ForeignKey(
                null=True, on_delete=django.db.models.deletion.SET_NULL, related_name="+", to=settings.AUTH_USER_MODEL
            ),
        ),
        migrations.AddField(
            model_name="proxy",
            name="patient",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.CASCADE, related_name="proxies", to="passport.patient"
            ),
        ),
        migrations.AddConstraint(
            model_name="sensitiveconcept",
            constraint=models.UniqueConstraint(
                fields=("sensitive_set", "concept_uuid", "source", "code"), name="passport_sensitive_concept_once"
            ),
        ),
        migrations.AddConstraint(
            model_name="sensitiveconcept",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(models.Q(("concept_uuid", ""), _negated=True), ("code", ""), ("source", "")),
                    models.Q(
                        ("concept_uuid", ""),
                        models.Q(("source", ""), _negated=True),
                        models.Q(("code", ""), _negated=True),
                    ),
                    _connector="OR",
                ),
                name="passport_sensitive_concept_named",
                violation_error_message="Give either a concept uuid, or a source and a code.",
            ),
        ),
        migrations.AddIndex(
            model_name="emergencyaccess",
            index=models.Index(fields=["doctor", "created_at"], name="passport_emergency_doctor"),
        ),
        migrations.AddIndex(
            model_name="emergencyaccess",
            index=models.Index(fields=["patient", "created_at"], name="passport_emergency_patient"),
        ),
        migrations.AddConstraint(
            model_name="hide",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("kind", "record"), models.Q(("source_uuid", ""), _negated=True)),
                    models.Q(("kind", "category"), models.Q(("category", ""), _negated=True)),
                    models.Q(("hospital__isnull", False), ("kind", "hospital")),
                    models.Q(("kind", "sensitive"), models.Q(("sensitive_set", ""), _negated=True)),
                    _connector="OR",
                ),
                name="passport_hide_one_thing",
            ),
        ),
        migrations.AddIndex(
            model_name="proxy",
            index=models.Index(fields=["patient", "ends_at"], name="passport_proxy_patient"),
        ),
    ]
