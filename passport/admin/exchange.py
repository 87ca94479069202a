"""Tables that go out as CSV and come back: the button that exports, the page that imports."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone

from passport.admin.audited import AuditedAdmin
from passport.admin_site import actor_of
from passport.audit import record_event
from passport.models import User
from passport.sheets import LineRefused, encoded


@dataclass(frozen=True, slots=True, kw_only=True)
class TakenOver:
    """What an import did. `sentence`: its counts."""

    sentence: str
    refused: Sequence[LineRefused]


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """A table that is exchanged.

    `import_sheet` takes the text over and writes its own audit row. `back`: the name of the page that it belongs to.
    """

    filename: str
    exported: str  # the action in the audit
    export_sheet: Callable[[], str]
    title: str
    intro: str
    help_text: str
    largest_megabytes: int
    back: str
    back_label: str
    import_sheet: Callable[[str, User, datetime], TakenOver]


class SheetForm(forms.Form):
    sheet = forms.FileField(label="CSV file")

    def __init__(self, *args: Any, exchange: Exchange, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["sheet"].help_text = exchange.help_text
        self.largest_megabytes = exchange.largest_megabytes

    def clean_sheet(self) -> str:
        upload = self.cleaned_data["sheet"]
        if upload.size > self.largest_megabytes * 1_000_000:
            raise forms.ValidationError(
                f"The file is larger than {self.largest_megabytes} MB. Send a part of it at a time."
            )
        try:
            return str(upload.read().decode("utf-8-sig"))
        except UnicodeDecodeError as error:
            raise forms.ValidationError("The file is not UTF-8. Export it again as “CSV UTF-8”.") from error


def export_page(request: HttpRequest, exchange: Exchange) -> HttpResponse:
    record_event(action=exchange.exported, actor=actor_of(request), now=timezone.now())
    answer = HttpResponse(encoded(exchange.export_sheet()), content_type="text/csv; charset=utf-8")
    answer["Content-Disposition"] = f'attachment; filename="{exchange.filename}"'
    return answer


def import_page(request: HttpRequest, exchange: Exchange) -> HttpResponse:
    """The form; after it either the page that it belongs to, or the lines that were left out."""
    form = SheetForm(request.POST or None, request.FILES or None, exchange=exchange)
    refused: Sequence[LineRefused] = ()
    if request.method == "POST" and form.is_valid():
        done = exchange.import_sheet(form.cleaned_data["sheet"], actor_of(request), timezone.now())
        messages.success(request, done.sentence)
        if not done.refused:
            return HttpResponseRedirect(reverse(exchange.back))
        refused = done.refused
    context = {
        **admin.site.each_context(request),
        "title": exchange.title,
        "exchange": exchange,
        "form": form,
        "refused": refused,
    }
    return TemplateResponse(request, "admin/passport/import.html", context)


class ExchangedAdmin(AuditedAdmin):
    """A list of the admin with both buttons."""

    change_list_template = "admin/passport/exchanged_list.html"
    exchange: Exchange

    def get_urls(self) -> list[URLPattern]:
        view, name = self.admin_site.admin_view, f"{self.opts.app_label}_{self.opts.model_name}"
        return [
            path("export/", view(lambda request: export_page(request, self.exchange)), name=f"{name}_export"),
            path("import/", view(lambda request: import_page(request, self.exchange)), name=f"{name}_import"),
            *super().get_urls(),
        ]
