"""People, what is known about them, and who looked.

accounts   User, Doctor (a provider at a hospital, perhaps with a login)
patients   Patient, PatientIdentifier, PlaceholderNumber
access     AccessGrant, Proxy, EmergencyAccess: who is let in; Hide: what is not shown; SensitiveConcept
links      Link (this person at this hospital is that patient), LinkDecision (what a human decided), IdentityMove
record     Record: one line of a history. May live in MongoDB: no foreign key, no join
logins     Entry (one login), Attempts (failures counted), RecoveryDevice, ContactChange
standing   Consent, Merge, OneTimeCode: what was agreed, joined, handed out at the desk
concepts   SourceConcept: the codes that a hospital maps a concept to
glossary   GlossaryTerm: plain words for a concept
corrections  CorrectionRequest: what a patient asks a hospital to put right
notices    NewsNotice: who wants to hear outside of the pages of what is new
shares     Share (a link that a patient gives out), ShareOpening; Download, DownloadPart
audit      AuditEvent, AuditHead: the hash chain
"""

from passport.models.access import AccessGrant, EmergencyAccess, Hide, Proxy, SensitiveConcept
from passport.models.accounts import Doctor, User
from passport.models.audit import AuditEvent, AuditHead
from passport.models.concepts import SourceConcept
from passport.models.corrections import CorrectionRequest
from passport.models.glossary import GlossaryTerm
from passport.models.links import IdentityMove, Link, LinkDecision
from passport.models.logins import Attempts, ContactChange, Entry, RecoveryCode, RecoveryDevice
from passport.models.notices import NewsNotice
from passport.models.patients import Patient, PatientIdentifier, PlaceholderNumber
from passport.models.record import UNDATED, Record, record_key
from passport.models.shares import Download, DownloadPart, Share, ShareOpening
from passport.models.standing import Consent, Merge, OneTimeCode

__all__ = [
    "UNDATED",
    "AccessGrant",
    "Attempts",
    "AuditEvent",
    "AuditHead",
    "Consent",
    "ContactChange",
    "CorrectionRequest",
    "Doctor",
    "Download",
    "DownloadPart",
    "EmergencyAccess",
    "Entry",
    "GlossaryTerm",
    "Hide",
    "IdentityMove",
    "Link",
    "LinkDecision",
    "Merge",
    "NewsNotice",
    "OneTimeCode",
    "Patient",
    "PatientIdentifier",
    "PlaceholderNumber",
    "Proxy",
    "Record",
    "RecoveryCode",
    "RecoveryDevice",
    "SensitiveConcept",
    "Share",
    "ShareOpening",
    "SourceConcept",
    "User",
    "record_key",
]
