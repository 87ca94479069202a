"""People, what is known about them, and who looked.

accounts   User, Doctor (a provider at a hospital, perhaps with a login)
patients   Patient, PatientIdentifier, PlaceholderNumber, AccessGrant
links      Link (this person at this hospital is that patient), LinkDecision (what a human decided)
record     Record: one line of a history. May live in MongoDB: no foreign key, no join
audit      AuditEvent, AuditHead: the hash chain
"""

from passport.models.accounts import Doctor, User
from passport.models.audit import AuditEvent, AuditHead
from passport.models.links import Link, LinkDecision
from passport.models.patients import AccessGrant, Patient, PatientIdentifier, PlaceholderNumber
from passport.models.record import UNDATED, Record, record_key

__all__ = [
    "UNDATED",
    "AccessGrant",
    "AuditEvent",
    "AuditHead",
    "Doctor",
    "Link",
    "LinkDecision",
    "Patient",
    "PatientIdentifier",
    "PlaceholderNumber",
    "Record",
    "User",
    "record_key",
]
