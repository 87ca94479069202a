"""What people type about who may see what."""

import datetime as dt
from collections.abc import Iterable
from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from passport.access.emergencies import SHORTEST_REASON
from passport.forms import CATEGORY_NAMES, MarkedForm
from passport.models import Hide
from passport.models.access import SensitiveSet

#: How long a permission may last, as people say it → days.
TERMS = {"day": 1, "week": 7, "month": 31, "quarter": 92, "year": 365}
TERM_NAMES = [
    ("day", _("one day")),
    ("week", _("one week")),
    ("month", _("one month")),
    ("quarter", _("three months")),
    ("year", _("one year")),
]
#: As patients read them.
SET_NAMES = [
    (SensitiveSet.HIV.value, _("HIV")),
    (SensitiveSet.MENTAL_HEALTH.value, _("Mental health")),
    (SensitiveSet.VIOLENCE.value, _("Violence and abuse")),
    (SensitiveSet.PREGNANCY.value, _("Pregnancy and birth")),
]
CHOOSE = _("Choose one from the list.")


class TermForm(MarkedForm):
    """Asks until when something holds."""

    term = forms.ChoiceField(label=_("For how long"), choices=TERM_NAMES, error_messages={"invalid_choice": CHOOSE})

    def ends_at(self, now: dt.datetime) -> dt.datetime:
        return now + dt.timedelta(days=TERMS[self.cleaned_data["term"]])


class LetInForm(TermForm):
    hospital = forms.ChoiceField(label=_("Hospital"), error_messages={"invalid_choice": CHOOSE, "required": CHOOSE})
    doctor = forms.CharField(
        label=_("Name of one doctor"),
        required=False,
        max_length=150,
        widget=forms.TextInput(attrs={"autocomplete": "off", "autocapitalize": "words", "spellcheck": "false"}),
    )
    prefix = "let"
    field_order = ("hospital", "doctor", "term")

    def __init__(self, *args: Any, hospitals: Iterable[Any], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.hospitals = {hospital.code: hospital for hospital in hospitals}
        choices = [(hospital.code, hospital.name) for hospital in self.hospitals.values()]
        self.fields["hospital"].choices = [("", _("Choose a hospital")), *choices]  # type: ignore[attr-defined]


class SensitiveForm(MarkedForm):
    sensitive = forms.MultipleChoiceField(
        label=_("They may also see what is recorded about"),
        choices=SET_NAMES,
        required=False,
        widget=forms.CheckboxSelectMultiple,
        error_messages={"invalid_choice": CHOOSE},
    )


class InviteForm(TermForm, SensitiveForm):
    named = forms.CharField(
        label=_("What you call this person"), max_length=100, error_messages={"required": _("Give them a name.")}
    )
    prefix = "invite"
    field_order = ("named", "term", "sensitive")


class InvitationCodeForm(MarkedForm):
    code = forms.CharField(
        label=_("Code"),
        max_length=40,
        error_messages={"required": _("Type the code that you were given.")},
        widget=forms.TextInput(attrs={"autocomplete": "off", "autocapitalize": "characters", "spellcheck": "false"}),
    )


class HideForm(MarkedForm):
    """One thing to keep back. `kind` says which of the lists `what` is of, or that it is the key of an entry."""

    kind = forms.ChoiceField(choices=Hide.Kind.choices, widget=forms.HiddenInput)
    what = forms.CharField(max_length=60)


class HideOneForm(MarkedForm):
    """A list to choose from, for one kind of thing."""

    what = forms.ChoiceField(error_messages={"invalid_choice": CHOOSE, "required": CHOOSE})

    def __init__(self, *args: Any, kind: str, label: Any, choices: Iterable[tuple[str, Any]], **kwargs: Any) -> None:
        super().__init__(*args, **{"auto_id": f"id_{kind}_%s", **kwargs})
        self.kind = kind
        self.fields["what"].label = label
        self.fields["what"].choices = [("", _("Choose")), *choices]  # type: ignore[attr-defined]


class EmergencyForm(MarkedForm):
    national_id = forms.CharField(
        label=_("National ID"),
        max_length=100,
        error_messages={"required": _("Type the patient's National ID.")},
        # autocomplete off: a shared computer must not offer the numbers of earlier patients
        widget=forms.TextInput(attrs={"autocomplete": "off", "autocapitalize": "characters", "spellcheck": "false"}),
    )
    reason = forms.CharField(
        label=_("What the emergency is"),
        min_length=SHORTEST_REASON,
        max_length=1000,
        error_messages={
            "required": _("Say what the emergency is."),
            "min_length": _("Say what the emergency is, in 15 characters or more."),
        },
        widget=forms.Textarea(attrs={"rows": 3}),
    )


class EmergencyReasonForm(EmergencyForm):
    """For a record that is named by its address."""

    national_id = None  # type: ignore[assignment]  # takes the field away


def categories() -> list[tuple[str, Any]]:
    return [(value, name) for value, name in CATEGORY_NAMES]
