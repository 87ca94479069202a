"""What people choose about notices."""

from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from passport.forms import MarkedForm
from passport.models import NewsNotice, User
from passport.notices.choosing import address_for, ways

By = NewsNotice.By
WAY_NAMES = {By.MAIL.value: _("By e-mail to %(address)s"), By.SMS.value: _("By SMS to %(address)s")}


class NoticeForm(MarkedForm):
    """Offers the ways that there are here and for which this account has an address."""

    by = forms.ChoiceField(
        label=_("How"),
        required=False,
        widget=forms.RadioSelect,
        error_messages={"invalid_choice": _("Choose one from the list.")},
    )

    def __init__(self, *args: Any, user: User, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        found = [(way, address_for(user, way)) for way in ways()]
        self.has_ways = any(address for _way, address in found)
        #: The one way that there is here, where there is no other: only its address is asked for.
        self.only_way = found[0][0] if len(found) == 1 else ""
        field: Any = self.fields["by"]
        field.choices = [
            ("", _("Not at all")),
            *((way, WAY_NAMES[way] % {"address": address}) for way, address in found if address),
        ]
