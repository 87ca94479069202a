"""What can go wrong inside the engine. The family of `hospitals.errors`: `kind`, `is_transient`, a next step."""


class SyncError(Exception):
    """Anything that ends a run by the engine's own decision."""

    kind = "internal"
    is_transient = False


class SourceReplaced(SyncError):
    """Old rows carry other uuids: another database, or one restored from a backup of something else."""

    kind = "source_replaced"


class WouldErase(SyncError):
    """The brake: more of this hospital's history would be withdrawn than a normal day explains."""

    kind = "would_erase"


class SourceWentQuiet(SyncError):
    """A green read of nothing, where there used to be something."""

    kind = "quiet"


class ClaimBusy(SyncError):
    """Another worker holds this hospital."""

    kind = "busy"
    is_transient = True


class ClaimLost(SyncError):
    """Our claim on this hospital ran out and somebody else took it: nothing more may be written."""

    kind = "internal"
    is_transient = True


class PersonFailed(SyncError):
    """The refresh of one person failed in a way that is not the hospital's fault; others go on."""

    kind = "internal"
