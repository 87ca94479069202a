"""Logins."""

from typing import Any

from django.contrib import admin
from django.contrib.auth.admin import UserAdmin
from django.contrib.auth.forms import AdminUserCreationForm, UserChangeForm
from django.core.exceptions import ValidationError
from django.http import HttpRequest

from passport import accounts
from passport.admin.audited import AuditedAdmin
from passport.admin_site import moment
from passport.models import User
from passport.models.accounts import Role


class UsernameChecks:
    """A National ID is never a username."""

    def clean_username(self) -> str:
        username: str = self.cleaned_data["username"]  # type: ignore[attr-defined]  # of the form it is mixed into
        try:
            accounts.check_username(username)
        except accounts.AccountRefused as error:
            raise ValidationError(str(error)) from None
        return username


class AddAccountForm(UsernameChecks, AdminUserCreationForm):  # type: ignore[type-arg]
    usable_password = None  # type: ignore[assignment]  # takes the field away: everyone here logs in with a password


class ChangeAccountForm(UsernameChecks, UserChangeForm):  # type: ignore[type-arg]
    pass


@admin.register(User)
class AccountAdmin(AuditedAdmin, UserAdmin):  # type: ignore[type-arg]
    add_form = AddAccountForm
    form = ChangeAccountForm
    list_display = ("username", "role", "hospital", "is_active", "shown_last_login")
    list_filter = ("role", "is_active")
    list_select_related = ("hospital",)
    search_fields = ("username", "first_name", "last_name")
    filter_horizontal = ()
    readonly_fields = ("last_login", "date_joined")
    fieldsets = (
        (None, {"fields": ("username", "password")}),
        ("Who", {"fields": ("first_name", "last_name", "email")}),
        ("May", {"fields": ("role", "hospital", "is_active")}),
        ("When", {"fields": ("last_login", "date_joined")}),
    )
    add_fieldsets = ((None, {"fields": ("username", "role", "hospital", "password1", "password2")}),)

    @admin.display(description="last log-in (UTC)", ordering="last_login")
    def shown_last_login(self, account: User) -> str:
        return moment(account.last_login)

    def save_model(self, request: HttpRequest, obj: User, form: Any, change: bool) -> None:
        # The role alone says what an account may do; Django's own flags follow it.
        obj.is_staff = obj.is_superuser = obj.role == Role.ADMIN
        super().save_model(request, obj, form, change)
