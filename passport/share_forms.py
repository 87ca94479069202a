"""What a patient types about what they give out."""

import datetime as dt
from collections.abc import Iterable
from typing import Any
from uuid import UUID

from django import forms
from django.utils.translation import gettext_lazy as _

from passport.forms import CATEGORY_NAMES, MarkedForm
from passport.permission_forms import CHOOSE, SET_NAMES, TERM_NAMES, TERMS, TermForm
from passport.sharing.content import SUMMARISED, Wish

#: How often a link may be opened; empty: as often as wished.
OPENINGS = [("1", _("once")), ("3", _("three times")), ("10", _("ten times")), ("", _("any number of times"))]
_NOTHING_CHOSEN = _("Choose something to show.")


class SensitiveTicks(MarkedForm):
    """What stays out of everything that leaves the house, unless it is ticked."""

    sensitive = forms.MultipleChoiceField(
        label=_("Also show what is recorded about"),
        choices=SET_NAMES,
        required=False,
        widget=forms.CheckboxSelectMultiple,
        error_messages={"invalid_choice": CHOOSE},
    )
    with_hidden = forms.BooleanField(label=_("Also show what I keep from doctors"), required=False)


class ShareForm(TermForm, SensitiveTicks):
    """One link: what it shows, until when, how often."""

    label = forms.CharField(label=_("What it is for"), max_length=80, required=False)
    categories = forms.MultipleChoiceField(
        label=_("Show"),
        choices=[each for each in CATEGORY_NAMES if each[0] in SUMMARISED],
        widget=forms.CheckboxSelectMultiple,
        error_messages={"invalid_choice": CHOOSE, "required": _NOTHING_CHOSEN},
    )
    hospitals = forms.MultipleChoiceField(
        label=_("From these hospitals"),
        widget=forms.CheckboxSelectMultiple,
        error_messages={"invalid_choice": CHOOSE, "required": _NOTHING_CHOSEN},
    )
    openings = forms.ChoiceField(
        label=_("May be opened"), choices=OPENINGS, required=False, error_messages={"invalid_choice": CHOOSE}
    )
    field_order = ("categories", "hospitals", "sensitive", "with_hidden", "term", "openings", "label")

    def __init__(self, *args: Any, hospitals: Iterable[Any], **kwargs: Any) -> None:
        found = {hospital.code: hospital for hospital in hospitals}
        first = {"term": "week", "openings": "3", "categories": sorted(SUMMARISED), "hospitals": list(found)}
        super().__init__(*args, **{"initial": first, **kwargs})
        self._hospitals: dict[str, UUID] = {code: hospital.pk for code, hospital in found.items()}
        self.fields["hospitals"].choices = [(code, each.name) for code, each in found.items()]  # type: ignore[attr-defined]

    def wish(self) -> Wish:
        """What was chosen. Call only when the form is valid."""
        chosen = self.cleaned_data
        return Wish(
            categories=frozenset(chosen["categories"]),
            hospitals=frozenset(self._hospitals[code] for code in chosen["hospitals"]),
            sensitive=frozenset(chosen["sensitive"]),
            with_hidden=chosen["with_hidden"],
        )

    @property
    def most_openings(self) -> int | None:
        return int(self.cleaned_data["openings"]) if self.cleaned_data["openings"] else None


class CardForm(MarkedForm):
    """Until when the code on an emergency card is good."""

    term = forms.ChoiceField(
        label=_("The code is good for"),
        choices=[each for each in TERM_NAMES if each[0] in {"month", "quarter", "year"}],
        initial="year",
        error_messages={"invalid_choice": CHOOSE},
    )

    def ends_at(self, now: dt.datetime) -> dt.datetime:
        return now + dt.timedelta(days=TERMS[self.cleaned_data["term"]])


class PrintForm(SensitiveTicks):
    """What goes on paper. Stands in the address, so that the page can be had again."""

    what = forms.ChoiceField(
        label=_("Print"),
        choices=[("summary", _("The summary")), ("history", _("The whole history"))],
        required=False,
        error_messages={"invalid_choice": CHOOSE},
    )
    field_order = ("what", "sensitive", "with_hidden")

    def wish(self) -> Wish:
        """Call only when the form is valid."""
        return Wish(sensitive=frozenset(self.cleaned_data["sensitive"]), with_hidden=self.cleaned_data["with_hidden"])
