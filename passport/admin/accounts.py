"""Logins."""

from typing import Any

from django.contrib import admin
from django.contrib.auth.admin import UserAdmin
from django.contrib.auth.forms import (
    AdminUserCreationForm,
    ReadOnlyPasswordHashField,
    ReadOnlyPasswordHashWidget,
    UserChangeForm,
)
from django.contrib.auth.hashers import is_password_usable
from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone

from passport import accounts, entries
from passport.admin.audited import AuditedAdmin, changed_fields
from passport.admin_site import actor_of, moment
from passport.models import User
from passport.models.accounts import Role
from passport.views import credentials


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


class PasswordInWords(ReadOnlyPasswordHashWidget):
    """Whether there is one, and the way to another. How it is kept, and a part of its hash, tells an admin nothing."""

    def get_context(self, name: str, value: Any, attrs: dict[str, Any] | None) -> dict[str, Any]:
        context = super().get_context(name, value, attrs)
        is_usable = bool(value) and is_password_usable(value)
        context["summary"] = [{"label": "There is one. Nobody can read it." if is_usable else "There is none yet."}]
        return context


class ChangeAccountForm(UsernameChecks, UserChangeForm):  # type: ignore[type-arg]
    password = ReadOnlyPasswordHashField(label="Password", widget=PasswordInWords)


@admin.register(User)
class AccountAdmin(AuditedAdmin, UserAdmin):  # type: ignore[type-arg]
    add_form = AddAccountForm
    add_form_template = "admin/change_form.html"  # Django's own has only a sentence more, about users
    form = ChangeAccountForm
    list_display = ("username", "role", "hospital", "is_active", "shown_last_login")
    list_filter = ("role", "is_active")
    list_select_related = ("hospital",)
    search_fields = ("username", "first_name", "last_name")
    filter_horizontal = ()
    readonly_fields = ("shown_last_login", "shown_joined")
    actions = ("end_logins", "take_codes_away")
    fieldsets = (
        (None, {"fields": ("username", "password")}),
        ("Who", {"fields": ("first_name", "last_name", "email")}),
        ("May", {"fields": ("role", "hospital", "is_active")}),
        ("When", {"fields": ("shown_last_login", "shown_joined")}),
    )
    add_fieldsets = ((None, {"fields": ("username", "role", "hospital", "password1", "password2")}),)

    @admin.display(description="last log-in (UTC)", ordering="last_login")
    def shown_last_login(self, account: User) -> str:
        return moment(account.last_login)

    @admin.display(description="made (UTC)", ordering="date_joined")
    def shown_joined(self, account: User) -> str:
        return moment(account.date_joined)

    @admin.action(description="End every login of these accounts")
    def end_logins(self, request: HttpRequest, queryset: QuerySet[User]) -> None:
        for account in queryset:
            entries.end_all(user=account, actor=actor_of(request), why="admin", now=timezone.now())
        self.message_user(request, "Their sessions and tokens are ended. They can log in again.")

    @admin.action(description="Take one-time codes away (lost phone)")
    def take_codes_away(self, request: HttpRequest, queryset: QuerySet[User]) -> None:
        """Whoever must have a code sets up a new app at the next login."""
        actor = actor_of(request)
        for account in queryset:
            if actor is not None:
                credentials.take_devices_away(account=account, actor=actor, now=timezone.now())
                entries.end_all(user=account, actor=actor, why="admin", now=timezone.now())
        self.message_user(request, "Apps and recovery codes are gone. See that it was the owner who asked.")

    def log_change(self, request: HttpRequest, obj: User, message: Any) -> Any:
        """After a new password, or when the account was closed: everything of before ends, also what no list shows."""
        fields = {str(name).lower() for name in changed_fields(message)}
        if "password" in fields or not obj.is_active:
            why = "password" if "password" in fields else "closed"
            entries.end_all(user=obj, actor=actor_of(request), why=why, now=timezone.now())
        return super().log_change(request, obj, message)

    def save_model(self, request: HttpRequest, obj: User, form: Any, change: bool) -> None:
        # The role alone says what an account may do; Django's own flags follow it.
        obj.is_staff = obj.is_superuser = obj.role == Role.ADMIN
        super().save_model(request, obj, form, change)
