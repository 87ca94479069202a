"""The queue in our own database, in the order in which its tasks came."""

from typing import Any

from django_q.brokers.orm import ORM


class InOrder(ORM):  # type: ignore[misc] # django-q has no types
    """django-q takes any row that is free. PostgreSQL gives them as they lie on the disk: while a queue is never empty,
    a tick that lies behind waits for ever, and with it everything that only ticks do.
    """

    @staticmethod
    def get_connection(list_key: str | None = None) -> Any:
        """`lock` is the moment when a task was queued, or set free again."""
        return ORM.get_connection(list_key).order_by("lock", "pk")
