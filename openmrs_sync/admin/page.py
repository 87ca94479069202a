"""What the pages of the sync share: who asks, and how they look."""

from typing import Any, cast

from django.contrib import admin
from django.http import HttpRequest

from passport.models import User

STYLES = {"all": ["passport/sync-admin.css"]}


def actor_of(request: HttpRequest) -> User:
    """The admin who asks."""
    return cast(User, request.user)


def admin_context(request: HttpRequest, *, title: str) -> dict[str, Any]:
    """What every page of the admin needs around its own."""
    return {**admin.site.each_context(request), "title": title}
