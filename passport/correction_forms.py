"""What people type when an entry is wrong."""

from django import forms
from django.utils.translation import gettext_lazy as _

from passport.corrections.asking import LONGEST_WORDS
from passport.forms import MarkedForm
from passport.models import CorrectionRequest

Reason = CorrectionRequest.Reason
#: As patients say it.
REASON_NAMES = [
    (Reason.WRONG.value, _("What it says is wrong")),
    (Reason.NOT_MINE.value, _("It is about somebody else")),
    (Reason.DATE.value, _("The date is wrong")),
    (Reason.TWICE.value, _("It is here twice")),
    (Reason.MISSING.value, _("Something is missing in it")),
    (Reason.OTHER.value, _("Something else")),
]
CHOOSE = _("Choose what is wrong from the list.")


class CorrectionForm(MarkedForm):
    reason = forms.ChoiceField(
        label=_("What is wrong?"),
        choices=REASON_NAMES,
        widget=forms.RadioSelect,
        error_messages={"invalid_choice": CHOOSE, "required": CHOOSE},
    )
    words = forms.CharField(
        label=_("What should it say?"),
        required=False,
        max_length=LONGEST_WORDS,
        error_messages={"max_length": _("Say it in 500 characters or fewer.")},
        widget=forms.Textarea(attrs={"rows": 4, "autocomplete": "off"}),
    )
