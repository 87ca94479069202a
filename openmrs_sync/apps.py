"""The app `openmrs_sync`."""

from django.apps import AppConfig


class OpenmrsSyncConfig(AppConfig):
    name = "openmrs_sync"
    verbose_name = "Sync"
    default_auto_field = "django.db.models.BigAutoField"
