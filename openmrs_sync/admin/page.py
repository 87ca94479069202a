"""What the pages of the sync share: what stands around them, and how they look."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest

STYLES = {"all": ["passport/sync-admin.css"]}


def admin_context(request: HttpRequest, *, title: str) -> dict[str, Any]:
    """What every page of the admin needs around its own."""
    return {**admin.site.each_context(request), "title": title}
