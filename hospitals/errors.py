"""What can go wrong between us and a hospital, decided by class.

Each error has a `kind` (stable, stored, an entry in docs/troubleshooting.md), says whether trying again may help
(`is_transient`), and a message that ends in the next step. Never a name, identifier or value in a message.
"""


class SourceError(Exception):
    """Anything that stops us from reading a hospital."""

    kind = "internal"
    is_transient = False


class HospitalUnreachable(SourceError):
    """No answer, a dropped connection, a time-out, a busy server."""

    kind = "unreachable"
    is_transient = True


class SnapshotTooLong(HospitalUnreachable):
    """A snapshot's time was over before everything was read in it. Nothing of it is open any more."""


class NeverTheSame(HospitalUnreachable):
    """What was read again and again was never twice the same: somebody is changing it all the while."""


class HospitalMisconfigured(SourceError):
    """Settings that can never work: no such database, TLS missing, no National ID type."""

    kind = "misconfigured"


class WrongCredentials(SourceError):
    """The server refused the login."""

    kind = "credentials"


class WritableAccount(SourceError):
    """The account could write. We refuse to use it."""

    kind = "writable_account"


class SchemaMismatch(SourceError):
    """A table or column that we need is not there."""

    kind = "schema_mismatch"
