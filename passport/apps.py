"""The app `passport`, and the admin with a door of ours."""

from importlib import import_module

from django.apps import AppConfig
from django.contrib.admin.apps import AdminConfig


class PassportConfig(AppConfig):
    name = "passport"
    verbose_name = "Patients and accounts"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        import_module("passport.checks")  # registers them
        import_module("passport.postgres")


class PassportAdminConfig(AdminConfig):
    default_site = "passport.admin_site.PassportAdminSite"
