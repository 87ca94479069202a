"""What people type about their own account: claiming it, its password, codes and contact settings."""

from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from passport.forms import CodeForm, MarkedForm
from passport.passwords import LONGEST


def _password(label: Any, autocomplete: str, required: Any) -> forms.CharField:
    # strip=False and no pattern: every character counts, and pasting from a password manager works
    return forms.CharField(
        label=label,
        strip=False,
        max_length=4096,
        error_messages={"required": required},
        widget=forms.PasswordInput(attrs={"autocomplete": autocomplete}),
    )


class NewPasswordForm(MarkedForm):
    new = _password(_("New password"), "new-password", _("Type the password that you want to use."))
    again = _password(_("The same once more"), "new-password", _("Type the new password once more."))

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or {}
        if cleaned.get("new") and cleaned.get("again") and cleaned["new"] != cleaned["again"]:
            self.add_error("again", _("The two are not the same. Type both again."))
        elif len(cleaned.get("new", "")) > LONGEST:
            self.add_error("new", _("The password can have at most %(n)d characters.") % {"n": LONGEST})
        return cleaned


class ClaimPasswordForm(NewPasswordForm):
    consents = forms.BooleanField(
        label=_("I agree that my entries from all hospitals are kept in this passport."),
        required=False,
        error_messages={"required": _("Without your agreement there can be no passport.")},
    )


class CurrentPasswordForm(MarkedForm):
    current = _password(_("Your password now"), "current-password", _("Type the password that you use now."))


class ChangePasswordForm(NewPasswordForm, CurrentPasswordForm):
    field_order = ("current", "new", "again")


class ClaimForm(MarkedForm):
    national_id = forms.CharField(
        label=_("National ID"),
        max_length=100,
        error_messages={"required": _("Type your National ID.")},
        widget=forms.TextInput(attrs={"autocomplete": "off", "autocapitalize": "characters", "spellcheck": "false"}),
    )
    birth_date = forms.DateField(
        label=_("Birth date"),
        input_formats=["%Y-%m-%d", "%d/%m/%Y", "%d.%m.%Y"],
        error_messages={
            "required": _("Type your birth date."),
            "invalid": _("Write a day as year-month-day, such as 1984-03-31."),
        },
        widget=forms.DateInput(attrs={"type": "date", "autocomplete": "bday"}, format="%Y-%m-%d"),
    )
    code = forms.CharField(
        label=_("Code from the hospital's desk"),
        max_length=40,
        error_messages={"required": _("Type the code that you were given.")},
        widget=forms.TextInput(
            attrs={"autocomplete": "one-time-code", "autocapitalize": "characters", "spellcheck": "false"}
        ),
    )


class ForgottenForm(MarkedForm):
    name = forms.CharField(
        label=_("Username or National ID"),
        max_length=150,
        error_messages={"required": _("Type your username or your National ID.")},
        widget=forms.TextInput(attrs={"autocomplete": "username", "autocapitalize": "none", "spellcheck": "false"}),
    )


class EmailForm(CurrentPasswordForm):
    email = forms.EmailField(
        label=_("E-mail address"),
        max_length=254,
        error_messages={
            "required": _("Type the address that you want to use."),
            "invalid": _("This is not an e-mail address. Check it."),
        },
        widget=forms.EmailInput(attrs={"autocomplete": "email"}),
    )
    field_order = ("email", "current")


class PhoneForm(MarkedForm):
    phone = forms.RegexField(
        r"^[0-9+ ()./-]*$",
        label=_("Telephone number"),
        required=False,
        max_length=30,
        error_messages={"invalid": _("A telephone number has digits, spaces and perhaps a plus.")},
        widget=forms.TextInput(attrs={"autocomplete": "tel", "type": "tel"}),
    )


class SetUpCodeForm(CodeForm, CurrentPasswordForm):
    field_order = ("code", "current")
