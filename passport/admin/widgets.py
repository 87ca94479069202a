"""Form fields of Django's admin as everybody can use them."""

from typing import Any

from django.contrib.admin.widgets import AdminSplitDateTime, BaseAdminDateWidget, BaseAdminTimeWidget
from django.forms import MultiWidget
from django.utils.translation import gettext_lazy as _


class NamedDateTime(AdminSplitDateTime):
    """Its two fields have names of their own: Django's words beside them belong to neither."""

    def __init__(self, attrs: dict[str, Any] | None = None) -> None:
        fields = [
            BaseAdminDateWidget(attrs={"aria-label": _("Date")}),
            BaseAdminTimeWidget(attrs={"aria-label": _("Time")}),
        ]
        MultiWidget.__init__(self, fields, attrs)  # as Django's own does, past its parent
