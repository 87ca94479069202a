"""The app `passport`."""

from django.apps import AppConfig


class PassportConfig(AppConfig):
    name = "passport"
    default_auto_field = "django.db.models.BigAutoField"
