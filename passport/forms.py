"""What people type on the pages."""

from collections.abc import Iterator
from typing import Any

from django import forms
from django.forms.utils import flatatt
from django.utils.formats import date_format
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from passport.history import LONGEST_SEARCH, Filters, Status
from passport.models.record import Category


class MarkedForm(forms.Form):
    """Fields with an error say so to a screen reader, and name the sentence that tells why."""

    def full_clean(self) -> None:
        super().full_clean()
        for name in self.errors:
            if name in self.fields:
                self.fields[name].widget.attrs |= {
                    "aria-invalid": "true",
                    "aria-describedby": f"{self[name].id_for_label}_errors",
                }


class LoginForm(MarkedForm):
    name = forms.CharField(
        label=_("Username or National ID"),
        max_length=150,
        error_messages={"required": _("Type your username or your National ID.")},
        widget=forms.TextInput(attrs={"autocomplete": "username", "autocapitalize": "none", "spellcheck": "false"}),
    )
    password = forms.CharField(
        label=_("Password"),
        strip=False,
        max_length=4096,
        error_messages={"required": _("Type your password.")},
        widget=forms.PasswordInput(attrs={"autocomplete": "current-password"}),
    )
    next = forms.CharField(required=False, widget=forms.HiddenInput)


class CodeForm(MarkedForm):
    code = forms.CharField(
        label=_("One-time code"),
        max_length=20,
        error_messages={"required": _("Type the code that your app shows.")},
        widget=forms.TextInput(
            attrs={"autocomplete": "one-time-code", "autocapitalize": "none", "spellcheck": "false"}
        ),
    )

    def clean_code(self) -> str:
        return str(self.cleaned_data["code"]).replace(" ", "").lower()


class FindPatientForm(MarkedForm):
    national_id = forms.CharField(
        label=_("National ID"),
        max_length=100,
        error_messages={"required": _("Type the patient's National ID.")},
        # autocomplete off: a shared computer must not offer the numbers of earlier patients
        widget=forms.TextInput(
            attrs={
                "autocomplete": "off",
                "autocapitalize": "characters",
                "spellcheck": "false",
                "enterkeyhint": "search",
                "autofocus": True,  # the page is for nothing else
            }
        ),
    )


class PlainSelect(forms.Select):
    """A list to choose from, as Django makes it but without groups, and without a template for each option."""

    def render(self, name: str, value: Any, attrs: Any = None, renderer: Any = None) -> SafeString:  # noqa: ARG002
        chosen = "" if value is None else str(value)
        options = ((key, SafeString(" selected") if str(key) == chosen else "", words) for key, words in self.choices)
        return format_html(
            '<select name="{}"{}>{}</select>',
            name,
            flatatt(self.build_attrs(self.attrs, attrs)),
            format_html_join("", '<option value="{}"{}>{}</option>', options),
        )


class HistoryFilterForm(MarkedForm):
    """The filters of the history, as they stand in the URL. The same words as in the API."""

    q = forms.CharField(label=_("Search for words"), required=False, max_length=LONGEST_SEARCH)
    category = forms.ChoiceField(
        label=_("Kind"),
        required=False,
        error_messages={"invalid_choice": _("Choose one of the kinds in the list.")},
        widget=PlainSelect,
    )
    hospital = forms.ChoiceField(
        label=_("Hospital"),
        required=False,
        error_messages={"invalid_choice": _("Choose one of the hospitals in the list.")},
        widget=PlainSelect,
    )
    flagged = forms.ChoiceField(
        label=_("Out of range"),
        required=False,
        choices=[("", _("Everything")), ("1", _("Out of range only"))],
        error_messages={"invalid_choice": _("Choose one of the words in the list.")},
        widget=PlainSelect,
    )
    status = forms.ChoiceField(
        label=_("Withdrawn entries"),
        required=False,
        choices=[("", _("Hidden")), ("all", _("Shown as well")), ("withdrawn", _("Shown alone"))],
        error_messages={"invalid_choice": _("Choose one of the words in the list.")},
        widget=PlainSelect,
    )

    def __init__(self, *args: Any, hospitals: list[tuple[str, str]], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # `from` is a Python keyword, so these two cannot be declared above.
        self.fields["from"] = _day(_("From"))
        self.fields["to"] = _day(_("To"))
        self.hospital_names = dict(hospitals)
        self.fields["category"].choices = [("", _("Everything")), *CATEGORY_NAMES]  # type: ignore[attr-defined]
        self.fields["hospital"].choices = [("", _("All hospitals")), *hospitals]  # type: ignore[attr-defined]
        self.fields["q"].widget.attrs |= {"type": "search", "enterkeyhint": "search"}

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or {}
        first, last = cleaned.get("from"), cleaned.get("to")
        if first and last and first > last:
            self.add_error("to", _("The last day is before the first."))
        return cleaned

    def filters(self) -> Filters:
        """What was chosen. Call only when the form is valid."""
        chosen = self.cleaned_data
        return Filters(
            category=Category(chosen["category"]) if chosen["category"] else None,
            hospital=chosen["hospital"],
            from_date=chosen["from"],
            to_date=chosen["to"],
            q=chosen["q"],
            status=Status(chosen["status"] or Status.CURRENT),
            is_flagged=bool(chosen["flagged"]),
        )

    def in_words(self, filters: Filters) -> Iterator[tuple[str, str]]:
        """(name in the URL, words) of each filter that is set."""
        if filters.q:
            yield "q", f"“{filters.q}”"
        if filters.category:
            yield "category", str(dict(CATEGORY_NAMES)[filters.category.value])
        if filters.hospital:
            yield "hospital", self.hospital_names[filters.hospital]
        if filters.from_date:
            yield "from", gettext("from %(day)s") % {"day": date_format(filters.from_date, "SHORT_DATE_FORMAT")}
        if filters.to_date:
            yield "to", gettext("to %(day)s") % {"day": date_format(filters.to_date, "SHORT_DATE_FORMAT")}
        if filters.is_flagged:
            yield "flagged", gettext("out of range only")
        if filters.status is Status.ALL:
            yield "status", gettext("with withdrawn entries")
        if filters.status is Status.WITHDRAWN:
            yield "status", gettext("withdrawn entries only")


class TrendForm(MarkedForm):
    """The days of one test, as they stand in the URL."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["from"] = _day(_("From"))
        self.fields["to"] = _day(_("To"))

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or {}
        first, last = cleaned.get("from"), cleaned.get("to")
        if first and last and first > last:
            self.add_error("to", _("The last day is before the first."))
        return cleaned


def _day(label: Any) -> forms.DateField:
    return forms.DateField(
        label=label,
        required=False,
        input_formats=["%Y-%m-%d"],
        error_messages={"invalid": _("Write a day as year-month-day, such as 2024-03-31.")},
        widget=forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d"),
    )


#: As a heading over several records of one kind.
CATEGORY_NAMES = [
    (Category.CONDITION.value, _("Conditions")),
    (Category.MEDICATION.value, _("Medicines")),
    (Category.TEST.value, _("Test results")),
    (Category.VITAL.value, _("Measurements")),
    (Category.ALLERGY.value, _("Allergies")),
    (Category.VISIT.value, _("Visits")),
    (Category.OTHER.value, _("Notes and other entries")),
]
