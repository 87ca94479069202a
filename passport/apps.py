"""The app `passport`."""

from importlib import import_module

from django.apps import AppConfig


class PassportConfig(AppConfig):
    name = "passport"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        import_module("passport.checks")  # registers them
