"""The admin's own door is ours: who owes a one-time code, or is no admin any more, stays outside."""

from django.contrib.admin import AdminSite
from django.http import HttpRequest

from passport.views.session import account_of


class PassportAdminSite(AdminSite):
    def has_permission(self, request: HttpRequest) -> bool:
        account = account_of(request)
        return account is not None and account.is_admin and super().has_permission(request)
