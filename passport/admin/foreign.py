"""Pages of the queue and of the tokens, which nobody may use here."""

from importlib import import_module

from django.apps import apps
from django.contrib import admin
from django.contrib.auth.models import Group

#: Their own pages would let an admin call any function, replay tasks, or read tokens.
HIDDEN = {
    "django_q": ("Schedule", "Success", "Failure", "OrmQ"),
    "token_blacklist": ("OutstandingToken", "BlacklistedToken"),
}
ADMIN_MODULES = ("django_q.admin", "rest_framework_simplejwt.token_blacklist.admin")


def hide_foreign_pages() -> None:
    """Take the pages of the queue and of the tokens out of admin. Imported first: each registers itself once."""
    for module in ADMIN_MODULES:
        import_module(module)
    for app_label, names in HIDDEN.items():
        for name in names:
            model = apps.get_model(app_label, name)
            if admin.site.is_registered(model):
                admin.site.unregister(model)


hide_foreign_pages()
admin.site.unregister(Group)
