"""Who may see whom, and how much: the only door to a patient's record.

`open_record` decides and writes its audit row in one transaction, and returns only after that commit: what cannot be
written down is not shown. Refusals are written down too. With the patient it returns the *scope* of the look; every
read in `passport.history` asks for one, so nothing is shown past this door.

    shapes      reasons, actions, refusals          scope    what of a record one look may show
    reasons     oneself, care, grant, proxy, emergency       door     deciding and writing down
    grants      a patient lets doctors in            proxies  guardians and carers
    hides       a patient keeps entries back         emergencies  breaking the glass, and its review
    claims      whose provider rows are whose        sensitive    sets of concepts that need care
    lookups     how often somebody asks by number and is refused
"""

from passport.access.door import open_own_record, open_record, peek
from passport.access.reasons import may_read
from passport.access.scope import Choice, Scope, share_scope
from passport.access.shapes import NOBODY, REFUSED, AccessRefused, Action, AskedTooOften, Basis, NotAllowed, Opened

__all__ = [
    "NOBODY",
    "REFUSED",
    "AccessRefused",
    "Action",
    "AskedTooOften",
    "Basis",
    "Choice",
    "NotAllowed",
    "Opened",
    "Scope",
    "may_read",
    "open_own_record",
    "open_record",
    "peek",
    "share_scope",
]
