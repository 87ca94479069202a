"""The sync page is the admin's start page; here is the part of it that renews itself while something runs."""

from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils import timezone


def part_view(request: HttpRequest) -> HttpResponse:
    """The living part of the page alone. Its name ends in `_version`: asked for by itself, it is no use of a login."""
    return TemplateResponse(request, "admin/openmrs_sync/sync_part.html", {"at": timezone.now()})
