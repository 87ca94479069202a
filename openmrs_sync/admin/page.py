"""What the pages of the sync share: who asks, and how they look."""

from typing import cast

from django.http import HttpRequest

from passport.models import User

STYLES = {"all": ["passport/sync-admin.css"]}


def actor_of(request: HttpRequest) -> User:
    """The admin who asks."""
    return cast(User, request.user)
