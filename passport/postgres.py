"""What every connection of ours to PostgreSQL is told when it is made."""

from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.signals import connection_created
from django.dispatch import receiver

#: A process that is frozen (or whose machine is cut off) in mid-transaction keeps its locks, the head of the audit
#: chain perhaps among them: for so long everybody waits. None of our transactions pauses for seconds.
LONGEST_IDLE = "60s"


@receiver(connection_created, dispatch_uid="passport.postgres")
def end_idle_transactions(connection: BaseDatabaseWrapper, **_: Any) -> None:
    """Not as an option of the connection: a pooler between us and the server would refuse it."""
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SET idle_in_transaction_session_timeout = %s", [LONGEST_IDLE])
