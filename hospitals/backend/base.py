"""The database backend behind a hospital's alias. See DESIGN: Django refuses MySQL < 8.0.11, and hospitals run 5.6."""

from django.db.backends.mysql import base, features
from django.utils.functional import cached_property

from hospitals import queries


class DatabaseFeatures(features.DatabaseFeatures):
    """The oldest servers that we read: what OpenMRS 1.9 to 2.9 is run on."""

    @cached_property
    def minimum_database_version(self) -> tuple[int, ...]:  # type: ignore[override]  # the stubs say attribute
        return (5, 5) if self.connection.mysql_is_mariadb else (5, 6)


class DatabaseWrapper(base.DatabaseWrapper):
    """A connection for raw SELECTs; `hospitals.connections` opens it and nobody else."""

    features_class = DatabaseFeatures

    def init_connection_state(self) -> None:
        # Not super(): it may join two statements by a semicolon, which a connection without multi-statements refuses.
        self.check_database_version_supported()
        with self.cursor() as cursor:
            cursor.execute(queries.REPEATABLE_READ)
